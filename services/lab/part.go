package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
	"github.com/spiffe-lab/spiffe-lab/services/internal/traffic"
)

// parts are the programs behind those scripts that are still shell: each reads its arguments and standard input, and
// returns its exit status.
var parts = map[string]func(args []string, in io.Reader, out, errOut io.Writer) int{
	"traffic": traffic.Main,
}

// steps are what those scripts ask of the lab itself. What they print is for the learner.
var steps = map[string]func(ctx context.Context, l *launch.Launcher) error{
	"preflight":   func(ctx context.Context, l *launch.Launcher) error { return l.Preflight(ctx) },
	"build":       needing(func(ctx context.Context, l *launch.Launcher) error { return l.Build(ctx, false) }),
	"build-tools": needing(func(ctx context.Context, l *launch.Launcher) error { return l.Build(ctx, true) }),
	"adopt":       needing(func(ctx context.Context, l *launch.Launcher) error { return l.Adopt(ctx) }),
}

// needing is a step that needs an engine and Compose.
func needing(do func(ctx context.Context, l *launch.Launcher) error) func(ctx context.Context, l *launch.Launcher) error {
	return func(ctx context.Context, l *launch.Launcher) error {
		if err := l.Need(ctx); err != nil {
			return err
		}
		return do(ctx, l)
	}
}

// answers are what those scripts read from the standard output. What is for the learner goes to the standard error.
var answers = map[string]func(ctx context.Context, l *launch.Launcher) error{
	"settings": func(_ context.Context, l *launch.Launcher) error {
		for _, name := range engine.Settings {
			fmt.Printf("%s=%s\n", name, l.Setting(name))
		}
		fmt.Printf("LAB_VOLUMES=%s\n", strings.Join(lab.Volumes, " "))
		return nil
	},
	"engine": func(ctx context.Context, l *launch.Launcher) error {
		if err := l.Connect(ctx); err != nil {
			return err
		}
		return printEngine(l)
	},
	"compose": func(ctx context.Context, l *launch.Launcher) error {
		if err := l.Need(ctx); err != nil {
			return err
		}
		fmt.Printf("COMPOSE=%s\n", l.ComposeProgram())
		return printEngine(l)
	},
}

func printEngine(l *launch.Launcher) error {
	fmt.Printf("ENGINE_ARCH=%s\nPODMAN=%s\n", l.Arch, l.Podman)
	if l.Podman != "" {
		fmt.Println("LAB_DNS=")
	}
	return nil
}

// newPart is hidden: scripts call it, not people.
func newPart(a *app) *cobra.Command {
	command := &cobra.Command{
		Use:    "part NAME [ARG...]",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && steps[args[0]] != nil {
				return a.onLab(steps[args[0]])(cmd, nil)
			}
			if len(args) == 1 && answers[args[0]] != nil {
				l, err := a.launcher()
				if err != nil {
					return err
				}
				l.Screen = screen.New(os.Stderr)
				return answers[args[0]](cmd.Context(), l)
			}
			if len(args) == 0 || parts[args[0]] == nil {
				return usageError{fmt.Errorf("part wants one of %q", slices.Concat(slices.Sorted(maps.Keys(parts)), slices.Sorted(maps.Keys(steps)), slices.Sorted(maps.Keys(answers))))}
			}
			if status := parts[args[0]](args[1:], os.Stdin, os.Stdout, os.Stderr); status != 0 {
				return exitStatus(status)
			}
			return nil
		},
	}
	command.Flags().SetInterspersed(false) // what follows NAME is for the part
	return command
}
