package fault

import (
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// Lint returns what a fault lacks, and what its script must not have: another program, or a feature of the shell that does not work on
// every system. Each problem names the file.
func Lint(f *Fault) []string {
	file := f.Name + ".sh"
	var problems []string
	problem := func(format string, args ...any) {
		problems = append(problems, file+" "+fmt.Sprintf(format, args...))
	}
	defined := map[string]bool{}
	syntax.Walk(f.syntax, func(node syntax.Node) bool {
		if function, ok := node.(*syntax.FuncDecl); ok {
			defined[function.Name.Value] = true
		}
		return true
	})
	wanted := slices.Clone(functions)
	for _, wrong := range f.Wrong {
		wanted = append(wanted, "wrong_"+wrong.Name)
		if wrong.Verdict == "" {
			problem("does not say what the grader says of %s", wrong.Name)
		}
		if wrong.Why == "" {
			problem("does not say why %s is wrong", wrong.Name)
		}
	}
	for _, name := range wanted {
		if !defined[name] {
			problem("has no function %s", name)
		}
	}
	for name := range defined {
		if fix, ok := strings.CutPrefix(name, "wrong_"); ok && !slices.ContainsFunc(f.Wrong, func(w Wrong) bool { return w.Name == fix }) {
			problem("does not declare the wrong fix %s", fix)
		}
	}
	if f.Symptom == "" {
		problem("has no symptom in its second line")
	}
	if f.Level == 0 {
		problem("has no level")
	}
	if f.Doctor == "" {
		problem("does not say what the doctor finds")
	}
	if len(f.Categories) == 0 {
		problem("has no category")
	}
	if len(f.Wrong) < 3 {
		problem("has %d wrong fixes, not at least three", len(f.Wrong))
	}
	if len(f.Hints) != 3 {
		problem("has %d hints, not three", len(f.Hints))
	} else if f.Hints[2].Condition != "true" {
		problem("may keep its last hint to itself: its condition is not true")
	}
	known := func(name string) bool { return helpers[name] != nil || declarations[name] != nil }
	problems = append(problems, scenario.LintShell(file, f.syntax, known)...)
	for i, hint := range f.Hints {
		condition, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(hint.Condition), "")
		if err != nil {
			problem("has a condition of hint %d that is not shell: %v", i+1, err)
			continue
		}
		for _, one := range scenario.LintShell(file, condition, func(name string) bool { return known(name) || defined[name] }) {
			problem("in the condition of hint %d: %s", i+1, one)
		}
	}
	return problems
}
