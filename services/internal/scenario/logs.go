package scenario

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
)

// markLogs sets the time from which log lines count.
func (r *run) markLogs(ctx context.Context) error {
	now, err := r.lab.Now(ctx)
	if err == nil {
		r.stepBegan = now
	}
	return err
}

// matching returns the matching lines that a service has logged since the step began.
func (r *run) matching(ctx context.Context, service, regex string) ([]engine.Line, error) {
	expression, err := regexp.Compile(regex)
	if err != nil {
		return nil, err
	}
	all, err := r.lab.Log(ctx, service, r.stepBegan)
	if errors.Is(err, engine.ErrNoContainer) {
		// A container that does not exist has no log, which is different from an empty log.
		return nil, fmt.Errorf("%w, so there is no log", err)
	}
	var found []engine.Line
	for _, line := range all {
		if expression.MatchString(line.Text) {
			found = append(found, line)
		}
	}
	return found, err
}

func (r *run) await(ctx context.Context, service, regex, why string) ([]engine.Line, error) {
	for began := time.Now(); ; {
		found, err := r.matching(ctx, service, regex)
		if err == nil && len(found) > 0 {
			return found, nil
		}
		if time.Since(began) >= r.options.LogLimit {
			if err != nil {
				return nil, failf("%s: the log of %s cannot be read: %v", why, service, err)
			}
			return nil, failf("%s: %s did not log within %d s: %s", why, service, int(r.options.LogLimit.Seconds()), regex)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// expectLog waits until a service has logged a matching line since the step began. It prints the last matching line.
func (r *run) expectLog(ctx context.Context, args []string) error {
	service, why := args[0], args[2]
	found, err := r.await(ctx, service, args[1], why)
	if err != nil {
		return err
	}
	r.out.Say("    %s logs: %s", service, found[len(found)-1].Text)
	return r.ok("%s", why)
}

// expectLogWithin checks that the first matching line is at most a number of seconds later than a time.
func (r *run) expectLogWithin(ctx context.Context, args []string) error {
	most, from, service, why := number(args[0]), moment(args[1]), args[2], args[4]
	found, err := r.await(ctx, service, args[3], why)
	if err != nil {
		return err
	}
	// For a line from before that time, the delay counts as 0 s.
	took := max(found[0].Time.Sub(from), 0)
	if took > time.Duration(most)*time.Second {
		return failf("%s: it took %.2f s, not %d s at most", why, took.Seconds(), most)
	}
	r.out.Say("    %s logs, %.2f s later: %s", service, took.Seconds(), found[0].Text)
	return r.ok("%s", why)
}

// expectNoLog checks that a service has logged no matching line since the step began. If there is no log, the check
// fails.
func (r *run) expectNoLog(ctx context.Context, args []string) error {
	service, why := args[0], args[2]
	found, err := r.matching(ctx, service, args[1])
	if err != nil {
		return failf("%s: the log of %s cannot be read: %v", why, service, err)
	}
	if len(found) > 0 {
		return failf("%s: %s logged: %s", why, service, found[len(found)-1].Text)
	}
	return r.ok("%s", why)
}

// logged reports whether a service has logged a matching line since the step began.
func (r *run) logged(ctx context.Context, args []string) error {
	found, err := r.matching(ctx, args[0], args[1])
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s did not log: %s", args[0], args[1])
	}
	return err
}

func (r *run) logOf(ctx context.Context, args []string) ([]string, error) {
	return r.texts(ctx, args[0], time.Time{})
}

func (r *run) newLines(ctx context.Context, args []string) ([]string, error) {
	return r.texts(ctx, args[0], r.stepBegan)
}

func (r *run) texts(ctx context.Context, service string, since time.Time) ([]string, error) {
	all, err := r.lab.Log(ctx, service, since)
	var texts []string
	for _, line := range all {
		texts = append(texts, line.Text)
	}
	return texts, err
}
