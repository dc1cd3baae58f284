// Command host is what the lab's host runs besides the SPIRE agent, the server and the client:
//
//	host node       is the host's first process
//	host probe      checks a container's health
//	host svid       prints the X.509-SVIDs that a user gets
//	host observer   prints what a user sees, for the doctor
//
// The images have these four names as links to it: "svid" runs "host svid".
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// commands by name. Each parses its own flags.
var commands = map[string]func(args []string, stdout, stderr io.Writer) error{
	"node":     node,
	"observer": observer,
	"probe":    probe,
	"svid":     svid,
}

// run takes the command from the name by which the program was called, or else from the first argument. It returns
// the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	name, rest := filepath.Base(args[0]), args[1:]
	if commands[name] == nil && len(rest) > 0 {
		name, rest = rest[0], rest[1:]
	}
	command := commands[name]
	if command == nil {
		fmt.Fprintf(stderr, "host: no command %q: want %s\n", name, strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
		return cli.Usage
	}
	err := command(rest, stdout, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return cli.OK
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	var usage *cli.UsageError
	if errors.As(err, &usage) {
		return cli.Usage
	}
	return cli.Failed
}
