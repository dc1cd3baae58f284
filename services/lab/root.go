package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/sources"
)

// usageError is a wrong command line.
type usageError struct{ error }

func (u usageError) Hint() string { return "scripts/lab --help lists the commands" }

// app is what the commands share.
type app struct {
	dir string // the lab's folder
}

func newRoot() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:           "lab",
		Short:         "A lab for SPIFFE and SPIRE, in containers",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.checkSources()
		},
	}
	root.PersistentFlags().StringVar(&a.dir, "dir", ".", "the lab's folder")
	_ = root.PersistentFlags().MarkHidden("dir")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newPart())
	return root
}

// checkSources ends the program if its sources have changed since it was compiled. A program compiled by a plain
// `go build` has no hash and is not checked.
func (a *app) checkSources() error {
	if sourcesHash == "" {
		return nil
	}
	hash, err := sources.Hash(a.dir, sources.Program...)
	if err != nil {
		return fmt.Errorf("%s is not the lab's folder: %w", a.dir, err)
	}
	if hash != sourcesHash {
		return exitStatus(exitOutOfDate)
	}
	return nil
}
