package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

// environment is a learner's machine with something unusual, and a check of the lab's behaviour there.
type environment struct {
	name   string
	starts bool // whether the environment starts a lab
	play   func(m *machine)
}

func quick(name string, play func(m *machine)) environment { return environment{name, false, play} }

func starts(name string, play func(m *machine)) environment { return environment{name, true, play} }

func allEnvironments() []environment {
	var all []environment
	for _, some := range [][]environment{engines(), registries(), files(), ownership(), settings(), languages(), networks(), edits()} {
		all = append(all, some...)
	}
	return all
}

// TestEnvironments is `make environments`. On an unprepared machine the lab must start. If it cannot, it must say why in two lines before it
// changes anything.
//
//	QUICK=1      only environments that do not start a lab
//	ONLY=words   only environments with these words in their names
func TestEnvironments(t *testing.T) { playEnvironments(t, os.Getenv("QUICK") != "", os.Getenv("ONLY")) }

func playEnvironments(t *testing.T, onlyQuick bool, words string) {
	l := &lab{project: fmt.Sprintf("spiffe-lab-environment-%d", os.Getpid())}
	h := newHouse(t, l)
	plain := func(text string) string { return strings.ReplaceAll(text, "_", " ") } // because Go writes "_" for a space in the name of a subtest
	for _, e := range allEnvironments() {
		if onlyQuick && e.starts || !strings.Contains(plain(e.name), plain(words)) || interrupted.Err() != nil {
			continue
		}
		t.Run(e.name, func(t *testing.T) { e.play(h.machine(t, e.starts)) })
	}
	if interrupted.Err() != nil {
		t.Error("interrupted")
	}
}

// house has the data that the environments share.
type house struct {
	*lab
	source   string // a repository with all files of the lab's folder, committed or not
	builtTag string // the tag of the images of the lab's folder
	tag      string // the tag of the images that an environment may rebuild
	compose  string // the program of Compose
	goDirs   []string
	// The seconds that a start takes in a usual environment, measured once.
	usual float64
}

var labImages = []string{"workload", "tools", "bootstrap", "spire-server", "spire-agent"}

func newHouse(t *testing.T, l *lab) *house {
	t.Helper()
	h := &house{lab: l, source: t.TempDir()}
	l.run(t, "part", "build-tools").Assert(t, icmd.Success)
	for _, line := range lines(l.run(t, "part", "settings").Assert(t, icmd.Success).Stdout()) {
		if name, value, _ := strings.Cut(line, "="); name == "LAB_TAG" {
			h.builtTag = value
		}
	}
	h.tag = fmt.Sprintf("%s-environment-%d", h.builtTag, os.Getpid())
	h.compose = strings.TrimSpace(l.said(t, "info", "--format", `{{range .ClientInfo.Plugins}}{{if eq .Name "compose"}}{{.Path}}{{end}}{{end}}`))
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		h.goDirs = append(h.goDirs, name+"="+strings.TrimSpace(l.exec(t, nil, "go", "env", name).Assert(t, icmd.Success).Stdout()))
	}
	h.commit(t)
	h.freshImages(t)
	t.Cleanup(func() {
		for _, image := range labImages {
			l.docker(t, "image", "rm", "spiffe-lab/"+image+":"+h.tag)
		}
	})
	return h
}

// freshImages gives an environment the images of the lab's folder, under the test's tag.
func (h *house) freshImages(t *testing.T) {
	t.Helper()
	for _, image := range labImages {
		h.docker(t, "tag", "spiffe-lab/"+image+":"+h.builtTag, "spiffe-lab/"+image+":"+h.tag).Assert(t, icmd.Success)
	}
}

