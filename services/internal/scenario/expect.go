package scenario

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"
)

// passed is for a check that held: it counts and prints the check.
func (r *run) passed(_ context.Context, args []string) error {
	r.checks++
	r.out.Say("  %sok%s %s", r.out.Green, r.out.Plain, args[0])
	return nil
}

func (r *run) ok(format string, args ...any) error {
	return r.passed(context.Background(), []string{fmt.Sprintf(format, args...)})
}

func (r *run) fail(_ context.Context, args []string) error { return &failure{args[0]} }

// expectExit checks the exit status of the last command.
func (r *run) expectExit(_ context.Context, args []string) error {
	if want := number(args[0]); r.exitStatus != want {
		return failf("%s: exit status is %d, not %d", args[1], r.exitStatus, want)
	}
	return r.ok("%s", args[1])
}

// expectSuccess checks that the last command had the exit status 0.
func (r *run) expectSuccess(ctx context.Context, args []string) error {
	return r.expectExit(ctx, []string{"0", args[0]})
}

func (r *run) expectOutput(_ context.Context, args []string) error {
	if !strings.Contains(r.output, args[0]) {
		return failf("%s: the output lacks: %s", args[1], args[0])
	}
	return r.ok("%s", args[1])
}

func (r *run) expectNoOutput(_ context.Context, args []string) error {
	if strings.Contains(r.output, args[0]) {
		return failf("%s: the output has: %s", args[1], args[0])
	}
	return r.ok("%s", args[1])
}

// expectSoon prints a command and repeats it until its output has a text.
func (r *run) expectSoon(ctx context.Context, args []string) error {
	seconds, text, why, command := number(args[0]), args[1], args[2], args[3:]
	r.showCommand(command)
	held, err := r.wait(ctx, seconds, why, func() (bool, error) {
		err := r.execute(ctx, command)
		return strings.Contains(r.output, text), err
	})
	if err != nil {
		return err
	}
	r.showResult()
	if !held {
		return failf("%s: after %d s the output lacks: %s", why, seconds, text)
	}
	return r.ok("%s", why)
}

// expect checks that a condition holds now. A condition is a command of the script: a function or a helper function.
func (r *run) expect(ctx context.Context, hc interp.HandlerContext, args []string) error {
	held, err := r.condition(ctx, hc, args[1:])
	if err != nil {
		return err
	}
	if !held {
		return failf("%s: this does not hold: %s", args[0], typed(args[1:]))
	}
	return r.ok("%s", args[0])
}

// eventually checks that a condition holds within a time.
func (r *run) eventually(ctx context.Context, hc interp.HandlerContext, args []string) error {
	seconds, why, command := number(args[0]), args[1], args[2:]
	held, err := r.wait(ctx, seconds, why, func() (bool, error) { return r.condition(ctx, hc, command) })
	if err != nil {
		return err
	}
	if !held {
		return failf("%s: not within %d s: %s", why, seconds, typed(command))
	}
	return r.ok("%s", why)
}

// condition reports whether a command of the script succeeds, and drops its output. The interpreter must run the command, because it may be
// a function of the script.
func (r *run) condition(ctx context.Context, hc interp.HandlerContext, command []string) (bool, error) {
	line, err := quoted(command)
	if err != nil {
		return false, err
	}
	r.setHeld(false)
	if err := hc.Builtin(ctx, []string{"eval", "if " + line + " >/dev/null 2>&1; then __held; fi"}); err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held, nil
}

// conditionHeld implements the command __held. The function condition runs __held if the command of the script has succeeded.
func (r *run) conditionHeld(context.Context, interp.HandlerContext, []string) error {
	r.setHeld(true)
	return nil
}

func (r *run) setHeld(held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = held
}

// wait polls a condition, and prints what it waits for.
func (r *run) wait(ctx context.Context, seconds int, what string, condition func() (bool, error)) (bool, error) {
	wait := r.out.NewWait()
	defer wait.End()
	for {
		if held, err := condition(); held || err != nil {
			return held, err
		}
		if wait.Seconds() >= seconds {
			return false, nil
		}
		wait.Tell(func(now int) string { return fmt.Sprintf("... %d s of at most %d: %s", now, seconds, what) })
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
