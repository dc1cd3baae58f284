package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

func (a *app) images() *cobra.Command {
	return &cobra.Command{
		Use:   "images",
		Short: "build every image from Go modules, without a registry",
		Args:  cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			if err := l.Need(ctx); err != nil {
				return err
			}
			return l.FromModules(ctx, true)
		}),
	}
}
