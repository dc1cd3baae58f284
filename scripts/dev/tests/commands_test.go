package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// transcript returns the parameters with which testscript plays a transcript. The transcript begins in the lab's folder. "My Course/lab" in
// $WORK is a link to this folder, and $WORK/elsewhere is a different folder.
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

// transcripts plays the transcripts in a folder of testdata one after another, because they share the lab. By default, testscript would
// play them at the same time.
func (l *lab) transcripts(t *testing.T, folder string) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/%s has no transcripts: %v", folder, err)
	}
	for _, file := range files {
		t.Run(folder, func(t *testing.T) { testscript.Run(t, l.transcript(file)) })
	}
}

// commands: in a running lab, each command must print what its transcript says.
func commands(t *testing.T, l *lab) { l.transcripts(t, "lab") }

// TestCommandLine plays the transcripts that need no running lab.
func TestCommandLine(t *testing.T) {
	(&lab{project: "spiffe-lab-test-none"}).transcripts(t, "commands")
}
