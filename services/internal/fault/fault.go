// Package fault injects the faults of scripts/faults, and tells whether a learner has fixed them. A fault is a shell script which the
// interpreter within this program runs, as it runs scenarios: what it can call are the helper functions of this package, those that
// package scenario shares, and its own functions.
package fault

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

const folder = "scripts/faults"

// Fault is what the file of a fault says. Its name and its symptom do not tell the cause.
type Fault struct {
	Name       string // as its file is called: 01-clean-up
	Symptom    string // its second line: what somebody complains of
	Level      int    // 1, 2 or 3; from 2 on the doctor is off
	Categories []string
	Doctor     string // the code that the doctor names first while it is open
	Lost       bool   // the fault itself loses data that need not come back
	Wrong      []Wrong
	Hints      []Hint

	syntax *syntax.File
}

// Wrong is a wrong fix: the function wrong_NAME does it.
type Wrong struct{ Name, Verdict, Why string }

// Hint is given for as long as its condition, a command, holds.
type Hint struct{ Condition, Text string }

// Number is the number with which the file's name begins.
func (f *Fault) Number() int {
	number, _, _ := strings.Cut(f.Name, "-")
	n, _ := strconv.Atoi(number)
	return n
}

// Short is the name without the number.
func (f *Fault) Short() string {
	_, short, _ := strings.Cut(f.Name, "-")
	return short
}

// functions that the file of every fault has; the optional ones are setup, teardown, revert and shows.
var functions = []string{"ticket", "right", "debrief", "inject"}

// List returns all faults, by number.
func List(dir string) ([]*Fault, error) {
	files, err := fs.Glob(os.DirFS(dir), folder+"/[0-9][0-9]-*.sh") // the lab's folder itself may have brackets in its name
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []*Fault
	for _, file := range files {
		f, err := Read(filepath.Join(dir, filepath.FromSlash(file)))
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there are no faults in %s", filepath.Join(dir, filepath.FromSlash(folder)))
	}
	return all, nil
}

// Find returns the fault with a number, a name, or both.
func Find(all []*Fault, word string) (*Fault, error) {
	number, err := strconv.Atoi(word)
	for _, f := range all {
		if word == f.Name || word == f.Short() || err == nil && number == f.Number() {
			return f, nil
		}
	}
	return nil, &engine.Problem{What: fmt.Sprintf("there is no fault %q", word), Remedy: "make faults lists them: NAME=1, or NAME=" + all[0].Short()}
}

// Read returns the fault of a file.
func Read(file string) (*Fault, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	f := &Fault{Name: strings.TrimSuffix(filepath.Base(file), ".sh")}
	if lines := strings.SplitN(string(text), "\n", 3); len(lines) > 2 {
		f.Symptom = strings.TrimPrefix(strings.TrimRight(lines[1], "\r"), "# ")
	}
	if f.syntax, err = syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(text), filepath.Base(file)); err != nil {
		return nil, err
	}
	_, err = f.load(nil, func(_ context.Context, hc interp.HandlerContext, args []string) error {
		declare := declarations[args[0]]
		if declare == nil {
			return scenario.Failf("%s is called outside of a function", args[0])
		}
		if err := scenario.CheckArguments(declare.usage, args[1:]); err != nil {
			return err
		}
		return declare.do(f, args[1:])
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder+"/"+filepath.Base(file), err)
	}
	return f, nil
}

// load runs the file, which declares what the fault is and defines its functions. call runs a command that is neither the shell's own nor
// a function.
func (f *Fault) load(variables map[string]string, call func(ctx context.Context, hc interp.HandlerContext, args []string) error) (*interp.Runner, error) {
	var pairs []string
	for name, value := range variables {
		pairs = append(pairs, name+"="+value)
	}
	shell, err := interp.New(
		interp.Params("-e", "-u", "-o", "pipefail"),
		interp.Env(expand.ListEnviron(pairs...)),
		interp.StdIO(nil, io.Discard, io.Discard),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
			return func(ctx context.Context, args []string) error {
				hc := interp.HandlerCtx(ctx)
				err := call(ctx, hc, args)
				if err == nil || scenario.IsStatus(err) {
					return err
				}
				return fmt.Errorf("%s: %w", scenario.Position(f.Name+".sh", hc), err)
			}
		}))
	if err != nil {
		return nil, err
	}
	return shell, shell.Run(context.Background(), f.syntax)
}

// text returns what a function of the fault prints that needs no lab: ticket or debrief.
func (f *Fault) text(function string) (string, error) {
	var out strings.Builder
	shell, err := f.load(nil, func(_ context.Context, hc interp.HandlerContext, args []string) error {
		if args[0] == "cat" {
			return cat(hc, args[1:])
		}
		return nil // a declaration
	})
	if err != nil {
		return "", err
	}
	err = runIn(context.Background(), shell, &out, "-e", function)
	return out.String(), err
}

// runIn runs shell text, with an option set or unset before.
func runIn(ctx context.Context, shell *interp.Runner, out io.Writer, option, text string) error {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return err
	}
	for _, set := range []interp.RunnerOption{interp.StdIO(nil, out, out), interp.Params(option)} {
		if err := set(shell); err != nil {
			return err
		}
	}
	for _, stmt := range file.Stmts {
		if err := shell.Run(ctx, stmt); err != nil {
			return err
		}
	}
	return nil
}

// declaration is a helper function by which a file says what its fault is.
type declaration struct {
	usage string
	do    func(f *Fault, args []string) error
}

var declarations = map[string]*declaration{}

func init() {
	for _, d := range []*declaration{
		{"level N", func(f *Fault, args []string) error {
			if len(args[0]) != 1 || !strings.Contains("123", args[0]) {
				return scenario.Failf("level is %q: want 1, 2 or 3", args[0])
			}
			f.Level = int(args[0][0] - '0')
			return nil
		}},
		{"category WORDS", func(f *Fault, args []string) error {
			for one := range strings.SplitSeq(args[0], ";") {
				f.Categories = append(f.Categories, strings.TrimSpace(one))
			}
			return nil
		}},
		{"doctor CODE", func(f *Fault, args []string) error { f.Doctor = args[0]; return nil }},
		{"lost", func(f *Fault, _ []string) error { f.Lost = true; return nil }},
		{"wrong NAME VERDICT WHY", func(f *Fault, args []string) error {
			f.Wrong = append(f.Wrong, Wrong{args[0], args[1], args[2]})
			return nil
		}},
		{"hint CONDITION TEXT", func(f *Fault, args []string) error {
			f.Hints = append(f.Hints, Hint{args[0], args[1]})
			return nil
		}},
	} {
		name, _, _ := strings.Cut(d.usage, " ")
		declarations[name] = d
	}
}
