package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// transcript returns how a transcript is run. Each begins in the lab's folder; "My Course/lab" in $WORK is another way
// to it, and $WORK/elsewhere is another folder.
func (l *lab) transcript(file string) testscript.Params {
	return testscript.Params{
		Files: []string{file},
		Setup: func(env *testscript.Env) error {
			env.Vars = append(l.environment(), "WORK="+env.WorkDir, "HOME="+os.Getenv("HOME"))
			env.Cd = root()
			course := filepath.Join(env.WorkDir, "My Course")
			if err := os.MkdirAll(course, 0o755); err != nil {
				return err
			}
			return os.Symlink(root(), filepath.Join(course, "lab"))
		},
	}
}

// transcripts runs those of a folder of testdata, one after another: testscript would run them at the same time, and they share the lab.
func (l *lab) transcripts(t *testing.T, folder string) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/%s has no transcripts: %v", folder, err)
	}
	for _, file := range files {
		t.Run(folder, func(t *testing.T) { testscript.Run(t, l.transcript(file)) })
	}
}

// commands: what the commands print of a lab that runs.
func commands(t *testing.T, l *lab) { l.transcripts(t, "lab") }

// TestCommandLine has the transcripts for which no lab need run.
func TestCommandLine(t *testing.T) {
	(&lab{project: "spiffe-lab-test-none"}).transcripts(t, "commands")
}
