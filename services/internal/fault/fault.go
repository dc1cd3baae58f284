// Package fault injects the faults of scripts/faults, and tells whether a learner has fixed them. A fault is a shell script. The
// interpreter in this program runs it, as it runs scenarios. The script can call the helper functions of this package, those that
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

// Fault has the declarations in the file of a fault. Its name and its symptom do not reveal the cause.
type Fault struct {
	Name       string // the name of its file, such as 01-clean-up
	Symptom    string // the second line of the file: the complaint
	Level      int    // 1, 2 or 3; from 2 on the doctor is off
	Categories []string
	Doctor     string   // the code of the doctor's finding while the fault is open
	Lost       bool     // the fault itself loses data that need not come back
	Cause      Answer   // the right answer to the question about the cause
	Answers    []Answer // the wrong answers
	Also       []string // other right fixes
	Reflexes   []Reflex // the reflexes that solve the fault
	Statements []Statement
	Wrong      []Wrong
	Hints      []Hint

	syntax *syntax.File
}

// Answer is an answer to the question about the cause. Against is an observation that contradicts a wrong answer, and Command shows this
// observation.
type Answer struct{ Key, Text, Against, Command string }

// Choices returns all answers, with the right one, sorted by their keys.
func (f *Fault) Choices() []Answer {
	all := append([]Answer{f.Cause}, f.Answers...)
	slices.SortFunc(all, func(a, b Answer) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// Reflex says why some reflexes solve a fault. A reflex is a command that a learner runs without looking for the cause, such as a restart.
type Reflex struct {
	Names []string
	Why   string
}

// reflexNames are the names of the reflexes in the file of a fault, in the order in which a test tries them.
var reflexNames = []string{"up", "recreate", "restart", "down-up", "bootstrap", "lab-up"}

// SolvedBy reports whether the file declares that a reflex solves the fault.
func (f *Fault) SolvedBy(reflex string) bool {
	return slices.ContainsFunc(f.Reflexes, func(r Reflex) bool { return slices.Contains(r.Names, reflex) })
}

// Statement is an exact quote from the ticket, with a condition. The condition checks whether the quote is true when the learner looks.
type Statement struct{ Quote, Condition string }

// Wrong is a wrong fix. In tests the function wrong_NAME makes it. If the grader prints Verdict and the command Condition succeeds, a
// learner has made this wrong fix.
type Wrong struct{ Name, Verdict, Why, Condition string }

// Hint is shown as long as its condition, a command, succeeds.
type Hint struct{ Condition, Text string }

// Number is the number at the beginning of the file's name.
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

// functions are the shell functions that the file of every fault must have. The functions setup, teardown, revert and shows are optional.
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
	return nil, &engine.Problem{What: fmt.Sprintf("there is no fault %q", word), Remedy: "\"make faults\" lists them. Give NAME=1, or NAME=" + all[0].Short()}
}

// Read parses the file of a fault and returns the fault.
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

// load runs the file, which declares the fault and defines its functions. The shell passes each command that is neither a shell builtin nor
// a shell function to the parameter call.
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

// text returns the output of a function that needs no lab. Such functions are ticket and debrief.
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

// runIn sets or unsets a shell option, and runs shell text.
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
		{"cause KEY TEXT", func(f *Fault, args []string) error {
			if f.Cause.Key != "" {
				return scenario.Failf("cause is given twice: %s and %s", f.Cause.Key, args[0])
			}
			f.Cause = Answer{Key: args[0], Text: args[1]}
			return nil
		}},
		{"answer KEY TEXT AGAINST COMMAND", func(f *Fault, args []string) error {
			f.Answers = append(f.Answers, Answer{args[0], args[1], args[2], args[3]})
			return nil
		}},
		{"also NAME", func(f *Fault, args []string) error { f.Also = append(f.Also, args[0]); return nil }},
		{"reflex NAMES WHY", func(f *Fault, args []string) error {
			names := strings.Fields(args[0])
			for _, name := range names {
				if !slices.Contains(reflexNames, name) {
					return scenario.Failf("reflex is %q: want some of %s", name, strings.Join(reflexNames, ", "))
				}
			}
			f.Reflexes = append(f.Reflexes, Reflex{names, args[1]})
			return nil
		}},
		{"states QUOTE COMMAND", func(f *Fault, args []string) error {
			f.Statements = append(f.Statements, Statement{args[0], args[1]})
			return nil
		}},
		{"wrong NAME VERDICT WHY ...", func(f *Fault, args []string) error {
			if len(args) > 4 {
				return scenario.Failf("want: wrong NAME VERDICT WHY [CONDITION]")
			}
			f.Wrong = append(f.Wrong, Wrong{args[0], args[1], args[2], strings.Join(args[3:], "")})
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
