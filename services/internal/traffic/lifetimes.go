package traffic

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// Past waits until the time in the parameter at. If the wait would be longer than the parameter within, Past fails at once. During a long
// wait it shows every 10 s how many seconds have passed.
func Past(ctx context.Context, screen Screen, clock Clock, at time.Time, within time.Duration) error {
	began := clock.Now()
	if at.Sub(began) > within {
		return fmt.Errorf("%s is still to come: it is %s by the engine's clock", at.Format(time.RFC3339Nano), began.UTC().Format(time.RFC3339))
	}
	defer screen.Clear()
	for now := began; !now.After(at); now = clock.Now() {
		if waited := now.Sub(began); waited >= 10*time.Second {
			screen.Show(fmt.Sprintf("... %d s of at most %d", int(waited.Seconds()), int(within.Seconds())))
		}
		select {
		case <-clock.After(min(at.Sub(now)+time.Millisecond, 10*time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Left has the limits for how long SVIDs are still valid. Most is the upper limit, and Least is the lower limit. Zero means no limit.
type Left struct{ Most, Least time.Duration }

// Holds reports whether the SVID of each service is within these limits. The zero time means that the service has not logged
// its SVID.
func (l Left) Holds(expires map[string]time.Time, services []string, now time.Time) bool {
	for _, service := range services {
		left := expires[service].Sub(now)
		if expires[service].IsZero() || l.Most > 0 && left > l.Most || left < l.Least {
			return false
		}
	}
	return true
}

// describe says how long the SVID of each service is still valid.
func describe(expires map[string]time.Time, services []string, now time.Time) string {
	var words []string
	for _, service := range services {
		if at := expires[service]; at.IsZero() {
			words = append(words, service+" has not logged which SVID it holds")
		} else {
			words = append(words, fmt.Sprintf("the SVID of %s has %d s left", service, int(at.Sub(now).Seconds())))
		}
	}
	return strings.Join(words, ", ")
}

// Wait is a wait that is shown to the learner.
type Wait struct {
	Clock  Clock
	Screen Screen
	Within time.Duration // its longest
	What   string        // what the wait is for, in words
}

// Left waits until the SVIDs of running programs are within the limits of the parameter want. Five times a second it calls the function
// expires, which returns the expiry of each service's SVID. The function expires leaves out a service that has not logged its SVID. If it
// returns an error, the wait ends.
func (w Wait) Left(ctx context.Context, want Left, services []string, expires func(context.Context) (map[string]time.Time, error)) error {
	began, shown := w.Clock.Now(), 0
	defer w.Screen.Clear()
	for {
		held, err := expires(ctx)
		if err != nil {
			return err
		}
		now := w.Clock.Now()
		if want.Holds(held, services, now) {
			return nil
		}
		waited := int(now.Sub(began).Seconds())
		if now.Sub(began) >= w.Within {
			return fmt.Errorf("not within %d s: %s", int(w.Within.Seconds()), describe(held, services, now))
		}
		if waited >= shown+w.Screen.every() {
			shown = waited
			w.Screen.Show(fmt.Sprintf("... %d s of at most %d: %s", waited, int(w.Within.Seconds()), w.What))
		}
		select {
		case <-w.Clock.After(time.Second / 5):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Countdown shows how long it takes until the SVID of a service expires. If traffic is true, it also shows the results of the requests. The
// parameter logs is the output of `docker compose logs --follow` for the service and for "steady", and may end before the SVID expires. If
// the service gets a newer SVID, Countdown returns an error. A goroutine reads the parameter logs, and may run until the end of this
// output.
func Countdown(ctx context.Context, logs io.Reader, screen Screen, clock Clock, service string, expires time.Time, traffic bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := follow(ctx, logs)
	served, failed, before := 0, 0, -1
	seen := false // whether the line about this SVID has come; earlier lines are about other SVIDs
	defer screen.Clear()
	// The older log lines come first, all at once.
	for settled, tick := false, clock.After(time.Second/2); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-lines:
			if !ok {
				lines = nil // the clock still runs
				continue
			}
			who, text := composeLine(line)
			if next, ok := Expiry(text); ok && who == service {
				seen = seen || next.Equal(expires)
				if seen && next.After(expires) {
					return fmt.Errorf("%s got a new SVID before the old one expired", service)
				}
			}
			if who == "steady" && text == success {
				served++
			} else if who == "steady" && strings.HasPrefix(text, "Error ") {
				failed++
			}
			if !settled {
				continue
			}
		case <-tick:
			settled, tick = true, clock.After(time.Second/10)
		}
		now := clock.Now()
		if now.After(expires) {
			return nil
		}
		left := int(expires.Sub(now) / time.Second)
		if left != before && (screen.Terminal || before < 0 || left%5 == 0) {
			line := fmt.Sprintf("... %d s until the SVID of %s expires", left, service)
			if traffic {
				line += fmt.Sprintf("; the traffic so far: %d served, %d failed", served, failed)
			}
			screen.Show(line)
		}
		before = left
	}
}

var expiry = regexp.MustCompile(` expires (\S+Z)$`)

// Expiry returns the expiry of the SVID in a line of a program's log, if the line has one.
func Expiry(line string) (time.Time, bool) {
	found := expiry.FindStringSubmatch(line)
	if found == nil {
		return time.Time{}, false
	}
	at, err := ParseTime(found[1])
	return at, err == nil
}

// composeLine splits "server-1  | text".
func composeLine(line string) (service, text string) {
	who, text, _ := strings.Cut(line, "| ")
	who = strings.TrimSpace(who)
	if i := strings.LastIndex(who, "-"); i > 0 {
		who = who[:i]
	}
	return who, text
}

// follow sends every line of the reader in. It stops at the end of the reader, or when ctx is done.
func follow(ctx context.Context, in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}
