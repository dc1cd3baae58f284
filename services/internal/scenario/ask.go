package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"mvdan.cc/sh/v3/interp"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// serverCLI runs the SPIRE server's command line without printing the command.
func (r *run) serverCLI(ctx context.Context, out io.Writer, args ...string) error {
	return r.lab.Exec(ctx, out, out, lab.SPIREServer, "", append([]string{lab.SPIREServerCLI}, args...)...)
}

// runServerCLI is the helper function that calls serverCLI.
func (r *run) runServerCLI(ctx context.Context, hc interp.HandlerContext, args []string) error {
	return exited(hc, r.serverCLI(ctx, hc.Stdout, args...))
}

// inside runs a program in the container of a service, as a user, without printing the command.
func (r *run) inside(ctx context.Context, hc interp.HandlerContext, args []string) error {
	return exited(hc, r.lab.Exec(ctx, hc.Stdout, hc.Stderr, args[0], args[1], args[2:]...))
}

// exited returns the exit status of a program as an error for the interpreter.
func exited(hc interp.HandlerContext, err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return interp.ExitStatus(exit.ExitCode())
	}
	return answer(hc, err)
}

// served asks whether a new client and the running client are both served.
func (r *run) served(ctx context.Context, _ []string) error {
	if err := r.lab.Exec(ctx, io.Discard, io.Discard, lab.Client, lab.ClientUser, "client", "-wait", "2s", "-timeout", "2s"); err != nil {
		return err
	}
	return r.lab.ClientServed(ctx)
}

func (r *run) uidOf(_ context.Context, args []string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(r.Dir, "spire", "host", "passwd"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[0] == args[0] {
			return []string{fields[2]}, nil
		}
	}
	return nil, fmt.Errorf("spire/host/passwd has no user %q", args[0])
}
