package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
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
			return a.removeLab(ctx, l)
		}),
	}
}

func (a *app) removeLab(ctx context.Context, l *launch.Launcher) error {
	if err := l.Down(ctx); err != nil {
		return err
	}
	c, _, err := a.faultCommands()
	if err != nil {
		return err
	}
	return c.Forget(func(image string) {
		_, _ = l.Ask(ctx, "image", "rm", image) // another lab uses the image, or it is removed already
	}, l.Screen.Tell)
}

func (a *app) clean() *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use:   "clean",
		Short: "remove the lab, and what was built in this folder (images stay)",
		Long: `Remove the lab, and what was built in this folder. Images stay, and so do your
progress and result records, in the folder .lab. With --all, progress and result records
are removed too, after a question.`,
		Args: cobra.NoArgs,
		RunE: a.onLab(func(ctx context.Context, l *launch.Launcher) error {
			kept := filepath.Join(l.Dir, progress.Root)
			if all {
				if !term.IsTerminal(int(os.Stdin.Fd())) {
					return usageError{errors.New("clean --all asks before it removes progress and result records, and the standard input is not a terminal")}
				}
				if !confirmed(os.Stdin, l.Screen, kept) {
					return &engine.Problem{What: "nothing was removed", Remedy: "\"make clean\" keeps progress and result records"}
				}
			}
			if err := l.Need(ctx); err != nil {
				return err
			}
			if err := a.removeLab(ctx, l); err != nil {
				return err
			}
			if err := l.Clean(); err != nil {
				return err
			}
			if all {
				return os.RemoveAll(kept)
			}
			if _, err := os.Stat(kept); err == nil {
				l.Screen.Say("progress and result records stay in %s. \"make clean ALL=1\" removes them too", progress.Root)
			}
			return nil
		}),
	}
	command.Flags().BoolVar(&all, "all", false, "also remove progress and result records, after a question")
	return command
}

func confirmed(in io.Reader, out io.Writer, folder string) bool {
	fmt.Fprintf(out, "This permanently removes the progress and the result records of every lab of this folder (%s).\nType yes to go on: ", folder)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	return strings.TrimSpace(answer) == "yes"
}
