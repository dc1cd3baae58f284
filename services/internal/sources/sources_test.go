package sources

import (
	"os"
	"path/filepath"
	"testing"
)

// TestHash: the hash must change with each name and each content, but not with tests and their data.
func TestHash(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, "a", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		hash, err := Hash(dir, "a")
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	seen := map[string]string{}
	for _, step := range [][2]string{{"x.go", "1"}, {"x.go", "2"}, {"y.go", "2"}, {"b/y.go", ""}} {
		hash := write(step[0], step[1])
		if before, ok := seen[hash]; ok {
			t.Errorf("%q gives the hash of %s", step, before)
		}
		seen[hash] = step[0]
	}
	last := write("b/y.go", "")
	for _, name := range []string{"x_test.go", "testdata/z"} {
		if write(name, "anything") != last {
			t.Errorf("%s changes the hash", name)
		}
	}
	if _, err := Hash(dir, "missing"); err == nil {
		t.Error("a path that does not exist is no error")
	}
}
