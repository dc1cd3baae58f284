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

// retryDelay is the pause after the first failed request; it doubles up to the interval. So a
// server that starts or restarts is found at once.
const retryDelay = 250 * time.Millisecond

// retryAfter is the pause after so many failures in a row.
func retryAfter(failures int, interval time.Duration) time.Duration {
	pause := retryDelay
	for i := 1; i < failures && pause < interval; i++ {
		pause *= 2
	}
	return min(pause, interval)
}

// startupGrace is how long a server that does not listen yet is no failure: the lab's services
// start at the same time, and either may be the first.
const startupGrace = 3 * time.Second

// lastRequest is how long a request that has begun may still take when the loop is told to stop.
const lastRequest = 3 * time.Second

// loop sends a request every interval until ctx is done. A failure is reported, and it goes on.
// At its end it accounts for every request; so one that has begun is not cut off at once.
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

// outcome is how the latest request ended.
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

// check is the client's health: its latest request was served, and not long ago.
func (o *outcome) check() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && time.Since(o.at) > o.freshFor {
		return fmt.Errorf("the latest request is older than %s", o.freshFor)
	}
	return o.err
}
