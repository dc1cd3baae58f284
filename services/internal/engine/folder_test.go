package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine/enginetest"
)

// folderEngine returns the engine of a lab named p, in a folder with the real compose.yaml.
func folderEngine(t *testing.T) *Engine {
	t.Helper()
	dir := enginetest.Start(t, "compose => 0 ARGS\n"+enginetest.Version+enginetest.Info)
	text, err := os.ReadFile("../../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	e, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestOwnFolder: a lab's own folder must have the files that Compose reads. Its compose.yaml must name all other files by absolute paths.
func TestOwnFolder(t *testing.T) {
	e := folderEngine(t)
	if err := e.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e.Folder != e.Dir {
		t.Errorf("before, Compose reads %s", e.Folder)
	}
	one := e.ForProject("one")
	if err := one.MakeFolder(); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(e.Dir, ".lab", "one", "compose")
	if one.Folder != folder || e.ForProject("one").Folder != folder || e.ForProject("two").Folder != e.Dir {
		t.Errorf("the folders are %s, %s, %s", one.Folder, e.ForProject("one").Folder, e.ForProject("two").Folder)
	}
	said, err := one.Compose(t.Context(), nil, "ps").Output()
	if err != nil || !strings.Contains(string(said), "--project-directory "+folder+" ps") {
		t.Errorf("Compose is called with %s, %v", said, err)
	}
	text, err := os.ReadFile(one.ComposeFile())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.ToSlash(e.Dir)
	for _, want := range []string{"\nname: one\n", "\n  - path: '" + dir + "/scripts/scenarios/extras.yaml'\n", "\n    project_directory: '" + dir + "'\n", "\n  context: '" + dir + "'\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("compose.yaml lacks %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(string(text)) {
		if value := strings.TrimSpace(line); strings.HasSuffix(value, ": .") || strings.Contains(value, ": ./") || strings.HasPrefix(value, "- ./") || strings.HasPrefix(value, "- path: scripts") {
			t.Errorf("this is read from the wrong folder: %s", line)
		}
	}
	if text, err := os.ReadFile(filepath.Join(folder, ".env")); err != nil || !strings.Contains(string(text), "LAB_TAG='local'\n") {
		t.Errorf(".env is %s, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(folder, "Makefile")); err != nil || !strings.Contains(string(text), "COMPOSE_PROJECT_NAME := one\n") || !strings.Contains(string(text), "-C '"+e.Dir+"' $@\n") {
		t.Errorf("Makefile is %s, %v", text, err)
	}
}

// TestDropFolder: the lab must remove its own files, and keep the files that the learner edited or added.
func TestDropFolder(t *testing.T) {
	e := folderEngine(t)
	for round, want := range [][]string{nil, {"kept-.env", "kept-compose.override.yaml"}, {"kept-2-compose.override.yaml"}} {
		if err := e.MakeFolder(); err != nil {
			t.Fatal(err)
		}
		own := e.Folder
		for _, name := range want {
			_, name, _ = strings.Cut(strings.Replace(name, "-2", "", 1), "-")
			if err := os.WriteFile(filepath.Join(own, name), []byte("mine"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := e.DropFolder()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, file := range kept {
			names = append(names, filepath.Base(file))
			if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
				t.Errorf("%s is %s, %v", file, text, err)
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("round %d: kept are %q, not %q", round, names, want)
		}
		if _, err := os.Stat(own); err == nil || e.Folder != e.Dir {
			t.Errorf("round %d: the folder is still there", round)
		}
	}
	if kept, err := e.DropFolder(); err != nil || kept != nil {
		t.Errorf("without a folder: %v, %v", kept, err)
	}
}

// TestMakeFolder: the lab must refuse a compose.yaml with edited folder names, and must not change an existing file.
func TestMakeFolder(t *testing.T) {
	e := folderEngine(t)
	file := filepath.Join(e.Dir, ".lab", "p", "compose", ".env")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := e.MakeFolder(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf(".env is %s, %v", text, err)
	}
	if err := os.WriteFile(filepath.Join(e.Dir, "compose.yaml"), []byte("services: {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := e.MakeFolder(); err == nil || !strings.Contains(err.Error(), "compose.yaml has no line") {
		t.Errorf("got %v", err)
	}
}

// TestOverrideInForce: an override file must be reported under each of its possible names, if it is in the folder from which Compose reads.
func TestOverrideInForce(t *testing.T) {
	e := folderEngine(t)
	if said := e.Override(); said != "" {
		t.Errorf("without one: %q", said)
	}
	for _, name := range overrideFiles {
		file := filepath.Join(e.Dir, name)
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if said := e.Override(); said != name {
			t.Errorf("%s: %q", name, said)
		}
		one := e.ForProject("one")
		if err := one.MakeFolder(); err != nil {
			t.Fatal(err)
		}
		if said := one.Override(); said != "" {
			t.Errorf("another lab's %s is in force: %q", name, said)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}
