package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
)

// Run runs a command line that begins with docker, as a learner would type it, and returns its exit status. `docker compose` is Compose
// for this lab; exec and run get no terminal, because their output is read. extra has more variables, as NAME=VALUE. A command that
// was ended because ctx is over has the exit status 143, as one that was ended by SIGTERM has in a shell.
func (e *Engine) Run(ctx context.Context, extra, words []string, in io.Reader, out, errOut io.Writer) (int, error) {
	if len(words) < 2 || words[0] != "docker" {
		return 0, fmt.Errorf("%q is not a docker command", words)
	}
	var cmd *exec.Cmd
	if words[1] == "compose" {
		args := slices.Clone(words[2:])
		if len(args) > 0 && (args[0] == "exec" || args[0] == "run") {
			args = slices.Insert(args, 1, "-T")
		}
		cmd = e.Compose(ctx, extra, args...)
	} else {
		cmd = e.Command(ctx, extra, "docker", words[1:]...)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errOut
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 143, nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	}
	return 0, err
}
