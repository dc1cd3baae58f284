package scenario

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/traffic"
)

// All times come from the engine's clock, because the learner's clock may be wrong.

// engineTime prints the time by the engine's clock.
func (r *run) engineTime(ctx context.Context, _ []string) ([]string, error) {
	now, err := r.lab.Now(ctx)
	return []string{now.UTC().Format(time.RFC3339Nano)}, err
}

func (r *run) clock(ctx context.Context) (traffic.Clock, error) {
	now, err := r.lab.Now(ctx)
	if err != nil {
		return nil, err
	}
	return traffic.ClockAt(now), nil
}

func (r *run) waits() traffic.Screen { return traffic.Screen{Out: r.out, Terminal: r.out.Terminal} }

// quick prints its first argument in the quick form of the scenario, and its second argument in the full form.
func (r *run) quick(_ context.Context, args []string) ([]string, error) {
	if r.options.Quick {
		return args[:1], nil
	}
	return args[1:], nil
}

// heldUntil prints the expiry of the SVID that the running program of a service holds. It reads the expiry from the program's log.
func (r *run) heldUntil(ctx context.Context, args []string) ([]string, error) {
	at, err := r.expiry(ctx, args[0])
	if err != nil || at.IsZero() {
		return nil, err
	}
	return []string{at.UTC().Format(time.RFC3339Nano)}, nil
}

// expiry returns the time at which the SVID of a service's running program expires, or the zero time if the service has not logged that
// time.
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

// expectPast waits until a time has passed. If the wait would take more than a number of seconds, expectPast fails at once.
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

// expectLeft waits until the SVIDs of running programs are valid for at most, or at least, a number of seconds.
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

// countdown waits until the SVID that a service holds has expired, and prints the remaining time.
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

// expectRotations checks the rotations of a service since the step began. Each rotation must start with the serial number with which the
// previous rotation ended, and keep the SPIFFE ID.
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
