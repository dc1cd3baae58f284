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

// Past waits until a time is over. If that is further off than within, it fails at once. A long wait is shown every 10 s.
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

// Left is how long SVIDs have left to live: at most, at least, or both. Zero is no limit.
type Left struct{ Most, Least time.Duration }

// Holds tells whether the SVID of each service has so long left. The zero time is a service that has not said what it holds.
func (l Left) Holds(expires map[string]time.Time, services []string, now time.Time) bool {
	for _, service := range services {
		left := expires[service].Sub(now)
		if expires[service].IsZero() || l.Most > 0 && left > l.Most || left < l.Least {
			return false
		}
	}
	return true
}

// describe says how long the SVID of each service has left.
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

// Wait is a wait that people watch.
type Wait struct {
	Clock  Clock
	Screen Screen
	Within time.Duration // its longest
	What   string        // what is waited for, in words
}

// Left waits until the SVIDs that running programs hold have so long left. It asks expires for all services, five times
// a second: when the SVID of each expires. A service that has not logged it is left out. An error of expires ends the wait.
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

// Countdown shows how long it takes until the SVID of a service expires, and how the traffic fares if there is any. It
// reads what `docker compose logs --follow` writes of the service, and of "steady"; logs may end before. It is an
// error if the service logs a newer SVID. Its reader of logs ends with logs.
func Countdown(ctx context.Context, logs io.Reader, screen Screen, clock Clock, service string, expires time.Time, traffic bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := follow(ctx, logs)
	served, failed, before := 0, 0, -1
	seen := false // the line that tells of this SVID: those before it tell of others
	defer screen.Clear()
	// What was logged before comes first, all at once.
	for settled, tick := false, clock.After(time.Second/2); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-lines:
			if !ok {
				lines = nil // the clock goes on
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

// Expiry returns when the SVID expires of which a program has logged this line, if the line tells of one.
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

// follow sends every line until in ends, or ctx.
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
