package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/kit"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

func (a *app) kit() *cobra.Command {
	var folder string
	command := &cobra.Command{
		Use:   "kit",
		Short: "pack the lab with its images into one file, for a room without a network",
		Args:  cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			if folder == "" {
				folder = l.Cache("kit")
			}
			absolute, err := filepath.Abs(folder)
			if err != nil {
				return err
			}
			return kit.Pack(ctx, l, absolute)
		}),
	}
	command.Flags().StringVar(&folder, "to", "", "folder for the file (.cache/kit)")
	return command
}

// kitStart returns a hidden command, which a kit's start script calls.
func (a *app) kitStart() *cobra.Command {
	return &cobra.Command{
		Use:    "kit-start FOLDER",
		Short:  "check a kit, load its images and start its lab",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if err := kit.Check(folder); err != nil {
				return err
			}
			a.dir = kit.Folder(folder)
			return a.onLab(func(ctx context.Context, l *launch.Launcher) error { return kit.Start(ctx, l, folder) })(cmd, nil)
		},
	}
}
