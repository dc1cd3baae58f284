package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

func (a *app) down() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "remove the lab's containers, networks and volumes",
		Args:  cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			if err := l.Need(ctx); err != nil {
				return err
			}
			return l.Down(ctx)
		}),
	}
}

func (a *app) clean() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "down, and remove what was built in this folder (images stay)",
		Args:  cobra.NoArgs,
		RunE:  a.onLab(func(ctx context.Context, l *launch.Launcher) error { return l.Clean(ctx) }),
	}
}
