package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// Preflight looks for problems that would prevent a start of the lab. It changes nothing, and begins with the cheapest
// check.
func (l *Launcher) Preflight(ctx context.Context) error {
	for _, look := range []func(context.Context) error{l.needNoPolicy, l.needWritable, l.needUnixLines, l.Connect, l.needCompose, l.needOwn} {
		if err := look(ctx); err != nil {
			return err
		}
	}
	for _, sentence := range l.Overridden {
		l.Screen.Say("%s", sentence)
	}
	l.SayOverride()
	return nil
}

// SayOverride says that Compose reads a file in addition to compose.yaml, if that is so.
func (l *Launcher) SayOverride() {
	if file := l.Override(); file != "" {
		l.Screen.Say("%s", lab.InForce(file))
	}
}

// Findings returns, for a report, the errors of all checks in Preflight except Connect and needCompose.
func (l *Launcher) Findings(ctx context.Context) []error {
	var all []error
	for _, look := range []func(context.Context) error{l.needNoPolicy, l.needWritable, l.needUnixLines, l.needOwn} {
		if err := look(ctx); err != nil {
			all = append(all, err)
		}
	}
	return all
}

// needNoPolicy returns an error if a person has decided that the lab must not start. The lab does not overrule this
// decision.
func (l *Launcher) needNoPolicy(context.Context) error {
	switch os.Getenv("DOCKER_CONTENT_TRUST") {
	case "", "0", "false":
		return nil
	}
	return &engine.Problem{Code: lab.ContentTrust, What: "DOCKER_CONTENT_TRUST is set, and the images of the lab are not signed", Remedy: "for this lab: unset DOCKER_CONTENT_TRUST"}
}

// needWritable finds files and folders that this user cannot write, for instance after a command that was run with sudo.
func (l *Launcher) needWritable(context.Context) error {
	if probe, err := os.CreateTemp("", "lab"); err != nil {
		return &engine.Problem{Code: lab.NotWritable, What: "TMPDIR is " + os.TempDir() + ", where nothing can be written", Remedy: "unset TMPDIR, or set it to a folder that you may write to"}
	} else {
		probe.Close()
		os.Remove(probe.Name())
	}
	if err := os.MkdirAll(l.Cache(), 0o755); err != nil {
		return l.Unwritable(l.Cache(), err)
	}
	entries, err := os.ReadDir(l.Cache())
	if err != nil {
		return err
	}
	files := []string{l.Cache()}
	for _, entry := range entries {
		if entry.Type().IsRegular() || entry.IsDir() {
			files = append(files, l.Cache(entry.Name()))
		}
	}
	for _, file := range files {
		if err := writable(file); err != nil {
			return l.Unwritable(file, err)
		}
	}
	// Only a write can detect a full disk.
	probe := l.Cache("probe")
	err = os.WriteFile(probe, bytes.Repeat([]byte("x"), 1<<16), 0o644)
	_ = os.Remove(probe)
	return l.Unwritable(probe, err)
}

// needUnixLines finds files with Windows line endings that would be copied into an image.
func (l *Launcher) needUnixLines(context.Context) error {
	for _, start := range []string{"compose.yaml", "scripts/scenarios/extras.yaml", "spire", "services"} {
		var found string
		err := filepath.WalkDir(filepath.Join(l.Dir, filepath.FromSlash(start)), func(file string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && entry.Name() == "testdata" {
				return fs.SkipDir // no image contains it
			}
			if err != nil || !entry.Type().IsRegular() || filepath.Ext(file) == ".png" {
				return err
			}
			text, err := os.ReadFile(file)
			if err == nil && bytes.ContainsRune(text, '\r') {
				found = file
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			return err
		}
		if found != "" {
			name, err := filepath.Rel(l.Dir, found)
			if err != nil {
				return err
			}
			name = filepath.ToSlash(name)
			return &engine.Problem{Code: lab.WindowsLines, What: name + " has the line endings of Windows, which the programs of the lab cannot read",
				Remedy: "git checkout -- " + name + ", or let your editor save it with LF"}
		}
	}
	return nil
}

var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// needOwn refuses to change a Compose project that another folder or another program uses.
func (l *Launcher) needOwn(ctx context.Context) error {
	name := l.Project
	if !projectName.MatchString(name) {
		proposal := strings.TrimLeft(regexp.MustCompile(`[^a-z0-9_-]`).ReplaceAllString(strings.ToLower(name), "-"), "-_")
		if proposal == "" {
			proposal = "my-lab"
		}
		return &engine.Problem{Code: lab.WrongName, What: fmt.Sprintf("COMPOSE_PROJECT_NAME is %q, which is not a valid name of a Compose project", name),
			Remedy: "use only lower-case letters, digits, - and _: COMPOSE_PROJECT_NAME=" + proposal}
	}
	remedy := "use a different name for this lab, in all of its commands: COMPOSE_PROJECT_NAME=" + name + "-2"
	folders, err := l.Folders(ctx)
	if err != nil {
		return cannotTellOwner(err)
	}
	for _, folder := range folders {
		if !l.Owns(folder) {
			if folder == "" {
				folder = "an unknown folder"
			}
			return &engine.Problem{Code: lab.NameInUse, What: name + " is in use: its containers were started from " + folder, Remedy: remedy}
		}
	}
	thing, err := l.othersThing(ctx)
	if err != nil {
		return cannotTellOwner(err)
	}
	if thing != "" {
		return &engine.Problem{Code: lab.NameInUse, What: name + " is in use: the " + thing + " exists and was not created by this lab", Remedy: remedy}
	}
	return nil
}

// Owns reports whether this lab may have been started from a folder. The folder OwnFolder counts even if it was removed.
func (l *Launcher) Owns(folder string) bool {
	return SameFile(folder, l.Dir) || SameFile(folder, l.Folder) || filepath.Clean(folder) == l.OwnFolder()
}

// SameFile reports whether two paths name the same file or folder.
func SameFile(a, b string) bool {
	left, errLeft := os.Stat(a)
	right, errRight := os.Stat(b)
	return errLeft == nil && errRight == nil && os.SameFile(left, right)
}

// cannotTellOwner returns a problem: the owner of the lab is not known, because docker failed with an error.
func cannotTellOwner(err error) error {
	var problem *engine.Problem
	if errors.As(err, &problem) {
		return problem
	}
	command, _, _ := strings.Cut(err.Error(), ":")
	return &engine.Problem{What: "no Docker Engine answers, so the owner of this lab is not known: " + err.Error(), Remedy: command + " must work; nothing was changed"}
}

// othersThing returns a container, network or volume that the lab did not create, but whose name the lab needs.
func (l *Launcher) othersThing(ctx context.Context) (string, error) {
	wanted := map[string][]string{"network": {l.Project + "_default"}}
	for _, service := range slices.Concat(lab.Services, lab.Extras) {
		wanted["container"] = append(wanted["container"], l.Project+"-"+service+"-1")
	}
	for _, volume := range lab.Volumes {
		wanted["volume"] = append(wanted["volume"], l.Project+"_"+volume)
	}
	for _, kind := range []string{"container", "network", "volume"} {
		things, err := l.Others(ctx, kind)
		if err != nil {
			return "", err
		}
		for _, thing := range things {
			if slices.Contains(wanted[kind], thing) {
				return kind + " " + thing, nil
			}
		}
	}
	return "", nil
}
