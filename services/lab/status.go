package main

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show what runs, and whether the client is served",
		Args:  cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			if err := l.NeedRunning(ctx); err != nil {
				return err
			}
			if err := l.Show(l.Compose(ctx, nil, "ps", "--all", "--format", "table {{.Service}}\t{{.Status}}"), "ps --all"); err != nil {
				return err
			}
			l.Screen.Say("")
			service, err := l.ImageOfAnotherFolder(ctx)
			if err != nil {
				return err
			}
			if service != "" {
				l.Screen.Say("%s runs an image that was not built in this folder: another clone has built %s. make up starts this folder's own;\nLAB_TAG=another, for each command, keeps the images of two clones apart", service, l.Image("workload"))
			}
			if err := l.ClientServed(ctx); err != nil {
				l.Screen.Say("%sthe client's latest request was not served:%s %v", l.Screen.Red, l.Screen.Plain, err)
				return exitStatus(exitFailure)
			}
			l.Screen.Say("%sthe client's latest request was served%s", l.Screen.Green, l.Screen.Plain)
			return nil
		}),
	}
}

func (a *app) logs() *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use:     "logs",
		Short:   "follow the logs of the two programs",
		Example: "  scripts/lab logs\n  scripts/lab logs --all",
		Args:    cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			if err := l.Need(ctx); err != nil {
				return err
			}
			args := []string{"logs", "--follow"}
			if l.Screen.Plain == "" { // TERM=dumb, NO_COLOR
				args = append(args, "--no-color")
			}
			if !all {
				args = append(args, lab.Bootstrap, lab.Server, lab.Client)
			}
			cmd := l.Compose(ctx, nil, args...)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			return cmd.Run()
		}),
	}
	command.Flags().BoolVar(&all, "all", false, "the logs of SPIRE's server and agent too")
	return command
}

func (a *app) entries() *cobra.Command {
	return &cobra.Command{
		Use:   "entries",
		Short: "show the registration entries",
		Args:  cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			if err := l.NeedRunning(ctx); err != nil {
				return err
			}
			words := "exec " + lab.SPIREServer + " " + lab.SPIREServerCLI + " entry show"
			return l.Show(l.Compose(ctx, nil, strings.Fields("exec -T"+strings.TrimPrefix(words, "exec"))...), words)
		}),
	}
}

func (a *app) svid() *cobra.Command {
	return &cobra.Command{
		Use:   "svid",
		Short: "show the SVID that each user of the host gets",
		Args:  cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			if err := l.NeedRunning(ctx); err != nil {
				return err
			}
			file, err := os.Open(filepath.Join(l.Dir, "spire", "host", "passwd"))
			if err != nil {
				return err
			}
			defer file.Close()
			for scanner := bufio.NewScanner(file); scanner.Scan(); {
				fields := strings.Split(scanner.Text(), ":")
				if len(fields) < 3 || fields[2] == "0" {
					continue
				}
				l.Screen.Say("%s%s (uid %s)%s", l.Screen.Bold, fields[0], fields[2], l.Screen.Plain)
				// A user without a registration entry gets an error, which is the answer.
				words := "exec -T --user " + fields[0] + " client svid"
				_ = l.Show(l.Compose(ctx, nil, strings.Fields(words)...), words)
				l.Screen.Say("")
			}
			return nil
		}),
	}
}
