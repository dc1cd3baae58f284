package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// steps are parts of commands. The scripts in scripts/dev run each part separately. The output of a step is for the
// learner.
var steps = map[string]func(ctx context.Context, l *launch.Launcher) error{
	"preflight":   func(ctx context.Context, l *launch.Launcher) error { return l.Preflight(ctx) },
	"build":       needing(func(ctx context.Context, l *launch.Launcher) error { return l.Build(ctx, false) }),
	"build-tools": needing(func(ctx context.Context, l *launch.Launcher) error { return l.Build(ctx, true) }),
	"adopt":       needing(func(ctx context.Context, l *launch.Launcher) error { return l.Adopt(ctx) }),
}

// needing returns a step that first checks for an engine and Compose.
func needing(do func(ctx context.Context, l *launch.Launcher) error) func(ctx context.Context, l *launch.Launcher) error {
	return func(ctx context.Context, l *launch.Launcher) error {
		if err := l.Need(ctx); err != nil {
			return err
		}
		return do(ctx, l)
	}
}

// answers are the parts whose standard output the scripts in scripts/dev read. These parts write messages for the
// learner to the standard error.
var answers = map[string]func(ctx context.Context, l *launch.Launcher) error{
	"settings": func(_ context.Context, l *launch.Launcher) error {
		for _, name := range engine.Settings {
			fmt.Printf("%s=%s\n", name, l.Setting(name))
		}
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

// newPart returns a hidden command, which only scripts call.
func newPart(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "part NAME",
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
			return usageError{fmt.Errorf("part wants one of %q", slices.Concat(slices.Sorted(maps.Keys(steps)), slices.Sorted(maps.Keys(answers))))}
		},
	}
}
