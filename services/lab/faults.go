package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/fault"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// faultCommands returns what can be done with the faults of the lab of this folder. It asks the engine nothing yet.
func (a *app) faultCommands() (*fault.Commands, *launch.Launcher, error) {
	l, err := a.launcher()
	if err != nil {
		return nil, nil, err
	}
	place := scenario.Place{Dir: l.Dir, Cache: l.Cache(), Project: l.Project}
	return &fault.Commands{Place: place, Lab: fault.Real{Launcher: l}, Screen: l.Screen, Errors: screen.New(os.Stderr)}, l, nil
}

// onFaults returns the action of a command that needs the lab of the open fault.
func (a *app) onFaults(do func(ctx context.Context, c *fault.Commands, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, l, err := a.faultCommands()
		if err != nil {
			return err
		}
		if err := l.Need(cmd.Context()); err != nil {
			return err
		}
		if err := do(cmd.Context(), c, args); !errors.Is(err, fault.ErrNotYet) {
			return err
		}
		return exitStatus(exitFailure)
	}
}

func (a *app) faults() *cobra.Command {
	var reset bool
	command := &cobra.Command{
		Use:   "faults",
		Short: "list the faults that you can find and fix, with your progress",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, _, err := a.faultCommands()
			if err != nil {
				return err
			}
			return c.List(reset)
		},
	}
	command.Flags().BoolVar(&reset, "reset", false, "forget the progress")
	return command
}

func (a *app) breakLab() *cobra.Command {
	return &cobra.Command{
		Use:               "break [NAME]",
		Short:             "inject the next fault, or this one, and show what somebody complains of",
		Example:           "  scripts/lab break\n  scripts/lab break clean-up\n  scripts/lab break 1",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeFaults,
		RunE: a.onFaults(func(ctx context.Context, c *fault.Commands, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return c.Break(ctx, name)
		}),
	}
}

func (a *app) completeFaults(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := fault.List(a.dir)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, f := range all {
		names = append(names, cobra.CompletionWithDesc(f.Short(), f.Symptom))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) ticket() *cobra.Command {
	return &cobra.Command{
		Use:   "ticket",
		Short: "show the complaint again",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, _, err := a.faultCommands()
			if err != nil {
				return err
			}
			return c.Ticket()
		},
	}
}

func (a *app) check() *cobra.Command {
	var who string
	var patience time.Duration
	command := &cobra.Command{
		Use:   "check",
		Short: "is the fault fixed?",
		Args:  cobra.NoArgs,
		RunE: a.onFaults(func(ctx context.Context, c *fault.Commands, _ []string) error {
			return c.Check(ctx, who, patience, false)
		}),
	}
	command.Flags().StringVar(&who, "who", "", "your name, for the result record; it is remembered")
	command.Flags().DurationVar(&patience, "patience", fault.DefaultPatience, "how long what is not right yet may be on its way")
	return command
}

func (a *app) hint() *cobra.Command {
	return &cobra.Command{
		Use:   "hint",
		Short: "show the next of three hints",
		Args:  cobra.NoArgs,
		RunE:  a.onFaults(func(ctx context.Context, c *fault.Commands, _ []string) error { return c.Hint(ctx) }),
	}
}

func (a *app) giveUp() *cobra.Command {
	return &cobra.Command{
		Use:   "give-up",
		Short: "show what the fault was, and fix it",
		Args:  cobra.NoArgs,
		RunE:  a.onFaults(func(ctx context.Context, c *fault.Commands, _ []string) error { return c.GiveUp(ctx) }),
	}
}

func (a *app) reset() *cobra.Command {
	return &cobra.Command{
		Use:   "reset",
		Short: "fix the fault without a word",
		Args:  cobra.NoArgs,
		RunE:  a.onFaults(func(ctx context.Context, c *fault.Commands, _ []string) error { return c.Reset(ctx) }),
	}
}
