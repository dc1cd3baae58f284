package scenario

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/traffic"
)

// There is one clock, the engine's, because the learner's may be wrong.

// engineTime prints the time by the engine's clock.
func (r *run) engineTime(ctx context.Context, _ []string) ([]string, error) {
	now, err := r.lab.Now(ctx)
	return []string{now.UTC().Format(time.RFC3339Nano)}, err
}

// clock returns the engine's clock.
func (r *run) clock(ctx context.Context) (traffic.Clock, error) {
	now, err := r.lab.Now(ctx)
	if err != nil {
		return nil, err
	}
	return traffic.ClockAt(now), nil
}

func (r *run) waits() traffic.Screen { return traffic.Screen{Out: r.out, Terminal: r.out.Terminal} }

// quick prints the first argument in the short form of the scenario, else the second.
func (r *run) quick(_ context.Context, args []string) ([]string, error) {
	if r.options.Quick {
		return args[:1], nil
	}
	return args[1:], nil
}

// heldUntil prints when the SVID expires that the running program of a service holds, as the program logged it.
func (r *run) heldUntil(ctx context.Context, args []string) ([]string, error) {
	at, err := r.expiry(ctx, args[0])
	if err != nil || at.IsZero() {
		return nil, err
	}
	return []string{at.UTC().Format(time.RFC3339Nano)}, nil
}

// expiry returns the zero time if the service has not logged it.
func (r *run) expiry(ctx context.Context, service string) (time.Time, error) {
	all, err := r.lab.Log(ctx, service, time.Time{})
	var expires time.Time
	for _, line := range all {
		if at, ok := traffic.Expiry(line.Text); ok {
			expires = at
		}
	}
	return expires, err
}

// expectPast waits until a time is over. It fails at once if that is more than so many seconds away.
func (r *run) expectPast(ctx context.Context, args []string) error {
	clock, err := r.clock(ctx)
	if err != nil {
		return err
	}
	if err := traffic.Past(ctx, r.waits(), clock, moment(args[1]), time.Duration(number(args[0]))*time.Second); err != nil {
		return failf("%s: %v", args[2], err)
	}
	return r.ok("%s", args[2])
}

// expectLeft waits until the SVIDs that running programs hold are valid for so long: at most, or at least.
func (r *run) expectLeft(ctx context.Context, args []string) error {
	bound, seconds, limit, why, services := args[0], time.Duration(number(args[1]))*time.Second, time.Duration(number(args[2]))*time.Second, args[3], args[4:]
	want := traffic.Left{Least: seconds}
	if bound == "most" {
		want = traffic.Left{Most: seconds}
	}
	clock, err := r.clock(ctx)
	if err != nil {
		return err
	}
	wait := traffic.Wait{Clock: clock, Screen: r.waits(), Within: limit, What: why}
	err = wait.Left(ctx, want, services, func(ctx context.Context) (map[string]time.Time, error) {
		expires := map[string]time.Time{}
		for _, service := range services {
			at, err := r.expiry(ctx, service)
			if err != nil {
				return nil, err
			}
			expires[service] = at
		}
		return expires, nil
	})
	if err != nil {
		return failf("%s: %v", why, err)
	}
	return r.ok("%s", why)
}

// countdown waits until the SVID that a service holds has expired, and shows how long that still takes.
func (r *run) countdown(ctx context.Context, args []string) error {
	service := args[0]
	expires, err := r.expiry(ctx, service)
	if err != nil {
		return err
	}
	if expires.IsZero() {
		return failf("%s has not logged which SVID it holds", service)
	}
	clock, err := r.clock(ctx)
	if err != nil {
		return err
	}
	withTraffic := !r.trafficBegan.IsZero()
	words := strings.Fields("docker compose logs --follow --no-color " + service)
	if withTraffic {
		words = append(words, lab.Steady)
	}
	follow, stop := context.WithCancel(ctx)
	logs, end := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := r.lab.Run(follow, nil, words, nil, end, io.Discard)
		end.CloseWithError(err)
	}()
	err = traffic.Countdown(ctx, logs, r.waits(), clock, service, expires, withTraffic)
	stop()
	logs.Close()
	<-done
	if err != nil {
		return failf("the SVID of %s has not expired: %v", service, err)
	}
	return r.ok("the SVID of %s has expired, by the clock", service)
}

// expectRotations wants each rotation of a service since the step began to begin with the serial number at which the one before ended,
// and to keep the SPIFFE ID.
func (r *run) expectRotations(ctx context.Context, args []string) error {
	service, id := args[0], args[1]
	found, err := r.matching(ctx, service, " rotated: ")
	if err != nil {
		return failf("%s: %v", service, err)
	}
	var texts []string
	for i, line := range found {
		texts = append(texts, line.Text)
		if i < 3 {
			r.out.Say("    %s", line.Text)
		}
	}
	number, err := traffic.Rotations(texts, id)
	if err != nil {
		return failf("%s: %v", service, err)
	}
	return r.ok("%s: %d rotations, each from one serial to another, the SPIFFE ID is always %s", service, number, id)
}
