package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnwritable: each reason must have a remedy that helps. No remedy may delete anything.
func TestUnwritable(t *testing.T) {
	own, others := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(own, ".cache"), 0o755); err != nil {
		t.Fatal(err)
	}
	wrap := func(err error) error { return &os.PathError{Op: "open", Path: "/l/.cache/x", Err: err} }
	for name, c := range map[string]struct {
		dir        string
		err        error
		what, hint string
	}{
		"a full disk":       {own, wrap(syscall.ENOSPC), "its disk is full", "make room on the disk of 'DIR'"},
		"a quota":           {own, fmt.Errorf("x: %w", wrap(syscall.EDQUOT)), "its disk is full", "nothing was lost"},
		"a read-only disk":  {own, wrap(syscall.EROFS), "its file system is read-only", "git clone 'DIR'"},
		"a command of sudo": {own, wrap(syscall.EACCES), "permission denied", `if a command was run with sudo: sudo chown -R "$(id -u)" 'DIR/.cache'`},
		"somebody else's":   {others, wrap(syscall.EACCES), "permission denied", "copy the folder to a place that you may write to: git clone 'DIR'"},
		"a file in its way": {own, wrap(syscall.ENOTDIR), "not a directory", "git clone 'DIR'"},
		"an error of two":   {own, errors.Join(nil, fs.ErrPermission), "permission denied", "sudo chown"},
	} {
		err := Unwritable(c.dir, "/l/.cache/x", c.err)
		var problem *Problem
		if !errors.As(err, &problem) {
			t.Fatalf("%s: %v", name, err)
		}
		if hint := strings.ReplaceAll(c.hint, "DIR", c.dir); !strings.HasPrefix(problem.What, "/l/.cache/x cannot be written: ") || !strings.HasSuffix(problem.What, c.what) ||
			!strings.Contains(problem.Remedy, hint) || strings.Contains(problem.Remedy, "rm ") {
			t.Errorf("%s: %+v", name, problem)
		}
		if c.dir == others && strings.Contains(problem.Remedy, "sudo") {
			t.Errorf("%s: %s", name, problem.Remedy)
		}
	}
	if err := Unwritable("/l", "x", nil); err != nil {
		t.Errorf("no error is %v", err)
	}
}
