package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// mutant is a wrong version of the lab. The second line of its file scripts/dev/mutants/NAME.sh says what is wrong. The file has these commands:
//
//	replace FILE OLD NEW               replaces the text OLD, which is in FILE exactly once, by NEW
//	caught_by unit DIR TEST WORDS      the Go test TEST (or TEST/subtest) in services/DIR must fail with a message that has WORDS
//	caught_by scenario NAME WORDS      the scenario must end with FAIL, and that line must have WORDS
//	caught_by check NAME WORDS         the same for a test of this module that is not a scenario, by its name in ONLY
type mutant struct {
	name, fault string
	edits       []edit
	catchers    []catcher
}

type edit struct{ file, old, new string }

// catcher is a test that must fail when the lab has the mutant. The failure message must have the words.
type catcher struct{ kind, name, test, words string }

// suite returns the whole package, scenario or check of a catcher, which must pass without the mutant.
func (c catcher) suite() catcher { return catcher{kind: c.kind, name: c.name} }

func (c catcher) String() string { return strings.TrimSpace(c.kind + " " + c.name + " " + c.test) }

func readMutants(t *testing.T) []mutant {
	t.Helper()
	var all []mutant
	for _, file := range glob("scripts/dev/mutants/*.sh") {
		m, err := readMutant(file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		all = append(all, m)
	}
	return all
}

func readMutant(file string) (mutant, error) {
	m := mutant{name: nameOf(file)}
	text, err := os.ReadFile(file)
	if err != nil {
		return m, err
	}
	if all := strings.SplitN(string(text), "\n", 3); len(all) == 3 {
		m.fault, _ = strings.CutPrefix(all[1], "# ")
	}
	script, err := syntax.NewParser().Parse(bytes.NewReader(text), file)
	if err != nil {
		return m, err
	}
	for _, statement := range script.Stmts {
		call, ok := statement.Cmd.(*syntax.CallExpr)
		if !ok {
			return m, fmt.Errorf("line %d is neither replace nor caught_by", statement.Pos().Line())
		}
		words, err := expand.Fields(nil, call.Args...)
		if err != nil {
			return m, err
		}
		switch {
		case words[0] == "replace" && len(words) == 4:
			m.edits = append(m.edits, edit{words[1], words[2], words[3]})
		case words[0] == "caught_by" && words[1] == "unit" && len(words) == 5:
			m.catchers = append(m.catchers, catcher{"unit", words[2], words[3], words[4]})
		case words[0] == "caught_by" && (words[1] == "scenario" || words[1] == "check") && len(words) == 4:
			m.catchers = append(m.catchers, catcher{words[1], words[2], "", words[3]})
		default:
			return m, fmt.Errorf("line %d is not a correct replace or caught_by: %q", statement.Pos().Line(), words)
		}
	}
	if m.fault == "" || len(m.edits) == 0 || len(m.catchers) == 0 {
		return m, errors.New("it must say in its second line what is wrong, replace something, and say who catches it")
	}
	return m, nil
}

// edited reads the files that the mutant changes, from a copy of the lab's folder. It returns their new contents by the names of the files.
func (m mutant) edited(folder string) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range m.edits {
		if _, ok := texts[e.file]; !ok {
			text, err := os.ReadFile(filepath.Join(folder, e.file))
			if err != nil {
				return nil, err
			}
			texts[e.file] = string(text)
		}
		if n := strings.Count(texts[e.file], e.old); n != 1 {
			return nil, fmt.Errorf("%s has this text %d times, not once: %s", e.file, n, e.old)
		}
		texts[e.file] = strings.Replace(texts[e.file], e.old, e.new, 1)
	}
	return texts, nil
}

func (m mutant) touches(pattern string) bool {
	form := regexp.MustCompile(pattern)
	return slices.ContainsFunc(m.edits, func(e edit) bool { return form.MatchString(e.file) })
}

