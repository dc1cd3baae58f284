package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
	"gotest.tools/v3/poll"
)

// limit is the longest time for one command.
const limit = 15 * time.Minute

// interrupted is the context that ends when somebody presses Ctrl-C.
var interrupted context.Context

func TestMain(m *testing.M) {
	names := flag.Bool("names", false, "print the names that ONLY may have")
	flag.Parse()
	if *names {
		for _, test := range all() {
			fmt.Println(test.name)
		}
		return
	}
	var stop context.CancelFunc
	interrupted, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(m.Run())
}

// test is a test that ONLY can select by its name.
type test struct {
	name string
	run  func(t *testing.T, l *lab)
}

// longest has the tests that take more than a minute. The longest test is the first, so that all labs end at about the same time.
var longest = []string{"console", "environments", "doctor", "faults", "bench", "classroom", "recovery", "server-outage", "bootstrap", "ca-rotation", "two-hosts", "try-it",
	"readme", "server-wiped", "kept-connection"}

// all returns every test, in the order in which they run.
func all() []test {
	tests := slices.Clone(checks)
	for _, file := range glob("scripts/scenarios/*.sh") {
		name := nameOf(file)
		tests = append(tests, test{name, func(t *testing.T, l *lab) { l.scenario(t, name) }})
	}
	place := func(t test) int {
		if i := slices.Index(longest, t.name); i >= 0 {
			return i
		}
		return len(longest)
	}
	slices.SortStableFunc(tests, func(a, b test) int { return place(a) - place(b) })
	return tests
}

func nameOf(file string) string { return strings.TrimSuffix(filepath.Base(file), ".sh") }

// glob returns the files of the lab's folder that match the pattern.
func glob(pattern string) []string {
	files, err := filepath.Glob(filepath.Join(root(), pattern))
	if err != nil {
		panic(err)
	}
	return files
}

var root = sync.OnceValue(func() string {
	dir, err := filepath.Abs("../../..")
	if err != nil {
		panic(err)
	}
	return dir
})

// cache returns a path in the folder .cache. The folder has built files, and files that a lab keeps from one command to the next.
func cache(name string) string { return filepath.Join(root(), ".cache", name) }

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLab runs the tests that need a lab. Several labs work at the same time, and LABS is their number. Each lab is a separate Compose
// project, and takes the next test from the queue. LABS may also be the name of a running lab. Then the tests use only that lab, and leave
// it running.
func TestLab(t *testing.T) {
	tests := all()
	queue := make(chan test, len(tests))
	for _, test := range tests {
		queue <- test
	}
	close(queue)
	var wait sync.WaitGroup
	for _, l := range pool(t) {
		wait.Go(func() {
			for test := range queue {
				if interrupted.Err() != nil {
					return
				}
				t.Run(test.name, func(t *testing.T) { l.play(t, test) })
			}
		})
	}
	wait.Wait()
	if interrupted.Err() != nil {
		t.Error("interrupted")
	}
}

// pool returns the labs. It does not start them.
func pool(t *testing.T) []*lab {
	labs := os.Getenv("LABS")
	if labs == "" {
		labs = "2"
	}
	n, err := strconv.Atoi(labs)
	if err != nil {
		return []*lab{{project: labs, started: true}}
	}
	var all []*lab
	for i := range n {
		l := &lab{project: fmt.Sprintf("spiffe-lab-test-%d-%d", os.Getpid(), i+1)}
		t.Cleanup(func() { l.remove(t) })
		all = append(all, l)
	}
	return all
}

// lab is a lab of the pool. One test at a time uses it.
type lab struct {
	project string
	started bool
	failed  bool // the latest test failed, and may have left something behind
}

// play runs a test in a running lab. The test must leave the lab as it found it.
func (l *lab) play(t *testing.T, test test) {
	l.start(t)
	before := l.state(t)
	t.Cleanup(func() {
		if l.failed = t.Failed(); l.failed {
			l.artefacts(t)
			return
		}
		if gone, added := difference(before, l.state(t)); len(gone)+len(added) > 0 {
			l.failed = true
			t.Errorf("FAIL %s: it did not leave the lab as it found it: %s (0 checks, 0 s)", test.name, strings.Join(append(gone, added...), ", "))
		}
	})
	test.run(t, l)
}

// start starts the lab for its first test, and starts a new lab after a failed test.
func (l *lab) start(t *testing.T) {
	t.Helper()
	if l.failed && interrupted.Err() == nil {
		l.docker(t, "compose", "--profile", "*", "unpause")
		l.run(t, "down").Assert(t, icmd.Success)
		l.started, l.failed = false, false
	}
	if !l.started {
		l.run(t, "up").Assert(t, icmd.Success)
		l.started = true
	}
}

func (l *lab) remove(t *testing.T) {
	if !l.started && !l.failed {
		return
	}
	l.docker(t, "compose", "--profile", "*", "unpause")
	l.run(t, "down").Assert(t, icmd.Success)
}

