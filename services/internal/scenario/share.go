package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// shared are the helper functions that faults can use too. They do not print steps, and do not check anything.
var shared = []string{"client_served", "inside", "spire_server_answers", "log_of", "say", "uid_of", "volume_exists"}

// Shared runs the helper functions and tools that scenarios share with faults.
type Shared struct{ run *run }

// Share returns the shared helper functions for a lab.
func Share(l Lab, place Place) Shared { return Shared{&run{Place: place, lab: l}} }

// Call runs a shared helper function or a tool. The result ok is false if neither a helper function nor a tool has this name.
func (s Shared) Call(ctx context.Context, hc interp.HandlerContext, args []string) (ok bool, err error) {
	if tool := tools[args[0]]; tool != nil {
		return true, tool(input(hc), hc.Stdout, args[1:])
	}
	if !slices.Contains(shared, args[0]) {
		return false, nil
	}
	helper := helpers[args[0]]
	if err := checkArguments(helper.usage, args[1:]); err != nil {
		return true, err
	}
	return true, helper.do(s.run, ctx, hc, args[1:])
}

// input returns the standard input of a command. It is empty if the script does not redirect it.
func input(hc interp.HandlerContext) io.Reader {
	if hc.Stdin != nil {
		return hc.Stdin
	}
	return strings.NewReader("")
}

// CheckArguments compares arguments with the usage of a helper function.
func CheckArguments(usage string, args []string) error { return checkArguments(usage, args) }

// Failf returns an error that ends a script.
func Failf(format string, args ...any) error { return failf(format, args...) }

// Answer prints an error to the standard error, and turns it into the exit status 1.
func Answer(hc interp.HandlerContext, err error) error { return answer(hc, err) }

// Exited turns the error of running a program into the exit status of the program.
func Exited(hc interp.HandlerContext, err error) error { return exited(hc, err) }

// Quoted returns a command for the interpreter, with each word quoted.
func Quoted(words []string) (string, error) { return quoted(words) }

// IsStatus reports whether an error is only an exit status.
func IsStatus(err error) bool {
	var status interp.ExitStatus
	return errors.As(err, &status)
}

// Position returns the position of a command in a script.
func Position(file string, hc interp.HandlerContext) string {
	return fmt.Sprintf("%s:%d", file, hc.Pos.Line())
}

// LintShell returns each place where a script breaks a rule for the scripts of the lab, for example with an array or a background process.
// The parameter name is the name of the file. The function known reports whether a command is a helper function that this kind of script
// has in addition to the shared helper functions.
func LintShell(name string, file *syntax.File, known func(string) bool) []string {
	l := &linter{script: Script{Name: strings.TrimSuffix(name, ".sh")}, functions: map[string]bool{}, known: func(name string) bool {
		return known(name) || slices.Contains(shared, name)
	}}
	l.walk(file)
	return l.problems
}