// TestMutantsFit: every mutant must fit the sources and compile, and its catchers must exist. The test needs no lab.
func TestMutantsFit(t *testing.T) {
	folder := t.TempDir()
	copyTree(t, folder)
	var names []string
	for _, test := range all() {
		names = append(names, test.name)
	}
	for _, m := range readMutants(t) {
		texts, err := m.edited(root())
		if err != nil {
			t.Errorf("scripts/dev/mutants/%s.sh: %v", m.name, err)
			continue
		}
		packages := map[string]bool{}
		for file, text := range texts {
			if strings.HasSuffix(file, ".yaml") {
				yaml := filepath.Join(t.TempDir(), "compose.yaml")
				must(t, os.WriteFile(yaml, []byte(text), 0o644))
				check := exec.Command("docker", "compose", "--project-directory", root(), "--file", yaml, "config", "--quiet")
				if out, err := check.CombinedOutput(); err != nil {
					t.Errorf("scripts/dev/mutants/%s.sh: it is not a Compose file: %s", m.name, out)
				}
			}
			if !strings.HasPrefix(file, "services/") {
				continue
			}
			// The test writes all changed packages beside the original packages, and compiles them together. This takes only seconds.
			dir := filepath.Dir(file)
			beside := filepath.Join(folder, dir+"-"+m.name)
			if !packages[dir] {
				must(t, os.CopyFS(beside, os.DirFS(filepath.Join(root(), dir))))
				packages[dir] = true
			}
			must(t, os.WriteFile(filepath.Join(beside, filepath.Base(file)), []byte(text), 0o644))
		}
		for _, c := range m.catchers {
			if c.kind != "unit" && !slices.Contains(names, c.name) {
				t.Errorf("scripts/dev/mutants/%s.sh: there is no %s %q", m.name, c.kind, c.name)
			}
			function, _, _ := strings.Cut(c.test, "/")
			tests, _ := filepath.Glob(filepath.Join(root(), "services", c.name, "*_test.go"))
			if c.kind == "unit" && !slices.ContainsFunc(tests, func(file string) bool {
				text, _ := os.ReadFile(file)
				return bytes.Contains(text, []byte("\nfunc "+function+"("))
			}) {
				t.Errorf("scripts/dev/mutants/%s.sh: services/%s has no test %s", m.name, c.name, function)
			}
		}
	}
	vet := exec.Command("go", "vet", "./services/...")
	vet.Dir = folder
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("%s%v", out, err)
	}
}

// copyTree copies the lab's folder, without built files and without the learner's files.
func copyTree(t *testing.T, to string) {
	t.Helper()
	entries, err := os.ReadDir(root())
	must(t, err)
	for _, entry := range entries {
		if !slices.Contains([]string{".git", ".cache", ".lab"}, entry.Name()) {
			icmd.RunCommand("cp", "-Rp", filepath.Join(root(), entry.Name()), to).Assert(t, icmd.Success)
		}
	}
}

// TestEveryMutant is `make mutants`. It checks that the tests of the suite can fail. It makes each mutant in a copy of the lab's folder, which has
// its own lab and images. Each catcher must first pass without the mutant, and then fail with the words that the mutant names. If a catcher passes,
// or fails with a different message, the mutant has survived.
//
//	ONLY=names   only these mutants
func TestEveryMutant(t *testing.T) {
	all := readMutants(t)
	if only := strings.Fields(os.Getenv("ONLY")); len(only) > 0 {
		var chosen []mutant
		for _, name := range only {
			i := slices.IndexFunc(all, func(m mutant) bool { return m.name == name })
			if i < 0 {
				t.Fatalf("there is no mutant %q in scripts/dev/mutants", name)
			}
			chosen = append(chosen, all[i])
		}
		all = chosen
	}
	h := newHunt(t)
	var tried []catcher
	for _, m := range all {
		for _, c := range m.catchers {
			if c = c.suite(); interrupted.Err() == nil && !slices.Contains(tried, c) {
				tried = append(tried, c)
				t.Run("without a mutant: "+strings.ReplaceAll(c.String(), "/", "."), func(t *testing.T) {
					if c.kind != "unit" && h.runs == noLab {
						h.lab(t, "up").Assert(t, icmd.Success)
						h.runs = rightLab
					}
					if why := h.member(c); why != "" {
						h.broken = append(h.broken, c)
						t.Fatal(why)
					}
				})
			}
		}
	}
	for _, m := range all {
		if interrupted.Err() == nil {
			t.Run(m.name, func(t *testing.T) { h.hunt(t, m) })
		}
	}
	if interrupted.Err() != nil {
		t.Error("interrupted")
	}
}

