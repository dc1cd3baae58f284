package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/spiffe-lab/spiffe-lab/services/internal/kubernetes"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

func (a *app) kubernetes() []*cobra.Command {
	return []*cobra.Command{
		a.onCluster("k8s-up", "start the lab on the cluster of the current kubectl context", "start the lab on", (*kubernetes.Cluster).Up),
		a.onCluster("k8s-bad-id", "run the client on that cluster under the server's service account", "run the lab's client on", (*kubernetes.Cluster).BadID),
		a.onCluster("k8s-down", "remove the lab from that cluster", "remove the lab from", (*kubernetes.Cluster).Down),
	}
}

// kubernetesHidden returns the commands that only tests run.
func (a *app) kubernetesHidden() []*cobra.Command {
	entries := a.onCluster("k8s-entries", "create the registration entries that are missing", "register the workloads on", (*kubernetes.Cluster).Entries)
	manifests := &cobra.Command{
		Use:   "k8s-manifests",
		Short: "print the manifests with all values",
		Args:  cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			text, err := kubernetes.Manifests(ctx, l)
			if err == nil {
				fmt.Print(text)
			}
			return err
		}),
	}
	entries.Hidden, manifests.Hidden = true, true
	return []*cobra.Command{entries, manifests}
}

// onCluster returns a command that first asks whether the cluster is the right one, and then changes it.
func (a *app) onCluster(use, short, what string, do func(c *kubernetes.Cluster, ctx context.Context) error) *cobra.Command {
	var yes bool
	command := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			cluster, err := kubernetes.Choose(ctx, l, what, yes, terminal())
			if err != nil {
				return err
			}
			return do(cluster, ctx)
		}),
	}
	command.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	return command
}

// terminal returns the terminal on which a person can answer, or nil.
func terminal() io.Reader {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	return os.Stdin
}
