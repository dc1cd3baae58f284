package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	gather "github.com/spiffe-lab/spiffe-lab/services/internal/report"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show what runs, and whether the client is served",
		Args:  cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			if err := l.Need(ctx); err != nil {
				return err
			}
			return tellStatus(l, gather.Gather(ctx, l.Engine, gather.Options{Patience: 10 * time.Second, Live: true}))
		}),
	}
}

// tellStatus prints the state of the containers from a report, and the result of the client's latest request.
func tellStatus(l *launch.Launcher, f *facts.Facts) error {
	if s := f.Section("containers"); !s.Answered() {
		return &engine.Problem{What: "it is not known which containers run: " + s.Status, Remedy: "make doctor"}
	}
	client := f.Service(lab.Client)
	if client == nil || client.Status != "running" {
		return &engine.Problem{Code: lab.NotRunning, What: "the lab is not running", Remedy: "make up"}
	}
	table := tabwriter.NewWriter(l.Screen, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tSTATUS")
	elsewhere := ""
	for _, c := range slices.SortedFunc(slices.Values(f.Containers), func(a, b facts.Container) int { return strings.Compare(a.Service, b.Service) }) {
		if c.Project != f.Host.Project || c.OneOff == "True" {
			continue
		}
		status := c.Status
		if c.Status == "running" && c.Health != "" {
			status += " (" + c.Health + ")"
		} else if c.Status == "exited" {
			status += fmt.Sprintf(" (%d)", c.ExitStatus)
		}
		fmt.Fprintf(table, "%s\t%s\n", c.Service, status)
		if elsewhere == "" && l.BuiltElsewhere(c.Service, c.ImageID) {
			elsewhere = c.Service
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	l.Screen.Say("")
	if f.Host.Override != "" {
		l.Screen.Say("%s", lab.InForce(f.Host.Override))
	}
	if elsewhere != "" {
		l.Screen.Say("%s runs an image that was not built in this folder: another clone has built %s. \"make up\" starts the image of this folder.\nTo keep the images of the two clones apart, set LAB_TAG=another for every command in one of the clones", elsewhere, l.Image("workload"))
	}
	switch seen := f.Observations[lab.ClientUser]; {
	case seen == nil:
		l.Screen.Say("it is not known whether the client's latest request was served: %s", f.Section("observer-"+lab.ClientUser).Status)
		return exitStatus(exitCannotTell)
	case seen.Health == nil || seen.Health.Status != http.StatusOK:
		why := "the client does not answer"
		if seen.Health != nil {
			why = strings.TrimSpace(seen.Health.Error + seen.Health.Body)
		}
		l.Screen.Say("%sthe client's latest request was not served:%s %s", l.Screen.Red, l.Screen.Plain, why)
		return exitStatus(exitFailure)
	}
	l.Screen.Say("%sthe client's latest request was served%s", l.Screen.Green, l.Screen.Plain)
	return nil
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
	command.Flags().BoolVar(&all, "all", false, "also the logs of the SPIRE server and the agent")
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
				// A user without a registration entry gets an error, which is a valid result.
				words := "exec -T --user " + fields[0] + " client svid"
				_ = l.Show(l.Compose(ctx, nil, strings.Fields(words)...), words)
				l.Screen.Say("")
			}
			return nil
		}),
	}
}