// The type made says which parts of the running lab a mutant has changed. The test restores these parts before the next mutant.
type made int

const (
	noLab       made = iota
	rightLab         // the lab without a mutant
	newPrograms      // the programs server and client
	newLab
)

// hunt has a copy of the lab's folder, and the lab of this copy.
type hunt struct {
	copy    string
	project string
	tag     string
	runs    made
	broken  []catcher // the catchers that fail even without a mutant
}

func newHunt(t *testing.T) *hunt {
	h := &hunt{copy: t.TempDir(), project: fmt.Sprintf("spiffe-lab-mutants-%d", os.Getpid()), tag: fmt.Sprintf("mutants-%d", os.Getpid())}
	copyTree(t, h.copy)
	must(t, os.MkdirAll(filepath.Join(h.copy, ".cache", "bin"), 0o755))
	// The copy gets these compiled files, to save time. If a mutant changes the program lab, scripts/lab compiles it. The images are built
	// in the same way as in the lab's folder.
	for _, name := range []string{"bin/lab", "bin/console", "bin/docker-compose", "prebuilt", "prebuilt-images"} {
		if exists(cache(name)) {
			icmd.RunCommand("cp", "-Rp", cache(name), filepath.Join(h.copy, ".cache", filepath.Dir(name))).Assert(t, icmd.Success)
		}
	}
	t.Cleanup(func() {
		if h.runs != noLab {
			h.run(t, "docker", "compose", "--profile", "*", "down", "--volumes", "--remove-orphans").Assert(t, icmd.Success)
		}
		for _, image := range labImages {
			h.run(t, "docker", "image", "rm", "spiffe-lab/"+image+":"+h.tag)
		}
	})
	return h
}

func (h *hunt) environment(extra ...string) []string {
	return (&lab{project: h.project}).environment(append(extra, "LAB_TAG="+h.tag, "GOWORK=off", "GOFLAGS=-mod=readonly")...)
}

func (h *hunt) run(t *testing.T, words ...string) *icmd.Result {
	t.Helper()
	return execute(t, icmd.Cmd{Command: words, Dir: h.copy, Env: h.environment()})
}

func (h *hunt) lab(t *testing.T, words ...string) *icmd.Result {
	t.Helper()
	return h.run(t, append([]string{filepath.Join(h.copy, "scripts", "lab")}, words...)...)
}

// inTime runs a program in the copy. The program has its own process group, so that inTime can end it together with its children.
func (h *hunt) inTime(within time.Duration, extra []string, words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(interrupted, within)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = h.copy, h.environment(extra...), time.Minute
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("the program did not end within %v", within)
	}
	return string(out), err
}

// notSaid matches the lines of `go test` that are no messages of a test.
var notSaid = regexp.MustCompile(`(?m)^( *(--- |===)|FAIL|ok|exit status).*\n`)

// member runs one catcher in the copy. It returns the failure message, or "" if the catcher passes.
func (h *hunt) member(c catcher) string {
	if c.kind == "unit" {
		test := ""
		if c.test != "" {
			test = "^" + strings.ReplaceAll(c.test, "/", "$/^") + "$"
		}
		out, err := h.inTime(3*time.Minute, nil, "go", "test", "-count", "1", "-timeout", "60s", "-run", test, "./services/"+c.name)
		switch {
		case strings.Contains(out, "no tests to run"):
			return "there is no such test"
		case err == nil:
			return ""
		}
		return notSaid.ReplaceAllString(out, "") + err.Error()
	}
	out, err := h.inTime(5*time.Minute, []string{"LABS=" + h.project, "ONLY=" + c.name}, filepath.Join(h.copy, "scripts", "dev", "test.sh"))
	if err == nil {
		return ""
	}
	if line := regexp.MustCompile(`FAIL ` + c.name + `: (.*) \([0-9]* checks, [0-9]* s\)\n`).FindStringSubmatch(out); line != nil {
		return line[1]
	}
	out, _, _ = strings.Cut(out, ": the lab after the test:")
	return out + err.Error()
}

