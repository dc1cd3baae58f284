package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCleanAllAsks: progress and result records must be removed only if a person answers yes.
func TestCleanAllAsks(t *testing.T) {
	for answer, want := range map[string]bool{"yes\n": true, "yes": true, "y\n": false, "\n": false, "": false, "no\n": false} {
		if got := confirmed(strings.NewReader(answer), io.Discard, ".lab"); got != want {
			t.Errorf("%q: %t, want %t", answer, got, want)
		}
	}
	dir := t.TempDir()
	record := filepath.Join(dir, ".lab", "one", "results.jsonl")
	if err := os.MkdirAll(filepath.Dir(record), 0o755); err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile("../../.env")
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{record: []byte("{}\n"), filepath.Join(dir, ".env"): env} {
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	stdin := os.Stdin
	os.Stdin = null
	defer func() { os.Stdin = stdin }()
	root := newRoot()
	root.SetArgs([]string{"--dir=" + dir, "clean", "--all"})
	var usage usageError
	if err := root.Execute(); !errors.As(err, &usage) || !strings.Contains(err.Error(), "clean --all asks") {
		t.Errorf("without a terminal: %v", err)
	}
	if _, err := os.Stat(record); err != nil {
		t.Errorf("the result records are gone: %v", err)
	}
}
