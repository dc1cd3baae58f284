//go:build unix

// Command host has the programs that run on the lab's host besides the SPIRE agent, the server and the client:
//
//	host node       is the host's first process
//	host probe      checks a container's health
//	host svid       prints the X.509-SVIDs that a user gets
//	host observer   prints what a user sees, for the doctor
//
// The images have links with these four names: "svid" runs "host svid".
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

// commands has each command by its name. A command parses its flags.
var commands = map[string]func(args []string, stdout, stderr io.Writer) error{
	"node":     node,
	"observer": observer,
	"probe":    probe,
	"svid":     svid,
}

// run runs one command, and returns the exit status. If the program was started by a link, the link has the name of the
// command. Otherwise the first argument names the command.
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
