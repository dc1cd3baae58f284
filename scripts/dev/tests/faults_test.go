package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

// faults: every fault must be whole, and one must be solved from its ticket to its result record.
func faults(t *testing.T, l *lab) {
	l.everyFaultIsWhole(t)

	folder := t.TempDir()
	kept := "FAULTS_KEPT=" + folder
	t.Cleanup(func() { l.closeFault(t, kept) })
	fault := func(verb string, extra ...string) *icmd.Result {
		return l.exec(t, append(extra, kept), "bash", "scripts/faults.sh", verb)
	}
	succeeds := func(result *icmd.Result, words ...string) {
		t.Helper()
		contains(t, result.Assert(t, icmd.Success).Combined(), words...)
	}

	refused(t, fault("check"), 1, "no fault is open in this lab")
	refused(t, fault("break", "NAME=nonsense"), 1, `there is no fault "nonsense"`)

	succeeds(fault("break", "NAME=1"), "Fault 1, clean-up")
	contains(t, fault("break", "NAME=2").Combined(), "a fault is open already: clean-up")
	contains(t, fault("list").Combined(), "open, 0 hints")
	unsolved := fault("check")
	refused(t, unsolved, 1, "not yet: the client is not served")
	lacks(t, unsolved.Combined(), "an entry is lost") // it does not say why
	contains(t, fault("hint").Combined(), "hint 1:")
	l.docker(t, strings.Fields("compose exec spire-server /opt/spire/bin/spire-server entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload")...).
		Assert(t, icmd.Success)
	succeeds(fault("check", "PATIENCE=60", "WHO=Ada"), "solved: clean-up")
	records, err := os.ReadFile(filepath.Join(folder, "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^\{"fault":"clean-up","level":1,"seconds":[0-9]+,"hints":1,"who":"Ada",`).Match(records) {
		t.Fatalf("the result record is not as expected: %s", records)
	}
	contains(t, fault("list").Combined(), "solved, 1 hint")
	contains(t, fault("list", "RESET=1").Combined(), "0 of")

	// The lab's own entries come back with the next one, and what was broken is fixed.
	succeeds(fault("break", "NAME=2"))
	succeeds(fault("reset"))
	l.served(t, 30*time.Second)
}

// facts are what a fault's file says, as lines of a word and a text. A fault is a script for bash.
const facts = `set +e
work=$1
. scripts/lib/host.sh
. scripts/lib/fault.sh
load_fault "$(name_of "$2")"
for name in ticket right debrief inject "${wrong_names[@]/#/wrong_}"; do declare -F "$name" >/dev/null && say "function $name"; done
say "symptom $fault_symptom"
say "level $fault_level"
say "doctor $fault_doctor"
tr ';' '\n' <<<"$fault_category" | sed 's/^ */category /'
for ((i = 0; i < ${#wrong_names[@]}; i++)); do
	say "wrong ${wrong_names[$i]}"
	say "words ${wrong_words[$i]}"
	say "why ${wrong_whys[$i]}"
done
for ((i = 0; i < ${#hint_texts[@]}; i++)); do say "condition ${hint_conditions[$i]}"; done
debrief | sed 's/^/debrief /'
`

func (l *lab) everyFaultIsWhole(t *testing.T) {
	t.Helper()
	guide, readme := lines(read(t, "scripts/faults/README.md")), read(t, "README.md")
	taken := map[string]bool{}
	files := glob("scripts/faults/[0-9]*.sh")
	if len(files) == 0 {
		t.Fatal("there are no faults")
	}
	for _, file := range files {
		said := map[string][]string{}
		for _, line := range lines(l.exec(t, nil, "bash", "-c", facts, "facts", t.TempDir(), file).Assert(t, icmd.Success).Stdout()) {
			word, text, _ := strings.Cut(line, " ")
			said[word] = append(said[word], text)
		}
		one := func(word string) string { return strings.Join(said[word], "\n") }
		problem := func(format string, args ...any) {
			t.Helper()
			t.Errorf("%s %s", filepath.Base(file), fmt.Sprintf(format, args...))
		}
		functions := []string{"ticket", "right", "debrief", "inject"}
		for i, name := range said["wrong"] {
			functions = append(functions, "wrong_"+name)
			if said["words"][i] == "" {
				problem("does not say what the grader says of %s", name)
			}
			if said["why"][i] == "" {
				problem("does not say why %s is wrong", name)
			}
		}
		for _, name := range functions {
			if !slices.Contains(said["function"], name) {
				problem("has no function %s", name)
			}
		}
		if one("symptom") == "" {
			problem("has no symptom in its second line")
		}
		if !slices.Contains([]string{"1", "2", "3"}, one("level")) {
			problem("has the level %q, not 1, 2 or 3", one("level"))
		}
		if code := one("doctor"); code == "" || !strings.Contains(readme, "\n| ["+code+"]") {
			problem("names no finding of the doctor: %q", code)
		}
		if n := len(said["wrong"]); n < 3 {
			problem("has %d wrong fixes, not at least three", n)
		}
		if hints := said["condition"]; len(hints) != 3 || hints[2] != "true" {
			problem("must have three hints, the last one with the condition true: %q", hints)
		}
		if !strings.Contains(one("debrief"), "https://") {
			problem("has no link to where it happened in life")
		}
		shown := regexp.MustCompile(`make scenario-([a-z0-9-]+)`).FindAllStringSubmatch(one("debrief"), -1)
		if len(shown) == 0 {
			problem("names no scenario that shows it")
		}
		for _, scenario := range shown {
			if _, err := os.Stat(filepath.Join(root(), "scripts", "scenarios", scenario[1]+".sh")); err != nil {
				problem("names a scenario that does not exist: %s", scenario[1])
			}
		}
		for _, category := range said["category"] {
			taken[category] = true
			if !slices.Contains(guide, "- "+category) {
				problem("is of the category %q, which scripts/faults/README.md does not list", category)
			}
		}
	}
	for _, line := range guide {
		if category, ok := strings.CutPrefix(line, "- "); ok && !taken[category] {
			t.Errorf("no fault is of the category %q", category)
		}
	}
}
