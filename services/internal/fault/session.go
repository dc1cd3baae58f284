package fault

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/interp"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// Lab has the functions of a lab that a fault needs.
type Lab interface {
	scenario.Lab
	// Image is the full name of one of the lab's images.
	Image(name string) string
	// ImageWithFile builds a copy of an image with a file replaced.
	ImageWithFile(ctx context.Context, image, base, path string, mode os.FileMode, content []byte) error
	// ServerVariant builds an image with the server. In the server's source code, one text is replaced.
	ServerVariant(ctx context.Context, image, old, replacement string) error
	// Report returns the lab's report. It names the questions that got no answer within the patience.
	Report(ctx context.Context, patience time.Duration) *facts.Facts
}

// Real is a lab on a container engine.
type Real struct{ *launch.Launcher }

// Report implements [Lab].
func (r Real) Report(ctx context.Context, patience time.Duration) *facts.Facts {
	return report.Gather(ctx, r.Engine, report.Options{Patience: patience})
}

// session is one fault in one lab. Helper functions in a pipe run at the same time, so a lock guards the fields that they share.
type session struct {
	*Fault
	scenario.Place
	lab    Lab
	kept   progress.Progress
	shared scenario.Shared
	shell  *interp.Runner
	pause  time.Duration // between two checks of a condition

	mu     sync.Mutex
	part   string // the function of the fault that runs now
	strict bool   // a command that fails ends the function
	held   bool   // whether the condition holds
	said   string // the output of the condition
}

func newSession(l Lab, place scenario.Place, kept progress.Progress, f *Fault) (*session, error) {
	s := &session{Fault: f, Place: place, lab: l, kept: kept, shared: scenario.Share(l, place), pause: 200 * time.Millisecond}
	var err error
	s.shell, err = f.load(map[string]string{"project": place.Project}, s.call)
	return s, err
}

func (s *session) call(ctx context.Context, hc interp.HandlerContext, args []string) error {
	if declarations[args[0]] != nil {
		return nil // Read has already read the declarations
	}
	if helper := helpers[args[0]]; helper != nil {
		if err := scenario.CheckArguments(helper.usage, args[1:]); err != nil {
			return err
		}
		return helper.do(s, ctx, hc, args[1:])
	}
	if ok, err := s.shared.Call(ctx, hc, args); ok {
		return err
	}
	return scenario.Failf("%s is not a helper function; a script runs no other program", args[0])
}

func (s *session) has(function string) bool { return s.shell.Funcs[function] != nil }

// do runs a function of the fault. Its error ends with the last output of the function.
func (s *session) do(ctx context.Context, function string) error {
	s.setStrict(true)
	s.setPart(function)
	defer s.setPart("")
	var out scenario.LockedBuffer
	err := runIn(ctx, s.shell, &out, "-e", function)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if said := engine.LastLine(out.String()); scenario.IsStatus(err) && said != "" {
		return fmt.Errorf("%s of %s failed: %s", function, s.Name, said)
	}
	return fmt.Errorf("%s of %s failed: %w", function, s.Name, err)
}

func (s *session) optional(ctx context.Context, function string) error {
	if !s.has(function) {
		return nil
	}
	return s.do(ctx, function)
}

// holds reports whether a condition, which is shell text, holds. It discards the output.
func (s *session) holds(ctx context.Context, condition string) (bool, error) {
	s.setStrict(false)
	err := runIn(ctx, s.shell, io.Discard, "+e", condition)
	if err == nil || scenario.IsStatus(err) {
		return err == nil, nil
	}
	return false, err
}

func (s *session) setStrict(strict bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strict = strict
}

func (s *session) setPart(function string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part = function
}

// waitUntil polls a condition, which is a command of the script, until the command succeeds. The interpreter runs this command, because it
// may be a function of the script. It runs with "set +e": if one command within that function fails, the next command still runs.
func (s *session) waitUntil(ctx context.Context, hc interp.HandlerContext, args []string) error {
	line, err := scenario.Quoted(args[2:])
	if err != nil {
		return err
	}
	s.mu.Lock()
	text := "set +e; said=$(" + line + " 2>&1); __found $? \"$said\""
	if s.strict {
		text += "; set -e"
	}
	s.mu.Unlock()
	limit := time.Duration(number(args[0])) * time.Second
	return scenario.Answer(hc, s.until(ctx, limit, args[1], func() error {
		if err := hc.Builtin(ctx, []string{"eval", text}); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.held {
			return nil
		}
		return fmt.Errorf("%s", engine.LastLine(s.said))
	}))
}

// found is the helper function with which the shell code of waitUntil passes the exit status and the output of a condition.
func (s *session) found(_ context.Context, _ interp.HandlerContext, args []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.said = args[0] == "0", args[1]
	return nil
}

// until polls a condition until it holds. After a timeout, the error has the description of the condition, and the last error of the
// condition.
func (s *session) until(ctx context.Context, limit time.Duration, what string, condition func() error) error {
	for began := time.Now(); ; {
		err := condition()
		if err == nil {
			return nil
		}
		if time.Since(began) >= limit {
			text := fmt.Sprintf("timed out after %d s waiting for: %s", int(limit.Seconds()), what)
			if err.Error() != "" {
				text += ": " + err.Error()
			}
			return fmt.Errorf("%s", text)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.pause):
		}
	}
}

// docker runs a docker command silently. Its error has the last line of the output.
func (s *session) docker(ctx context.Context, in io.Reader, words ...string) (string, error) {
	var out scenario.LockedBuffer
	status, err := s.lab.Run(ctx, nil, append([]string{"docker"}, words...), in, &out, &out)
	if err == nil && status != 0 {
		err = fmt.Errorf("docker %s: exit status %d: %s", strings.Join(words[:min(2, len(words))], " "), status, engine.LastLine(out.String()))
	}
	return out.String(), err
}

func (s *session) compose(ctx context.Context, words ...string) (string, error) {
	return s.docker(ctx, nil, append([]string{"compose"}, words...)...)
}

func (s *session) spire(ctx context.Context, service string, args ...string) (string, error) {
	var out, errOut bytes.Buffer
	if err := s.lab.Exec(ctx, &out, &errOut, service, "", append([]string{serverCLI}, args...)...); err != nil {
		return "", fmt.Errorf("spire-server %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, engine.LastLine(errOut.String()+out.String()))
	}
	return out.String(), nil
}

// container returns the container of a service, running or not.
func (s *session) container(ctx context.Context, service string) (engine.Container, error) {
	all, err := s.lab.Containers(ctx)
	if err != nil {
		return engine.Container{}, err
	}
	for _, container := range all {
		if container.Service == service {
			return container, nil
		}
	}
	return engine.Container{}, fmt.Errorf("%w of %s", engine.ErrNoContainer, service)
}

func (s *session) runs(ctx context.Context, service string) (bool, error) {
	all, err := s.lab.Containers(ctx)
	for _, container := range all {
		if container.Service == service && container.State == "running" {
			return true, err
		}
	}
	return false, err
}
