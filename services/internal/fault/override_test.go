package fault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const overriding = `setup() {
	override <<-'END'
		services: {client: {labels: {owner: "team"}}}
	END
}
inject() {
	override <<-'END'
		services: {client: {labels: {owner: "team"}}}
		# for the night shift
		services: {client: {user: root}}
	END
}
`

// overridingDesk returns the desk of a learner whose only fault writes an override.
func overridingDesk(t *testing.T) (d *desk, file string) {
	t.Helper()
	dir := t.TempDir()
	folder := filepath.Join(dir, "scripts", "faults")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	writeSample(t, folder, overriding+"shows() { override_has 'user: root'; }\n")
	return deskIn(t, dir, "p"), filepath.Join(dir, overrideFile)
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOverrideGoes: the override of a fault must be removed, however the fault ends. If the learner has written lines into it, a copy must
// be kept.
func TestOverrideGoes(t *testing.T) {
	ctx := context.Background()
	const right = "services: {client: {labels: {owner: \"team\"}}}\n"
	for name, c := range map[string]struct {
		edit  string // what the learner writes into the file; empty for no change, "-" if the learner removes the file
		saved bool
		end   func(*desk) error
	}{
		"reset":                   {"", false, func(d *desk) error { return d.Reset(ctx) }},
		"give-up":                 {"", false, func(d *desk) error { return d.GiveUp(ctx) }},
		"down":                    {"", false, func(d *desk) error { return d.Forget(func(string) {}, d.Screen.Tell) }},
		"solved":                  {right, false, func(d *desk) error { return d.Check(ctx, CheckOptions{}) }},
		"solved in another way":   {right + "# and no more\n", true, func(d *desk) error { return d.Check(ctx, CheckOptions{}) }},
		"reset after an edit":     {"  " + right, false, func(d *desk) error { return d.Reset(ctx) }},
		"reset after an addition": {right + "services: {server: {user: root}}\n", true, func(d *desk) error { return d.Reset(ctx) }},
		"down after an addition":  {"mine: true\n", true, func(d *desk) error { return d.Forget(func(string) {}, d.Screen.Tell) }},
		"reset after a removal":   {"-", false, func(d *desk) error { return d.Reset(ctx) }},
	} {
		t.Run(name, func(t *testing.T) {
			d, file := overridingDesk(t)
			if err := d.Break(ctx, "1"); err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "user: root") {
				t.Fatalf("the override is %s, %v", text, err)
			}
			if c.edit == "-" {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			} else if c.edit != "" {
				put(t, file, c.edit)
			}
			err := c.end(d)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Error("the override is still there")
			}
			const saved = ".lab/p/compose.override-sample.yaml"
			text, err := os.ReadFile(filepath.Join(d.Place.Dir, filepath.FromSlash(saved)))
			if c.saved != (err == nil) || c.saved && string(text) != c.edit {
				t.Errorf("kept is %q, %v", text, err)
			}
			if told := strings.Contains(d.printed.String(), "your edited version is kept in "+saved); told != c.saved {
				t.Errorf("it says:\n%s", d.printed)
			}
			// A file that exists after the fault has ended belongs to the learner.
			put(t, file, "mine: true\n")
			d.says(t, "break", d.Break(ctx, "1"), "the fault sample writes compose.override.yaml, but there is a file of yours: compose.override.yaml")
			if text, err := os.ReadFile(file); err != nil || string(text) != "mine: true\n" {
				t.Errorf("the learner's file is %s, %v", text, err)
			}
		})
	}
}

// TestOverrideOfTheLearner: if the learner has an override, under any name that Compose reads, break must not inject the fault.
func TestOverrideOfTheLearner(t *testing.T) {
	for _, name := range []string{"compose.override.yml", "docker-compose.override.yaml"} {
		d, file := overridingDesk(t)
		put(t, filepath.Join(d.Place.Dir, name), "mine: true\n")
		d.says(t, "break", d.Break(context.Background(), "1"), "there is a file of yours: "+name)
		if _, err := os.Stat(file); err == nil {
			t.Error("the override was written")
		}
		if _, open := d.progress().Open(); open {
			t.Error("the fault is open")
		}
	}
}

// TestOverrideOfACutOffBreak: if break is killed before the fault is open, the next break must remove the override that the killed break
// has left. If break fails, it must itself remove the override.
func TestOverrideOfACutOffBreak(t *testing.T) {
	ctx := context.Background()
	d, file := overridingDesk(t)
	if err := d.progress().Keep(overrideKept, []byte("left: over\n")); err != nil {
		t.Fatal(err)
	}
	put(t, file, "left: over\n")
	if err := d.Break(ctx, "1"); err != nil {
		t.Error(err)
	}

	d, file = overridingDesk(t)
	writeSample(t, filepath.Join(d.Place.Dir, "scripts", "faults"), strings.Replace(overriding, "END\n}\n", "END\n\tdocker fails\n}\n", 1))
	d.lab.rules = append([]rule{{"docker fails", 1, "it fails"}}, d.lab.rules...)
	d.says(t, "break", d.Break(ctx, "1"), "setup of 01-sample failed")
	if _, err := os.Stat(file); err == nil {
		t.Error("the override is left")
	}
}

// TestOverrideIsSeen: git must show the override, like any file that another team has left.
func TestOverrideIsSeen(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range strings.Fields(string(text)) {
		if hidden, err := filepath.Match(strings.Trim(pattern, "/"), overrideFile); hidden || err != nil {
			t.Errorf(".gitignore hides it: %s, %v", pattern, err)
		}
	}
}
