package scenario

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
)

// TestLockUnwritable: if the lock cannot be written, the error must say this. It must not say that another scenario runs.
func TestLockUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".cache")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "missing", "lock")
	refused := func(what, hint string) {
		t.Helper()
		var problem *engine.Problem
		if _, err := Lock(file, "it is locked"); !errors.As(err, &problem) || !strings.Contains(problem.What, what) || !strings.Contains(problem.Remedy, hint) {
			t.Errorf("%v, want %s", err, what)
		}
	}
	refused("cannot be written", "git clone")
	if err := os.WriteFile(filepath.Join(dir, "missing"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	reason := "not a directory"
	if runtime.GOOS == "windows" {
		reason = "cannot be written"
	}
	refused(reason, "git clone")
}
