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

// shared are the helper functions that faults have too: those that tell no story and check nothing.
var shared = []string{"client_served", "inside", "spire_server_answers", "log_of", "say", "uid_of", "volume_exists"}

// Shared runs the helper functions and tools that scenarios share with faults.
type Shared struct{ run *run }

// Share returns the shared helper functions for a lab.
func Share(l Lab, place Place) Shared { return Shared{&run{Place: place, lab: l}} }

// Call runs a shared helper function or a tool; ok is false if there is none of that name.
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

// input returns the standard input of a command; it is empty where the script gives none.
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

// Answer makes the exit status 1 of an error, which is printed to the standard error.
func Answer(hc interp.HandlerContext, err error) error { return answer(hc, err) }

// Exited makes the exit status of a program out of the error of running it.
func Exited(hc interp.HandlerContext, err error) error { return exited(hc, err) }

// Quoted returns a command for the interpreter, with each word quoted.
func Quoted(words []string) (string, error) { return quoted(words) }

// IsStatus reports whether an error is only an exit status.
func IsStatus(err error) bool {
	var status interp.ExitStatus
	return errors.As(err, &status)
}

// Position returns where in a script a command is.
func Position(file string, hc interp.HandlerContext) string {
	return fmt.Sprintf("%s:%d", file, hc.Pos.Line())
}

// LintShell returns what no script of the lab may have. name is that of its file; known reports whether a command is one of the script's
// helper functions, beside those that are shared.
func LintShell(name string, file *syntax.File, known func(string) bool) []string {
	l := &linter{script: Script{Name: strings.TrimSuffix(name, ".sh")}, functions: map[string]bool{}, known: func(name string) bool {
		return known(name) || slices.Contains(shared, name)
	}}
	l.walk(file)
	return l.problems
}