// commit makes the repository for the clones. It does not change the lab's own index and branches.
func (h *house) commit(t *testing.T) {
	t.Helper()
	git := func(words ...string) string {
		return strings.TrimSpace(h.exec(t, []string{"GIT_INDEX_FILE=" + filepath.Join(t.TempDir(), "index"), "GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@localhost",
			"GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@localhost"}, words...).Assert(t, icmd.Success).Stdout())
	}
	index := "GIT_INDEX_FILE=" + filepath.Join(h.source, "index")
	h.exec(t, []string{index}, "git", "read-tree", "HEAD").Assert(t, icmd.Success)
	h.exec(t, []string{index}, "git", "add", "--all").Assert(t, icmd.Success)
	tree := strings.TrimSpace(h.exec(t, []string{index}, "git", "write-tree").Assert(t, icmd.Success).Stdout())
	commit := git("git", "commit-tree", tree, "-m", "the lab's folder")
	h.source = filepath.Join(h.source, "lab.git")
	git("git", "init", "--quiet", "--bare", "--initial-branch=main", h.source)
	git("git", "push", "--quiet", h.source, commit+":refs/heads/main")
}

// machine is a learner's machine in one environment. It has its own home folder, Docker configuration, PATH and clone.
type machine struct {
	*house
	t      *testing.T
	box    string   // the folder that contains the home folder, the clone and the rest
	folder string   // the folder of the clone
	env    []string // the variables of the learner's shell, as NAME=VALUE; the last value counts
	umask  string
	within []string // a command line that runs each of the learner's commands

	printed string // the output of the last command
	status  int
	lasted  time.Duration
}

// machine creates a machine. At the end of the test it removes everything that the clones on this machine have left. The project's name
// contains the test's PID, so no other project has this name.
func (h *house) machine(t *testing.T, starts bool) *machine {
	box, err := os.MkdirTemp("", "environment")
	must(t, err)
	m := &machine{house: h, t: t, box: box, umask: "022"}
	t.Cleanup(func() {
		m.tidy()
		_ = exec.Command("chmod", "-R", "u+w", box).Run()
		must(t, os.RemoveAll(box))
	})
	plugins := filepath.Join(box, "home", ".docker", "cli-plugins")
	must(t, os.MkdirAll(filepath.Join(box, "bin"), 0o755))
	must(t, os.MkdirAll(plugins, 0o755))
	must(t, os.Symlink(h.compose, filepath.Join(plugins, "docker-compose")))
	m.env = append([]string{"HOME=" + m.home(), "DOCKER_CONFIG=" + m.home(".docker"), "PATH=" + filepath.Join(box, "bin") + ":" + os.Getenv("PATH"),
		"LAB_TAG=" + h.tag, "NO_COLOR=1"}, h.goDirs...)
	if starts {
		h.freshImages(t)
	}
	m.clone("lab")
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) home(name ...string) string {
	return filepath.Join(append([]string{m.box, "home"}, name...)...)
}

func (m *machine) in(name ...string) string {
	return filepath.Join(append([]string{m.folder}, name...)...)
}

// clone makes a clone on the machine, with the compiled files of the lab's folder.
func (m *machine) clone(name string, options ...string) {
	m.t.Helper()
	m.folder = filepath.Join(m.box, name)
	must(m.t, os.RemoveAll(m.folder))
	words := append([]string{"sh", "-c", `umask "$0" && exec "$@"`, m.umask, "git", "clone", "--quiet"}, options...)
	m.exec(m.t, nil, append(words, "--", m.source, m.folder)...).Assert(m.t, icmd.Success)
	must(m.t, os.MkdirAll(m.in(".cache", "bin"), 0o755))
	m.exec(m.t, nil, "cp", "-p", cache("bin/lab"), cache("bin/console"), m.in(".cache", "bin")).Assert(m.t, icmd.Success)
	if text, err := os.ReadFile(cache("built-" + m.builtTag + ".json")); err == nil {
		m.write(".cache/built-"+m.tag+".json", strings.ReplaceAll(string(text), ":"+m.builtTag+`"`, ":"+m.tag+`"`))
	}
	if exists(cache("prebuilt")) {
		m.write(".cache/prebuilt", "")
	}
	if exists(cache("prebuilt-images")) {
		m.exec(m.t, nil, "cp", "-RPl", cache("prebuilt-images"), m.in(".cache")) // as hard links if possible. The lab builds a missing file again
	}
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

func (m *machine) set(variables ...string) { m.env = append(m.env, variables...) }

// The method without removes programs from the learner's PATH: the new PATH has a link to every other program.
func (m *machine) without(tools ...string) {
	m.t.Helper()
	path := filepath.Join(m.box, "path")
	must(m.t, os.MkdirAll(path, 0o755))
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			if err := os.Symlink(filepath.Join(dir, entry.Name()), filepath.Join(path, entry.Name())); err != nil && !os.IsExist(err) {
				m.t.Fatal(err)
			}
		}
	}
	for _, tool := range tools {
		must(m.t, os.RemoveAll(filepath.Join(path, tool)))
	}
	m.set("PATH=" + filepath.Join(m.box, "bin") + ":" + path)
}

