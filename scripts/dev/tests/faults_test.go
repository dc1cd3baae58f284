package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

// faults: a learner must be able to solve a fault, from its ticket to its result record. Each lab must have its own progress.
func faults(t *testing.T, l *lab) {
	l.learner(t)
	fault := func(args ...string) *icmd.Result { return l.run(t, args...) }
	succeeds := func(result *icmd.Result, words ...string) {
		t.Helper()
		contains(t, result.Assert(t, icmd.Success).Combined(), words...)
	}

	refused(t, fault("check"), 1, "no fault is open in this lab")
	refused(t, fault("break", "nonsense"), 1, `there is no fault "nonsense"`)

	succeeds(fault("break", "1"), "Fault 1, clean-up")
	contains(t, fault("break", "2").Combined(), "a fault is open already: clean-up")
	contains(t, fault("faults").Combined(), "open, 0 hints")
	unsolved := fault("check")
	refused(t, unsolved, 1, "not yet: the client is not served")
	lacks(t, unsolved.Combined(), "an entry is lost") // the output does not name the cause
	contains(t, fault("hint").Combined(), "hint 1:")
	l.docker(t, strings.Fields("compose exec spire-server /opt/spire/bin/spire-server entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload")...).
		Assert(t, icmd.Success)
	// The client sends a request every 5 s, so check waits for the next one. The fault must be solved even if the reader of the output takes
	// only the first line.
	first := l.exec(t, nil, "sh", "-c", "scripts/lab check --patience 60s --who Ada | head -n 1")
	contains(t, first.Combined(), "fixed: clean-up, cause not asked, with 1 hint")
	records, err := os.ReadFile(filepath.Join(l.kept(), "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^\{"fault":"clean-up","level":1,"fixed":true,"cause":"not asked","seconds":[0-9]+,"hints":1,"who":"Ada",`).Match(records) {
		t.Fatalf("the result record is not as expected: %s", records)
	}
	contains(t, fault("faults").Combined(), "fixed, 1 hint")
	other := lab{project: l.project + "-other"}
	contains(t, other.run(t, "faults").Combined(), "0 of") // a different lab has different progress
	contains(t, fault("faults", "--reset").Combined(), "0 of")

	// The next fault restores the lab's own entries, and reverts the changes of the previous fault.
	succeeds(fault("break", "2"))
	succeeds(fault("reset"))
	l.served(t, 30*time.Second)

	// down closes the open fault, and prints that it was open.
	succeeds(fault("break", "1"))
	succeeds(fault("down"), "the fault clean-up was open in this lab", "make break NAME=clean-up")
	succeeds(fault("up"))
	contains(t, fault("faults").Combined(), `"make break" injects the next fault`)
	refused(t, fault("clean", "--all"), 2, "clean --all asks")
}

// kept is the folder with the progress of this lab's learner.
func (l *lab) kept() string { return filepath.Join(root(), ".lab", l.project) }

// learner gives the test a learner without progress. It moves the existing progress aside until the test ends. If the test has left a fault
// open, it resets this fault at the end.
func (l *lab) learner(t *testing.T) {
	t.Helper()
	aside := l.kept() + ".aside"
	if err := os.Rename(l.kept(), aside); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(l.kept(), "open", "fault")); err == nil {
			l.run(t, "reset").Assert(t, icmd.Success)
		}
		if err := os.RemoveAll(l.kept()); err != nil {
			t.Error(err)
		}
		if err := os.Rename(aside, l.kept()); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	})
}
