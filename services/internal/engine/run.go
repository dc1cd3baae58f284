package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
)

// Run runs a command line as a learner would type it, and returns the exit status. The command line begins with docker. `docker compose`
// works on this lab. `docker compose exec` and `docker compose run` get no terminal, because a program reads their output. The parameter
// extra has further environment variables, as NAME=VALUE. If ctx ends before the command, the exit status is 143, as after SIGTERM in a
// shell.
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
