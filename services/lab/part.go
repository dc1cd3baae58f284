package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"
)

// parts are the programs behind those scripts that are still shell: each reads its arguments and standard input, and
// returns its exit status.
var parts = map[string]func(args []string, in io.Reader, out, errOut io.Writer) int{}

// newPart is hidden: scripts call it, not people.
func newPart() *cobra.Command {
	return &cobra.Command{
		Use:                "part NAME [ARG...]",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || parts[args[0]] == nil {
				return usageError{fmt.Errorf("part wants one of %q", slices.Sorted(maps.Keys(parts)))}
			}
			if status := parts[args[0]](args[1:], os.Stdin, os.Stdout, os.Stderr); status != 0 {
				return exitStatus(status)
			}
			return nil
		},
	}
}