// hunt makes the mutant in the copy, and checks that each catcher fails.
func (h *hunt) hunt(t *testing.T, m mutant) {
	texts, err := m.edited(h.copy)
	must(t, err)
	for file, text := range texts {
		name := filepath.Join(h.copy, file)
		before, err := os.ReadFile(name)
		must(t, err)
		must(t, os.WriteFile(name, []byte(text), 0o644)) // the file keeps its mode
		t.Cleanup(func() { must(t, os.WriteFile(name, before, 0o644)) })
	}
	needsLab := slices.ContainsFunc(m.catchers, func(c catcher) bool { return c.kind != "unit" })
	if needsLab {
		h.renew(t, m)
	}
	t.Log(m.fault)
	noticed := false
	for _, c := range m.catchers {
		if slices.Contains(h.broken, c.suite()) {
			t.Errorf("not caught by %v, which fails without the mutant too", c)
			noticed = true
			continue
		}
		why := h.member(c)
		i := strings.Index(why, c.words)
		noticed = noticed || why != ""
		switch {
		case why == "":
			t.Errorf("not caught by %v, which passes", c)
		case i < 0:
			t.Errorf("not caught by %v, whose failure lacks the words %q:\n%s", c, c.words, why)
		default:
			line, _, _ := strings.Cut(why[strings.LastIndexByte(why[:i], '\n')+1:], "\n")
			t.Logf("caught by %v: %s", c, strings.TrimSpace(line))
		}
	}
	if !noticed {
		h.others(t, needsLab)
	}
}

// others is for a mutant that its catchers have not noticed. It runs the other tests with this mutant, and reports which of them fail.
func (h *hunt) others(t *testing.T, withLab bool) {
	var others []catcher
	for _, pattern := range []string{"services/*/*_test.go", "services/internal/*/*_test.go"} {
		for _, file := range glob(pattern) {
			dir, err := filepath.Rel(filepath.Join(root(), "services"), filepath.Dir(file))
			must(t, err)
			if c := (catcher{kind: "unit", name: dir}); !slices.Contains(others, c) {
				others = append(others, c)
			}
		}
	}
	for _, test := range all() {
		if withLab {
			others = append(others, catcher{kind: "check", name: test.name})
		}
	}
	for _, c := range others {
		if why := h.member(c); why != "" && interrupted.Err() == nil {
			t.Errorf("but %v fails: %s", c, why)
		}
	}
}

// renew makes the lab of the copy run this mutant. It recreates the parts that this mutant or the previous mutant changes.
func (h *hunt) renew(t *testing.T, m mutant) {
	t.Helper()
	before := h.runs
	// A scenario that failed with the previous mutant has tried to start a new lab. If the mutant prevented the start, the file unfinished-PROJECT,
	// which is a marker, still exists.
	marker := filepath.Join(h.copy, ".cache", "unfinished-"+h.project)
	if exists(marker) {
		before = newLab
		must(t, os.Remove(marker))
	}
	scriptAlone := m.touches(`^scripts/scenarios/.*\.sh$`)
	switch {
	case scriptAlone:
		h.runs = rightLab
	case m.touches(`^services/`):
		h.runs = newPrograms
	default:
		h.runs = newLab
	}
	if before != rightLab || h.runs != rightLab {
		h.lab(t, "part", "build").Assert(t, icmd.Success)
	}
	if before == newLab || h.runs == newLab {
		h.run(t, "docker", "compose", "down", "--volumes").Assert(t, icmd.Success)
		h.run(t, "docker", "compose", "up", "--detach").Assert(t, icmd.Success)
	} else if before == newPrograms || h.runs == newPrograms {
		h.run(t, "docker", "compose", "up", "--detach", "--no-deps", "server", "client").Assert(t, icmd.Success)
	}
	// With some mutants the client is never served, so the wait has a limit.
	for began := time.Now(); time.Since(began) < 15*time.Second && interrupted.Err() == nil; time.Sleep(200 * time.Millisecond) {
		if h.run(t, "docker", "exec", "--user", "client-workload", h.project+"-client-1", "probe", "http://127.0.0.1:8080/healthz").ExitCode == 0 {
			break
		}
	}
	if scriptAlone { // a new lab for the next mutant removes what a wrong scenario has left behind
		h.runs = newLab
	}
}
