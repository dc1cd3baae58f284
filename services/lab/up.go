package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

func (a *app) up() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "start the lab, and wait until the client is served",
		Args:  cobra.NoArgs,
		RunE:  a.onLab(func(ctx context.Context, l *launch.Launcher) error { return l.Up(ctx) }),
	}
}
