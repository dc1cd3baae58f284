package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
	"github.com/spiffe-lab/spiffe-lab/services/internal/sources"
)

type usageError struct{ error }

func (u usageError) Hint() string {
	var hint hinter
	if errors.As(u.error, &hint) {
		return hint.Hint()
	}
	return "\"scripts/lab --help\" lists the commands"
}

type app struct {
	dir string // the lab's folder
}

const longHelp = `A lab for SPIFFE and SPIRE: two programs on one host prove to each other who they are.
Start it, run a scenario that breaks one thing on purpose, and see which side refuses, and why.

Exit statuses: 0 success; 1 failure, or a scenario whose check did not hold; 2 a wrong command
line; 75 the program is older than its sources (scripts/lab rebuilds it); 130 Ctrl-C.`

func newRoot() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:           "lab",
		Short:         "A lab for SPIFFE and SPIRE, in containers",
		Long:          longHelp,
		Example:       "  scripts/lab up\n  scripts/lab scenario bad-id\n  scripts/lab down",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2, // letters
	}
	root.PersistentFlags().StringVar(&a.dir, "dir", ".", "the lab's folder")
	_ = root.PersistentFlags().MarkHidden("dir")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddGroup(&cobra.Group{ID: "lab", Title: "The lab:"}, &cobra.Group{ID: "learn", Title: "Break it on purpose, and read why:"},
		&cobra.Group{ID: "faults", Title: "Find a fault:"}, &cobra.Group{ID: "trainer", Title: "For trainers:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, command := range commands {
			command.GroupID = group
			root.AddCommand(command)
		}
	}
	add("lab", a.up(), a.down(), a.status(), a.doctor(), a.report(), a.logs(), a.entries(), a.svid(), a.images(), a.clean())
	add("learn", a.scenarios(), a.scenario(), a.lesson(), a.answer(), a.console(), a.handshake())
	add("faults", a.faults(), a.breakLab(), a.ticket(), a.check(), a.hint(), a.giveUp(), a.reset())
	add("trainer", a.kit(), a.classroom(), a.classroomDown(), a.receipts())
	add("trainer", a.kubernetes()...)
	root.AddCommand(newPart(a), a.kitStart())
	root.AddCommand(a.kubernetesHidden()...)
	wrongArguments(root)
	return root
}

// noCommand refuses an unknown command, and proposes the commands that have a similar name.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	said := fmt.Sprintf("there is no command %q", args[0])
	if similar := root.SuggestionsFor(args[0]); len(similar) > 0 {
		said += "; did you mean " + strings.Join(similar, " or ") + "?"
	}
	return usageError{errors.New(said)}
}

// wrongArguments turns cobra's errors about arguments into usage errors.
func wrongArguments(command *cobra.Command) {
	if check := command.Args; check != nil && command.HasParent() {
		command.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%s: %w", cmd.CommandPath(), err)}
			}
			return nil
		}
	}
	for _, sub := range command.Commands() {
		wrongArguments(sub)
	}
}

// outOfDate reports whether the sources in the lab's folder have changed since this program was compiled. It runs before the command
// line is parsed, because an older program may not know the command. A program compiled by a plain `go build` has no hash.
func outOfDate(args []string) (bool, error) {
	if sourcesHash == "" || len(args) == 0 || !strings.HasPrefix(args[0], dirFlag) {
		return false, nil
	}
	if len(args) > 1 && (args[1] == cobra.ShellCompRequestCmd || args[1] == cobra.ShellCompNoDescRequestCmd) {
		return false, nil // the check would take too long for a completion
	}
	dir := strings.TrimPrefix(args[0], dirFlag)
	hash, err := sources.Hash(dir, sources.Program...)
	if err != nil {
		return false, fmt.Errorf("%s is not the lab's folder: %w", dir, err)
	}
	return hash != sourcesHash, nil
}

// dirFlag is the beginning of the argument with which scripts/lab passes the lab's folder.
const dirFlag = "--dir="

// launcher returns the lab of this folder. It does not ask the engine.
func (a *app) launcher() (*launch.Launcher, error) {
	e, err := engine.New(a.dir)
	if err != nil {
		return nil, err
	}
	return &launch.Launcher{Engine: e, Screen: screen.New(os.Stdout)}, nil
}

func (a *app) onLab(do func(ctx context.Context, l *launch.Launcher) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		l, err := a.launcher()
		if err != nil {
			return err
		}
		return do(cmd.Context(), l)
	}
}
