package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/health"
)

// retryDelay is the pause after the first failed request. The pause doubles up to the interval, so the client soon
// finds a server that has started or restarted.
const retryDelay = 250 * time.Millisecond

func retryAfter(failures int, interval time.Duration) time.Duration {
	pause := retryDelay
	for i := 1; i < failures && pause < interval; i++ {
		pause *= 2
	}
	return min(pause, interval)
}

// startupGrace is the time after the start in which "connection refused" does not count as a failure, because the lab's
// services start in any order.
const startupGrace = 3 * time.Second

// lastRequest is the time that a request in progress may still take when the loop has to stop.
const lastRequest = 3 * time.Second

// loop sends a request every interval until ctx is done. It prints a failure and continues. When ctx is done,
// a request in progress may take up to lastRequest longer. Then loop prints how many requests were served and how many
// failed.
func loop(ctx context.Context, client *http.Client, cfg config, stdout, stderr io.Writer) error {
	latest := &outcome{err: errors.New("no request yet"), freshFor: 3*cfg.interval + cfg.timeout}
	stopHealth, err := health.Listen(cfg.health, latest.check)
	if err != nil {
		return err
	}
	defer stopHealth()

	requests, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	context.AfterFunc(ctx, func() { time.AfterFunc(lastRequest, cutOff) })

	var served, failed, inARow int
	began := time.Now()
	logger := log.New(stderr, "", log.LstdFlags)
	for {
		request := requests
		if cfg.keep {
			request = logConnection(requests, logger)
		}
		err := get(request, client, cfg, stdout)
		if errors.Is(err, syscall.ECONNREFUSED) && served+failed == 0 && time.Since(began) < startupGrace && ctx.Err() == nil {
			time.Sleep(retryDelay / 5) // no request was sent
			continue
		}
		latest.set(err)
		pause := cfg.interval
		if err != nil {
			failed++
			inARow++
			fmt.Fprintln(stderr, err)
			pause = retryAfter(inARow, cfg.interval)
		} else {
			served++
			inARow = 0
		}
		select {
		case <-ctx.Done():
			fmt.Fprintf(stderr, "%d requests sent: %d served, %d failed\n", served+failed, served, failed)
			return nil
		case <-time.After(pause):
		}
	}
}

type outcome struct {
	mu       sync.Mutex
	at       time.Time
	err      error
	freshFor time.Duration
}

func (o *outcome) set(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at, o.err = time.Now(), err
}

// check returns an error if the latest request failed, or is older than freshFor.
func (o *outcome) check() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && time.Since(o.at) > o.freshFor {
		return fmt.Errorf("the latest request is older than %s", o.freshFor)
	}
	return o.err
}
