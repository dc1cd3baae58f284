package fault

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/spiffe-lab/spiffe-lab/services/internal/grade"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// Lint returns the problems of a fault. A problem is a part that is missing, or a part that the script must not have, such as a call of a
// program that is not a helper function, or a shell feature that does not work on every system. Each problem names the file.
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
			problem("does not give the verdict for %s", wrong.Name)
		} else if !grade.Says(wrong.Verdict) {
			problem("has the verdict %q for %s, which the grader never gives", wrong.Verdict, wrong.Name)
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
	f.lintCause(problem)
	f.lintFixes(problem, defined)
	f.lintTicket(problem)
	if len(f.Hints) != 3 {
		problem("has %d hints, not three", len(f.Hints))
	} else if f.Hints[2].Condition != "true" {
		problem("may not show its last hint, because the condition of that hint is not true")
	}
	known := func(name string) bool { return helpers[name] != nil || declarations[name] != nil }
	problems = append(problems, scenario.LintShell(file, f.syntax, known)...)
	// shell checks a condition, which is shell text.
	shell := func(what, text string) {
		condition, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
		if err != nil {
			problem("has a condition for %s that is not valid shell: %v", what, err)
			return
		}
		for _, one := range scenario.LintShell(file, condition, func(name string) bool { return known(name) || defined[name] }) {
			problem("in the condition of %s: %s", what, one)
		}
	}
	for i, hint := range f.Hints {
		shell(fmt.Sprintf("hint %d", i+1), hint.Condition)
	}
	for _, statement := range f.Statements {
		shell(fmt.Sprintf("the statement %q", statement.Quote), statement.Condition)
	}
	for _, wrong := range f.Wrong {
		shell("the wrong fix "+wrong.Name, wrong.Condition)
	}
	return problems
}

var (
	keyForm = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	// command matches the beginning of a command that a learner can type.
	command = regexp.MustCompile(`^(docker|make|scripts/lab) `)
)

// lintCause checks the answers to the question about the cause.
func (f *Fault) lintCause(problem func(format string, args ...any)) {
	if f.Cause.Key == "" {
		problem("does not say what the cause is")
		return
	}
	if len(f.Answers) < 3 || len(f.Answers) > 4 {
		problem("has %d wrong answers, not three or four", len(f.Answers))
	}
	choices := f.Choices()
	shortest, longest := len(choices[0].Text), 0
	for i, a := range choices {
		if !keyForm.MatchString(a.Key) {
			problem("has the key %q: want lower-case letters, digits and -", a.Key)
		}
		if i > 0 && a.Key == choices[i-1].Key {
			problem("has two answers with the key %s", a.Key)
		}
		shortest, longest = min(shortest, len(a.Text)), max(longest, len(a.Text))
	}
	if longest > 2*shortest {
		problem("has answers of %d and of %d letters: a learner must not recognize the right one by its length", shortest, longest)
	}
	for _, a := range f.Answers {
		if a.Against == "" {
			problem("does not give the observation against %s", a.Key)
		}
		if !command.MatchString(a.Command) {
			problem("shows the observation against %s by %q: want a command that a learner can type: docker, make or scripts/lab", a.Key, a.Command)
		}
	}
}

func (f *Fault) lintFixes(problem func(format string, args ...any), defined map[string]bool) {
	if len(f.Wrong) < 5 {
		problem("has %d wrong fixes, not at least five", len(f.Wrong))
	}
	for i, wrong := range f.Wrong {
		for _, other := range f.Wrong[i+1:] {
			if wrong.Verdict == other.Verdict && wrong.Condition == "" && other.Condition == "" {
				problem("cannot tell the wrong fixes %s and %s apart: one needs a condition, because the grader gives both the same verdict", wrong.Name, other.Name)
			}
		}
	}
	if len(f.Also) < 2 {
		problem("has %d other right fixes, not two", len(f.Also))
	}
	for _, name := range f.Also {
		if !defined["right_"+name] {
			problem("has no function right_%s", name)
		}
	}
	for name := range defined {
		if fix, ok := strings.CutPrefix(name, "right_"); ok && !slices.Contains(f.Also, fix) {
			problem("does not declare the right fix %s", fix)
		}
	}
	for _, reflex := range f.Reflexes {
		if f.Level != 1 {
			problem("is solved by a reflex, but only a fault of level 1 may be solved by a reflex")
		}
		if reflex.Why == "" {
			problem("does not say why %s solves it", strings.Join(reflex.Names, ", "))
		}
	}
}

func (f *Fault) lintTicket(problem func(format string, args ...any)) {
	if len(f.Statements) == 0 {
		problem("has no \"states\" command, so no test checks a statement of its ticket")
	}
	ticket, err := f.text("ticket")
	if err != nil {
		problem("has a ticket that cannot be printed: %v", err)
	}
	for _, statement := range f.Statements {
		// In the ticket, a statement may continue on the next line.
		if quote := strings.Join(strings.Fields(statement.Quote), " "); quote == "" || !strings.Contains(strings.Join(strings.Fields(ticket), " "), quote) {
			problem("states what is not in the ticket: %s", statement.Quote)
		}
	}
}
