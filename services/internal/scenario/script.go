// Package scenario runs the shell scripts of scripts/scenarios. An interpreter within this program runs them, so that the
// learner's machine needs no bash, grep or sed. The scripts can call the helper functions of this package. Each is a Go function
// with a name in helpers.go.
package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
)

const folder = "scripts/scenarios"

// Script is one scenario, as it is in its file.
type Script struct {
	Name        string
	Expectation string // the second line of the file: the expectation
	Lesson      string // the file that explains it, relative to the lab's folder; empty if there is none
	file        string
}

// List returns all scenarios, by name.
func List(dir string) ([]Script, error) {
	entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(folder))) // sorted
	if err != nil {
		return nil, err
	}
	var all []Script
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".sh" {
			continue
		}
		script, err := Read(filepath.Join(dir, filepath.FromSlash(folder), entry.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, script)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there are no scenarios in %s", filepath.Join(dir, filepath.FromSlash(folder)))
	}
	return all, nil
}

// Find returns the scenario with a name.
func Find(dir, name string) (Script, error) {
	all, err := List(dir)
	if err != nil {
		return Script{}, err
	}
	for _, script := range all {
		if script.Name == name {
			return script, nil
		}
	}
	return Script{}, &engine.Problem{What: fmt.Sprintf("there is no scenario %q", name), Remedy: didYouMean(name, all) + "\"make scenarios\" lists them"}
}

// didYouMean proposes scenarios whose names contain the mistyped name, or are contained in it.
func didYouMean(name string, all []Script) string {
	var near []string
	for _, script := range all {
		if typed := strings.ToLower(name); typed != "" && (strings.Contains(script.Name, typed) || strings.Contains(typed, script.Name)) {
			near = append(near, script.Name)
		}
	}
	if len(near) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(near, " or ") + "? "
}

// Read returns the script in a file.
func Read(file string) (Script, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Script{}, err
	}
	script := Script{Name: strings.TrimSuffix(filepath.Base(file), ".sh"), file: file}
	if lines := strings.SplitN(string(text), "\n", 3); len(lines) > 2 {
		script.Expectation = strings.TrimPrefix(strings.TrimRight(lines[1], "\r"), "# ")
	}
	if _, err := os.Stat(strings.TrimSuffix(file, ".sh") + ".md"); err == nil {
		script.Lesson = folder + "/" + script.Name + ".md"
	}
	return script, nil
}

// path returns the path of the script's file, relative to the lab's folder if the file is in it.
func (s Script) path(dir string) string {
	if path, err := filepath.Rel(dir, s.file); err == nil && filepath.IsLocal(path) {
		return filepath.ToSlash(path)
	}
	return s.file
}

func (s Script) parse() (*syntax.File, error) {
	file, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(true)).Parse(file, filepath.Base(s.file))
}
