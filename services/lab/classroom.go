package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/classroom"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

func (a *app) classroom() *cobra.Command {
	var results string
	command := &cobra.Command{
		Use:     "classroom N",
		Short:   "start N labs on this machine, each verified",
		Example: "  scripts/lab classroom 20\n  scripts/lab classroom-down",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := classroom.Number(strings.Join(args, ""))
			if err != nil {
				return usageError{err}
			}
			return a.onLab(func(ctx context.Context, l *launch.Launcher) error {
				if results == "" {
					results = l.Cache("bench")
				}
				return classroom.New(l).Up(ctx, n, results)
			})(cmd, nil)
		},
	}
	command.Flags().StringVar(&results, "results", "", "folder for the table as JSON (.cache/bench)")
	return command
}

func (a *app) classroomDown() *cobra.Command {
	return &cobra.Command{
		Use:   "classroom-down",
		Short: "remove the labs of the classroom",
		Args:  cobra.NoArgs,
		RunE:  a.onLab(func(ctx context.Context, l *launch.Launcher) error { return classroom.New(l).Down(ctx) }),
	}
}
