package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Command is one command of a program that has several commands. It parses its own flags.
type Command func(args []string, in io.Reader, out io.Writer) error

// Answer runs the command that args[0] names. It returns the exit status: 0 if the command answers yes, 1 if the
// command answers no, 2 for wrong usage. If the answer is no, Answer prints the reason to out.
func Answer(commands map[string]Command, args []string, in io.Reader, out, errOut io.Writer) int {
	err := answer(commands, args, in, out)
	var usage *UsageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return OK
	case errors.As(err, &usage):
		fmt.Fprintln(errOut, err)
		return Usage
	}
	fmt.Fprintln(out, err)
	return Failed
}

func answer(commands map[string]Command, args []string, in io.Reader, out io.Writer) error {
	names := strings.Join(slices.Sorted(maps.Keys(commands)), ", ")
	if len(args) == 0 {
		return Usagef("want a command: %s", names)
	}
	command, ok := commands[args[0]]
	if !ok {
		return Usagef("unknown command %q: want %s", args[0], names)
	}
	return command(args[1:], in, out)
}
