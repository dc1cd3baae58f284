package scenario

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// builtins are the commands of the shell that a script may use.
var builtins = []string{"[", "echo", "false", "local", "printf", "return", "shift", "test", "true"}

// onWindows are names that a script must not use for its variables. On Windows, variables with these names already exist, and the names of
// variables ignore case.
var onWindows = []string{"comspec", "euid", "gid", "home", "path", "pathext", "pwd", "temp", "tmp", "uid", "username"}

var variableName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Lint returns the parts that a script must not have: a call of a program of the operating system, a feature of bash that the interpreter
// lacks or treats differently on some system, or a function that hides a helper function. Each problem names file and line.
func Lint(script Script) ([]string, error) {
	file, err := script.parse()
	if err != nil {
		return nil, err
	}
	l := &linter{script: script, functions: map[string]bool{}, known: func(name string) bool { return helpers[name] != nil }}
	l.header()
	l.walk(file)
	return l.problems, nil
}

type linter struct {
	script    Script
	functions map[string]bool        // the functions that the script defines
	known     func(name string) bool // whether a name is a helper function
	problems  []string
}

func (l *linter) walk(file *syntax.File) {
	syntax.Walk(file, func(node syntax.Node) bool {
		if function, ok := node.(*syntax.FuncDecl); ok {
			l.functions[function.Name.Value] = true
		}
		return true
	})
	syntax.Walk(file, func(node syntax.Node) bool {
		if node != nil {
			l.node(node)
		}
		return true
	})
}

func (l *linter) problem(at syntax.Node, format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf("%s:%d: %s", l.script.Name+".sh", at.Pos().Line(), fmt.Sprintf(format, args...)))
}

func (l *linter) header() {
	if !regexp.MustCompile(`\bmust\b`).MatchString(l.script.Expectation) {
		l.problems = append(l.problems, l.script.Name+".sh:2: the second line must say what is expected, as \"# X must Y\"")
	}
}

func (l *linter) node(node syntax.Node) {
	switch n := node.(type) {
	case *syntax.ProcSubst:
		l.problem(n, "process substitution does not work on Windows")
	case *syntax.ArrayExpr:
		l.problem(n, "arrays are not allowed")
	case *syntax.TestClause:
		l.problem(n, "[[ is not allowed: use test")
	case *syntax.LetClause, *syntax.CoprocClause, *syntax.TimeClause:
		l.problem(n, "this is not allowed in a scenario")
	case *syntax.DeclClause:
		if n.Variant.Value != "local" {
			l.problem(n, "%s is not allowed", n.Variant.Value)
		}
	case *syntax.Stmt:
		if n.Background {
			l.problem(n, "& is not allowed: a script has no background processes")
		}
	case *syntax.Redirect:
		if n.N != nil && n.N.Value != "1" && n.N.Value != "2" {
			l.problem(n, "the interpreter has no file descriptor %s", n.N.Value)
		}
		if file := n.Word.Lit(); (n.Op == syntax.RdrOut || n.Op == syntax.AppOut || n.Op == syntax.RdrIn || n.Op == syntax.RdrAll) && file != "/dev/null" {
			l.problem(n, "a script reads and writes no files of the machine")
		}
	case *syntax.Assign:
		l.variable(n)
	case *syntax.FuncDecl:
		if l.known(n.Name.Value) || tools[n.Name.Value] != nil || slices.Contains(builtins, n.Name.Value) {
			l.problem(n, "the function %s hides the helper function or command of that name", n.Name.Value)
		}
	case *syntax.CallExpr:
		l.call(n)
	}
}

func (l *linter) variable(assign *syntax.Assign) {
	if assign.Name == nil {
		return
	}
	switch name := assign.Name.Value; {
	case !variableName.MatchString(name):
		l.problem(assign, "the variable %s must have lower-case letters only, because Windows ignores case", name)
	case slices.Contains(onWindows, name):
		l.problem(assign, "the variable %s has a different meaning on Windows", name)
	}
}

func (l *linter) call(call *syntax.CallExpr) {
	if len(call.Args) == 0 {
		return
	}
	name := call.Args[0].Lit()
	switch {
	case name == "":
		l.problem(call, "the name of a command must not come from a variable")
	case l.functions[name], l.known(name), tools[name] != nil, slices.Contains(builtins, name):
	default:
		l.problem(call, "%s is not a helper function; a script runs no other program", name)
	}
	if name == "printf" && len(call.Args) > 1 && strings.HasPrefix(call.Args[1].Lit(), "-v") {
		l.problem(call, "printf -v is not allowed")
	}
}