func (l *lab) artefacts(t *testing.T) {
	t.Logf("the lab after the test:\n%s%s", l.docker(t, "compose", "--profile", "*", "ps", "--all", "--format", "table {{.Service}}\t{{.Status}}").Combined(),
		l.docker(t, "compose", "--profile", "*", "logs", "--no-color", "--tail", "15").Combined())
}

// state describes the lab: one line for each container, each volume, and each line of a registration entry. It leaves out the volume of the
// second host, because some scenarios and Try-its create this volume, and some remove it.
func (l *lab) state(t *testing.T) []string {
	t.Helper()
	label := "label=com.docker.compose.project=" + l.project
	ps := l.docker(t, "ps", "--all", "--filter", label, "--format", `{{.Label "com.docker.compose.service"}} is {{.State}}`)
	volumes := l.docker(t, "volume", "ls", "--filter", label, "--format", `{{if ne .Name "`+l.project+`_trust-bundle"}}volume {{.Name}}{{end}}`)
	var entries *icmd.Result
	// On a busy machine, Docker Engine 20.10 sometimes loses the output of a process in a container.
	until(t, 10*time.Second, "the SPIRE server shows its entries", func() (bool, string) {
		entries = l.docker(t, "exec", l.container("spire-server"), "/opt/spire/bin/spire-server", "entry", "show")
		return strings.Contains(entries.Stdout(), "Found ") && strings.Contains(entries.Stdout(), "\nEntry ID "), entries.Combined()
	})
	var all []string
	for _, result := range []*icmd.Result{ps, volumes} {
		result.Assert(t, icmd.Success)
		lines := lines(result.Stdout())
		slices.Sort(lines)
		all = append(all, lines...)
	}
	for _, line := range lines(entries.Stdout()) {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); ok && name != "Revision" {
			all = append(all, "entry: "+name+":"+value)
		}
	}
	return all
}

// difference returns the lines that only a has, and the lines that only b has.
func difference(a, b []string) (gone, added []string) {
	without := func(mark string, a, b []string) []string {
		var rest []string
		b = slices.Clone(b)
		for _, line := range a {
			if i := slices.Index(b, line); i >= 0 {
				b = slices.Delete(b, i, i+1)
			} else {
				rest = append(rest, mark+line)
			}
		}
		return rest
	}
	return without("gone: ", a, b), without("new: ", b, a)
}

func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// orders are the variables that select tests, or that control the make process of the tests. They must not reach the lab.
var orders = []string{"COMPOSE_PROJECT_NAME", "FULL", "LABS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "ONLY", "PAUSE", "QUICK"}

// environment returns the environment of a learner who has selected this lab with COMPOSE_PROJECT_NAME. The parameter extra has further
// variables, as NAME=VALUE.
func (l *lab) environment(extra ...string) []string {
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(orders, name)
	})
	return append(append(kept, "COMPOSE_PROJECT_NAME="+l.project), extra...)
}

func (l *lab) exec(t *testing.T, extra []string, words ...string) *icmd.Result {
	t.Helper()
	return execute(t, icmd.Cmd{Command: words, Dir: root(), Env: l.environment(extra...)})
}

// execute runs a command, which must end within cmd.Timeout, or within limit if that is zero. If the command takes longer, icmd ends it and
// reports the exit status 0, so the test must fail here.
func execute(t testing.TB, cmd icmd.Cmd) *icmd.Result {
	t.Helper()
	if cmd.Timeout == 0 {
		cmd.Timeout = limit
	}
	result := icmd.RunCmd(cmd)
	if result.Timeout {
		t.Fatalf("%s did not end within %s\n%s", strings.Join(cmd.Command, " "), cmd.Timeout, result.Combined())
	}
	return result
}

// fatal is a test that keeps the message of Fatalf.
type fatal struct {
	testing.TB
	said string
}

func (f *fatal) Fatalf(format string, args ...any) { f.said = fmt.Sprintf(format, args...) }

func TestExecute(t *testing.T) {
	for command, want := range map[string]string{"echo begun; exec sleep 10": "sh -c echo begun; exec sleep 10 did not end within 1s\nbegun\n", "exit 3": ""} {
		f := &fatal{TB: t}
		execute(f, icmd.Cmd{Command: []string{"sh", "-c", command}, Timeout: time.Second})
		if f.said != want {
			t.Errorf("after %q the test says %q, not %q", command, f.said, want)
		}
	}
}

func (l *lab) run(t *testing.T, args ...string) *icmd.Result {
	t.Helper()
	return l.exec(t, nil, append([]string{filepath.Join(root(), "scripts", "lab")}, args...)...)
}

func (l *lab) make(t *testing.T, args ...string) *icmd.Result {
	t.Helper()
	return l.exec(t, nil, append([]string{"make", "--no-print-directory"}, args...)...)
}