// stub replaces a program by a shell script. In the script, $real is the path of the replaced program.
func (m *machine) stub(tool, script string) {
	m.t.Helper()
	real, err := exec.LookPath(tool)
	must(m.t, err)
	must(m.t, os.WriteFile(filepath.Join(m.box, "bin", tool), []byte("#!/bin/sh\nreal="+real+"\n"+script+"\n"), 0o755))
}

// stubDocker replaces `docker COMMAND` by a script. The engine answers all other commands.
func (m *machine) stubDocker(command, script string) {
	m.t.Helper()
	m.stub("docker", `case "$1" in `+command+`) `+script+` ;; esac
exec "$real" "$@"`)
}

// readOnly makes a path read-only for the user of the test. For root this needs a mount.
func (m *machine) readOnly(path string) {
	m.t.Helper()
	if os.Getuid() != 0 {
		must(m.t, os.Chmod(path, 0o555))
		return
	}
	m.within = []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$PWD" && exec "$@"`, path}
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	must(m.t, os.WriteFile(m.in(name), []byte(text), 0o644))
}

func (m *machine) read(name string) string {
	m.t.Helper()
	text, err := os.ReadFile(m.in(name))
	must(m.t, err)
	return string(text)
}

// edit replaces a text, which must exist.
func (m *machine) edit(name, old, new string) {
	m.t.Helper()
	text := m.read(name)
	if !strings.Contains(text, old) {
		m.t.Fatalf("%s has no %q", name, old)
	}
	m.write(name, strings.ReplaceAll(text, old, new))
}

func (m *machine) remove(names ...string) {
	m.t.Helper()
	for _, name := range names {
		files, err := filepath.Glob(m.in(name))
		must(m.t, err)
		for _, file := range files {
			must(m.t, os.RemoveAll(file))
		}
	}
}

// runs executes a program in the clone, and returns the output. The program must succeed.
func (m *machine) runs(words ...string) string {
	m.t.Helper()
	return m.learner(words...).Assert(m.t, icmd.Success).Combined()
}

// learner runs a program in the clone as a learner would, without a terminal.
func (m *machine) learner(words ...string) *icmd.Result {
	words = append(append([]string{}, m.within...), words...)
	return execute(m.t, icmd.Cmd{Command: append([]string{"sh", "-c", `umask "$0" && exec "$@"`, m.umask}, words...), Dir: m.folder, Env: m.environment(m.env...)})
}

// types executes a command of the lab, and keeps its output, exit status and duration.
func (m *machine) types(command string) {
	began := time.Now()
	result := m.learner(append([]string{"sh", "scripts/lab"}, strings.Fields(command)...)...)
	m.printed, m.status, m.lasted = result.Combined(), result.ExitCode, time.Since(began)
}

// wrong fails the test, and prints the output of the last command.
func (m *machine) wrong(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), m.printed)
}

