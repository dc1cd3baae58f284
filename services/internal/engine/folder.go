package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// overrideFiles are the possible names of an override. In addition to compose.yaml, Compose reads the first of these files that exists.
var overrideFiles = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}

// OverrideIn returns the name of the override in a folder, or an empty text if there is none.
func OverrideIn(folder string) string {
	for _, name := range overrideFiles {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return name
		}
	}
	return ""
}

// Override returns the path of the lab's override, relative to e.Dir, or an empty text if there is none.
func (e *Engine) Override() string {
	name := OverrideIn(e.Folder)
	if name == "" {
		return ""
	}
	if path, err := filepath.Rel(e.Dir, filepath.Join(e.Folder, name)); err == nil {
		name = filepath.ToSlash(path)
	}
	return name
}

// ComposeFile returns the lab's compose.yaml.
func (e *Engine) ComposeFile() string { return filepath.Join(e.Folder, "compose.yaml") }

// ownFolder returns the path of a folder for one lab only. If the folder exists, the lab has its own compose.yaml in it. Otherwise the lab
// shares a compose.yaml with other labs.
func ownFolder(dir, project string) string { return filepath.Join(dir, ".lab", project, "compose") }

// OwnFolder returns the folder with this lab's own compose.yaml.
func (e *Engine) OwnFolder() string { return ownFolder(e.Dir, e.Project) }

// folderOf returns the folder from which Compose reads the compose.yaml of a lab. This is the lab's own folder if that folder has a
// compose.yaml, or else the shared folder.
func folderOf(dir, project string) string {
	own := ownFolder(dir, project)
	if _, err := os.Stat(filepath.Join(own, "compose.yaml")); err == nil {
		return own
	}
	return dir
}

// These expressions match the lines of compose.yaml that a lab's own copy changes: the project name, and relative paths.
var (
	nameLine    = regexp.MustCompile(`(?m)^name: \S+$`)
	contextLine = regexp.MustCompile(`(?m)^(\s*(?:context|project_directory): )\.$`)
	includeLine = regexp.MustCompile(`(?m)^(\s*- path: )(scripts/\S+)$`)
)

// folderFiles returns the contents of the files in the lab's own folder, by their names. The files that compose.yaml includes or builds
// from are not copied. Instead, the new compose.yaml has their absolute paths.
func (e *Engine) folderFiles() (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(e.Dir, "compose.yaml"))
	if err != nil {
		return nil, err
	}
	dir := filepath.ToSlash(e.Dir)
	quoted := func(path string) string {
		return strings.ReplaceAll(`'`+strings.ReplaceAll(path, "'", "''")+`'`, "$", "$$") // Compose replaces $NAME
	}
	compose := string(text)
	for _, change := range []struct {
		line *regexp.Regexp
		make func(found []string) string
	}{
		{nameLine, func([]string) string { return "name: " + e.Project }},
		{contextLine, func(found []string) string { return found[1] + quoted(dir) }},
		{includeLine, func(found []string) string { return found[1] + quoted(dir+"/"+found[2]) }},
	} {
		if !change.line.MatchString(compose) {
			missing := "compose.yaml has no line " + change.line.String()
			return nil, &Problem{What: missing, Remedy: "\"git diff compose.yaml\" shows what was changed"}
		}
		compose = change.line.ReplaceAllStringFunc(compose, func(line string) string { return change.make(change.line.FindStringSubmatch(line)) })
	}
	env := "# The settings with which this lab was started.\n"
	for _, name := range Settings {
		env += name + "='" + e.settings[name] + "'\n"
	}
	makefile := "# Every command of the lab, for this lab.\nexport COMPOSE_PROJECT_NAME := " + e.Project + "\n.DEFAULT_GOAL := help\nMakefile: ;\n%:\n\t@$(MAKE) --no-print-directory -C '" +
		strings.NewReplacer("'", `'\''`, "$", "$$").Replace(e.Dir) + "' $@\n"
	return map[string]string{"compose.yaml": compose, ".env": env, "Makefile": makefile}, nil
}

// MakeFolder creates the lab's own folder, with the compose.yaml that Compose uses for this lab from now on. So an override for a different
// lab has no effect on this lab. MakeFolder does not change existing files.
func (e *Engine) MakeFolder() error {
	files, err := e.folderFiles()
	if err != nil {
		return err
	}
	folder := e.OwnFolder()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return e.Unwritable(folder, err)
	}
	for name, text := range files {
		file := filepath.Join(folder, name)
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return e.Unwritable(file, err)
		}
	}
	e.Folder = folder
	return nil
}

// DropFolder removes the lab's own folder. It moves files that the learner has added or edited to the parent folder, and returns their
// names.
func (e *Engine) DropFolder() (kept []string, err error) {
	folder := e.OwnFolder()
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	files, err := e.folderFiles()
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		file := filepath.Join(folder, entry.Name())
		if text, err := os.ReadFile(file); err == nil && files[entry.Name()] != "" && string(text) == files[entry.Name()] {
			if err := os.Remove(file); err != nil {
				return kept, err
			}
			continue
		}
		to := filepath.Join(filepath.Dir(folder), "kept-"+entry.Name())
		for n := 2; exists(to); n++ {
			to = filepath.Join(filepath.Dir(folder), fmt.Sprintf("kept-%d-%s", n, entry.Name()))
		}
		if err := os.Rename(file, to); err != nil {
			return kept, err
		}
		kept = append(kept, to)
	}
	e.Folder = e.Dir
	return kept, os.Remove(folder)
}