// docker runs docker with the environment of this lab, so `docker compose` works on this lab.
func (l *lab) docker(t *testing.T, args ...string) *icmd.Result {
	t.Helper()
	return l.exec(t, nil, append([]string{"docker"}, args...)...)
}

// said returns the output of docker, which must succeed.
func (l *lab) said(t *testing.T, args ...string) string {
	t.Helper()
	return l.docker(t, args...).Assert(t, icmd.Success).Stdout()
}

// cli runs the command line of the SPIRE server.
func (l *lab) cli(t *testing.T, args ...string) string {
	t.Helper()
	return l.said(t, append([]string{"exec", l.container("spire-server"), "/opt/spire/bin/spire-server"}, args...)...)
}

func (l *lab) container(service string) string { return l.project + "-" + service + "-1" }

// until polls a condition. If the condition does not become true in time, the test fails with the condition's description and its last
// result.
func until(t *testing.T, within time.Duration, what string, condition func() (bool, string)) {
	t.Helper()
	poll.WaitOn(t, func(poll.LogT) poll.Result {
		if held, said := condition(); !held {
			return poll.Continue("waiting until %s: %s", what, said)
		}
		return poll.Success()
	}, poll.WithTimeout(within), poll.WithDelay(200*time.Millisecond))
}

// succeeds returns a condition: a command has the exit status 0.
func succeeds(do func() *icmd.Result) func() (bool, string) {
	return func() (bool, string) {
		result := do()
		return result.ExitCode == 0, result.Combined()
	}
}

// served waits until the latest request of the running client was served, and until a second client is served, too.
func (l *lab) served(t *testing.T, within time.Duration) {
	t.Helper()
	exec := func(words ...string) func() (bool, string) {
		return succeeds(func() *icmd.Result {
			return l.docker(t, append([]string{"exec", "--user", "client-workload", l.container("client")}, words...)...)
		})
	}
	until(t, within, "the running client is served", exec("probe", "http://127.0.0.1:8080/healthz"))
	until(t, within, "a new client is served", exec("client", "-wait", "2s", "-timeout", "2s"))
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Fatalf("the text lacks %q:\n%s", word, text)
		}
	}
}

func lacks(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if strings.Contains(text, word) {
			t.Fatalf("the text has %q:\n%s", word, text)
		}
	}
}

// refused is an assertion: a command has failed with this exit status, and has printed these texts.
func refused(t *testing.T, result *icmd.Result, status int, words ...string) {
	t.Helper()
	if result.ExitCode != status {
		t.Fatalf("exit status %d, not %d:\n%s", result.ExitCode, status, result.Combined())
	}
	contains(t, result.Combined(), words...)
}

// scenario runs a scenario. The output must have the lines that the scenario's lesson quotes.
func (l *lab) scenario(t *testing.T, name string) {
	args := []string{"scenario", name}
	if os.Getenv("FULL") == "" {
		args = append(args, "--quick")
	}
	result := l.run(t, args...)
	printed := result.Stdout()
	if last := lines(printed); result.ExitCode != 0 || len(last) == 0 || !strings.HasPrefix(last[len(last)-1], "PASS "+name+" (") {
		t.Fatalf("%s\n%s", strings.Join(args, " "), result.Combined())
	}
	lesson, err := os.ReadFile(filepath.Join(root(), "scripts", "scenarios", name+".md"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // `make engines` removes the lessons, because their quotes have Docker's messages
		t.Fatal(err)
	}
	for _, line := range missingQuotes(string(lesson), printed) {
		t.Errorf("scripts/scenarios/%s.md quotes a line that is not printed: %s", name, line)
	}
	if t.Failed() {
		t.Log(printed)
	}
}

// background starts a program in the lab's folder. The program runs until the method end of the result sends a signal to the program's
// process group.
func (l *lab) background(t *testing.T, words ...string) *background {
	t.Helper()
	b := &background{cmd: exec.Command(words[0], words[1:]...), done: make(chan struct{})}
	b.cmd.Dir, b.cmd.Env, b.cmd.Stdout, b.cmd.Stderr = root(), l.environment(), &b.out, &b.out
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = b.cmd.Wait()
		close(b.done)
	}()
	t.Cleanup(func() { b.end(syscall.SIGTERM) })
	return b
}

type background struct {
	cmd  *exec.Cmd
	out  output
	done chan struct{}
}

// end sends a signal, and waits until the program has exited. It may be called several times.
func (b *background) end(signal syscall.Signal) {
	select {
	case <-b.done:
		return
	default:
	}
	_ = syscall.Kill(-b.cmd.Process.Pid, signal)
	select {
	case <-b.done:
	case <-time.After(time.Minute):
		_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	}
}

type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// The method has returns a condition for the function until: the output has this text.
func (o *output) has(words string) func() (bool, string) {
	return func() (bool, string) {
		text := o.String()
		return strings.Contains(text, words), text
	}
}