func (m *machine) hasPrinted(texts []string) {
	m.t.Helper()
	for _, text := range texts {
		if !strings.Contains(m.printed, text) {
			m.wrong("the output lacks: %s", text)
		}
	}
}

// works executes a command of the lab. The command must succeed, and print these texts.
func (m *machine) works(command string, texts ...string) {
	m.t.Helper()
	if m.types(command); m.status != 0 {
		m.wrong("%s: exit status %d", command, m.status)
	}
	m.hasPrinted(texts)
}

// refused executes a command of the lab. The command must fail before it changes anything, and must print one line with the error and one
// line with the remedy.
func (m *machine) refused(command string, texts ...string) {
	m.t.Helper()
	before := m.engineState()
	if m.types(command); m.status == 0 {
		m.wrong("%s: it succeeded, but must fail", command)
	}
	for _, word := range []string{"error: ", "hint: "} {
		if n := strings.Count("\n"+m.printed, "\n"+word); n != 1 {
			m.wrong("the output has %d lines with %q", n, word)
		}
	}
	if after := m.engineState(); after != before {
		m.wrong("the command has changed something: %q became %q", before, after)
	}
	m.hasPrinted(texts)
}

// fails executes a command of the lab, and checks that the command fails. The command may change something before it fails.
func (m *machine) fails(command string, texts ...string) {
	m.t.Helper()
	if m.types(command); m.status == 0 {
		m.wrong("%s: it succeeded, but must fail", command)
	}
	m.hasPrinted(texts)
}

// silent is an assertion: the last command has not printed these texts.
func (m *machine) silent(texts ...string) {
	m.t.Helper()
	for _, text := range texts {
		if strings.Contains(m.printed, text) {
			m.wrong("the output has: %s", text)
		}
	}
}

func (m *machine) took(atMost time.Duration) {
	m.t.Helper()
	if m.lasted > atMost {
		m.wrong("the command took %v, not at most %v", m.lasted, atMost)
	}
}

// engineState returns the containers and volumes of this project.
func (m *machine) engineState() string {
	label := "label=com.docker.compose.project=" + m.project
	return m.engineSays("ps", "--all", "--no-trunc", "--filter", label, "--format", "{{.ID}} {{.State}}") + m.engineSays("volume", "ls", "--quiet", "--filter", label)
}

// engineSays runs docker in the environment of the test, not of the learner, and returns the output.
func (m *machine) engineSays(words ...string) string {
	m.t.Helper()
	return m.said(m.t, words...)
}

// tidy removes everything with the project's name.
func (m *machine) tidy() {
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "--all", "--format", `{{.Names}} {{.Label "com.docker.compose.project"}}`}, []string{"rm", "--force", "--volumes"}},
		{[]string{"network", "ls", "--format", `{{.Name}} {{.Label "com.docker.compose.project"}}`}, []string{"network", "rm"}},
		{[]string{"volume", "ls", "--format", `{{.Name}} {{.Label "com.docker.compose.project"}}`}, []string{"volume", "rm"}},
	} {
		for _, line := range lines(m.engineSays(kind.list...)) {
			name, project, _ := strings.Cut(line, " ")
			if project == m.project || strings.HasPrefix(name, m.project+"-") || strings.HasPrefix(name, m.project+"_") {
				m.docker(m.t, append(kind.remove, name)...)
			}
		}
	}
}

func cr(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// sandboxProgram is the program that simulates a DNS server, and watches a network.
var sandboxProgram = sync.OnceValues(func() (string, error) {
	file := cache("bin/sandbox")
	build := exec.Command("go", "build", "-o", file, "./scripts/dev/environments/sandbox")
	build.Dir = root()
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w", out, err)
	}
	return file, nil
})

// withoutModes removes the execute bits, as a zip file does.
func (m *machine) withoutModes() {
	m.t.Helper()
	for _, folder := range []string{"scripts", "services", "spire"} {
		must(m.t, filepath.WalkDir(m.in(folder), func(file string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			return os.Chmod(file, 0o644)
		}))
	}
}
