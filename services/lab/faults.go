package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/spiffe-lab/spiffe-lab/services/internal/classroom"
	"github.com/spiffe-lab/spiffe-lab/services/internal/fault"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// faultCommands returns the commands for the faults of this folder's lab. It does not ask the engine.
func (a *app) faultCommands() (*fault.Commands, *launch.Launcher, error) {
	l, err := a.launcher()
	if err != nil {
		return nil, nil, err
	}
	place := scenario.Place{Dir: l.Dir, Cache: l.Cache(), Project: l.Project, Folder: l.Folder}
	c := &fault.Commands{Place: place, Lab: fault.Real{Launcher: l}, Screen: l.Screen, Errors: screen.New(os.Stderr)}
	if term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())) {
		c.Typed = os.Stdin
	}
	return c, l, nil
}

// onFaults returns the action of a command that needs the lab with the open fault.
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
	var all bool
	command := &cobra.Command{
		Use:               "break [NAME]",
		Short:             "inject the next fault, or the fault NAME, and show its ticket",
		Example:           "  scripts/lab break\n  scripts/lab break clean-up\n  scripts/lab break 1\n  scripts/lab break --all clean-up",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeFaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.Join(args, "")
			if !all {
				return a.onFaults(func(ctx context.Context, c *fault.Commands, _ []string) error { return c.Break(ctx, name) })(cmd, nil)
			}
			if name == "" {
				return usageError{errors.New("break --all wants the NAME of a fault. \"scripts/lab faults\" lists them")}
			}
			return a.onLab(func(ctx context.Context, l *launch.Launcher) error { return classroom.New(l).Break(ctx, name) })(cmd, nil)
		},
	}
	command.Flags().BoolVar(&all, "all", false, "inject the fault into every lab of the classroom")
	return command
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
		Short: "show the ticket again",
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
	var o fault.CheckOptions
	command := &cobra.Command{
		Use:   "check",
		Short: "check whether the fault is fixed, and ask for its cause",
		Long: "Check whether the fault is fixed. If it is, ask on a terminal what the cause was. --cause answers this question\n" +
			"in advance, even before the fault is fixed. For a KEY that does not exist, the command prints all keys.\n\n" +
			"Exit statuses: 0 the fault is fixed; 1 it is not, or the answer is wrong.",
		Example: "  scripts/lab check\n  scripts/lab check --who Ada --cause KEY",
		Args:    cobra.NoArgs,
		RunE:    a.onFaults(func(ctx context.Context, c *fault.Commands, _ []string) error { return c.Check(ctx, o) }),
	}
	command.Flags().StringVar(&o.Who, "who", "", "your name for the result record; it is kept for later faults")
	command.Flags().StringVar(&o.Cause, "cause", "", "the KEY of your answer to the question what the cause was")
	command.Flags().DurationVar(&o.Patience, "patience", fault.DefaultPatience, "how long to wait until a fix takes effect")
	return command
}

func (a *app) hint() *cobra.Command {
	return &cobra.Command{
		Use:   "hint",
		Short: "show the next hint (a fault has three)",
		Args:  cobra.NoArgs,
		RunE:  a.onFaults(func(ctx context.Context, c *fault.Commands, _ []string) error { return c.Hint(ctx) }),
	}
}

func (a *app) giveUp() *cobra.Command {
	return &cobra.Command{
		Use:   "give-up",
		Short: "show the cause of the fault, and fix it",
		Args:  cobra.NoArgs,
		RunE:  a.onFaults(func(ctx context.Context, c *fault.Commands, _ []string) error { return c.GiveUp(ctx) }),
	}
}

func (a *app) reset() *cobra.Command {
	return &cobra.Command{
		Use:   "reset",
		Short: "fix the fault, without showing its cause",
		Args:  cobra.NoArgs,
		RunE:  a.onFaults(func(ctx context.Context, c *fault.Commands, _ []string) error { return c.Reset(ctx) }),
	}
}

func (a *app) receipts() *cobra.Command {
	return &cobra.Command{
		Use:   "receipts [FILE...]",
		Short: "show the result records of all learners in one table",
		Long: "Show the result records in one table: who fixed which fault, at which try the learner named the cause, how many\n" +
			"hints the learner used, and how long the learner needed. Without a FILE the records of every lab of this folder are shown.",
		Example: "  scripts/lab receipts\n  scripts/lab receipts ada.jsonl bob.jsonl",
		RunE: func(_ *cobra.Command, args []string) error {
			c, _, err := a.faultCommands()
			if err != nil {
				return err
			}
			return c.Receipts(args)
		},
	}
}
