// Command tests is `make test`: the unit tests of the lab's Go modules, then every check and every scenario in separate labs. It prints a line for
// each test, the whole output of each failed test, and finally "N passed, N failed".
//
//	ONLY="unit bad-id"   only these tests; "unit" selects the unit tests
//	FULL=1               the scenarios in their full form, not in the quick form
//	LABS=2               the number of labs at the same time; or the name of a running lab, to use that lab
//
// With the argument "names" it only prints the names for ONLY. With "environments" it is `make environments`: ONLY has words from the names of
// environments, and QUICK=1 leaves out the environments that start a lab. With "mutants" it is `make mutants`, and ONLY has names of mutants. With
// "lint" it is `make lint`, and with "windows" it is `make windows-test`.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const unit = "unit"

func main() {
	passed, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	if !passed {
		os.Exit(1)
	}
}

func run(args []string) (bool, error) {
	r := &runner{began: time.Now(), signals: make(chan os.Signal, 1)}
	signal.Notify(r.signals, os.Interrupt, syscall.SIGTERM)
	names, compiled := r.compile()
	if len(args) == 1 && args[0] == "names" {
		fmt.Println(strings.Join(names, "\n"))
		return compiled, nil
	}
	if len(args) == 1 {
		test, ok := map[string]string{"environments": "^TestEnvironments$", "lint": "^TestLint$", "mutants": "^TestEveryMutant$", "windows": "^TestWindows$"}[args[0]]
		if !ok {
			return false, fmt.Errorf("%q is unknown: want names, environments, lint, mutants or windows", args[0])
		}
		if r.verbose = args[0] == "mutants"; compiled {
			r.compiled(test)
		}
		return r.verdict(), nil
	}
	only := strings.Fields(os.Getenv("ONLY"))
	for _, name := range only {
		if compiled && !slices.Contains(names, name) {
			return false, fmt.Errorf("ONLY has %q, and there is no such test\nhint: it can have any of: %s", name, strings.Join(names, " "))
		}
	}
	if len(only) == 0 || slices.Contains(only, unit) {
		r.units()
	}
	only = slices.DeleteFunc(only, func(name string) bool { return name == unit })
	if compiled && (len(only) > 0 || os.Getenv("ONLY") == "") && r.stopped == nil {
		r.labs(only)
	}
	return r.verdict(), nil
}

// verdict prints the numbers of passed and failed tests, and reports whether all tests passed.
func (r *runner) verdict() bool {
	if r.stopped != nil {
		fmt.Println("ended by", r.stopped)
	}
	if r.passed+r.failed == 0 {
		fmt.Println("no test was run")
		r.failed++
	}
	fmt.Printf("%d passed, %d failed\n", r.passed, r.failed)
	return r.failed == 0 && r.stopped == nil
}

type runner struct {
	began          time.Time
	passed, failed int
	signals        chan os.Signal
	stopped        os.Signal
	verbose        bool // also print the output of a test that passes
}

// binary returns the path of the compiled tests of this module.
func binary() string { return filepath.Join("..", "..", "..", ".cache", "bin", "tests.test") }

// compile compiles the tests of this module, and returns the names that may be in the variable ONLY.
func (r *runner) compile() (names []string, compiled bool) {
	names = []string{unit}
	out, err := exec.Command("go", "test", "-c", "-o", binary(), ".").CombinedOutput()
	if err == nil {
		out, err = exec.Command(binary(), "-names").CombinedOutput()
	}
	if err != nil {
		fmt.Printf("%s%v\n", out, err)
		r.failed++
		return names, false
	}
	return append(names, strings.Fields(string(out))...), true
}

// playsDocker matches the packages whose tests use their own test program as a fake docker command, and start it many times. With the race detector,
// each of these starts takes up to a second.
var playsDocker = regexp.MustCompile(`/internal/(classroom|console|engine|kit|kubernetes|launch|report)(/.*)?$|/services/lab$`)

// units runs the unit tests of the lab and of this module. It uses the race detector except for the packages that playsDocker matches.
func (r *runner) units() {
	fmt.Println("unit tests")
	all, err := exec.Command("go", "-C", "../../..", "list", "./...").Output()
	if err != nil {
		fmt.Printf("go list: %v\n", err)
		r.failed++
		return
	}
	race := []string{"go", "-C", "../../..", "test", "-json", "-race"}
	plain := []string{"go", "-C", "../../..", "test", "-json"}
	for _, name := range strings.Fields(string(all)) {
		if playsDocker.MatchString(name) {
			plain = append(plain, name)
		} else {
			race = append(race, name)
		}
	}
	// With -count=1 go does not use a cached result. It would not notice that a lesson has changed, because it ignores changes outside this module.
	own := []string{"go", "test", "-json", "-count=1", "-skip", "^Test(Lab|Environments|EveryMutant|Lint|MutantsFit|Windows)$", "."}
	for _, words := range [][]string{race, plain, own} {
		cmd := exec.Command(words[0], words[1:]...)
		r.tests(cmd, cmd, 1)
	}
}

func (r *runner) labs(only []string) {
	fmt.Println("checks and scenarios, in separate labs")
	pattern := "^TestLab$"
	if len(only) > 0 {
		for i, name := range only {
			only[i] = regexp.QuoteMeta(name)
		}
		pattern += "/^(" + strings.Join(only, "|") + ")$"
	}
	r.compiled(pattern)
}

// compiled runs the compiled tests that match a pattern, and prints a line for each subtest. These tests need an engine.
func (r *runner) compiled(pattern string) {
	tests := exec.Command(binary(), "-test.v=test2json", "-test.run", pattern)
	tests.Stderr = os.Stderr
	r.tests(tests, exec.Command("go", "tool", "test2json", "-t", "-p", "labs"), 2)
}

// event is a line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// tests runs two programs. The parameter tests is the test program. The parameter reader is the program that converts the output of the test program
// into events. Both parameters may be the same program. With depth 1, a line is printed for each package, else for each test of this depth.
func (r *runner) tests(tests, reader *exec.Cmd, depth int) {
	events, err := start(tests, reader)
	if err != nil {
		fmt.Println(err)
		r.failed++
		return
	}
	done := make(chan struct{})
	defer close(done)
	go r.forward(tests, done)
	c := &counter{runner: r, depth: depth, output: map[string]*strings.Builder{}, failing: map[string]bool{}, parents: map[string]bool{}, ran: map[string]bool{}}
	for scanner := bufio.NewReader(events); ; {
		line, err := scanner.ReadBytes('\n')
		var e event
		switch {
		case err != nil:
			failure := errors.Join(tests.Wait(), wait(tests, reader))
			if failure != nil && !c.anyFailed {
				fmt.Println("FAIL", strings.Join(tests.Args, " "), failure)
				r.failed++
			}
			return
		case json.Unmarshal(line, &e) != nil:
			os.Stdout.Write(line)
		default:
			c.count(e)
		}
	}
}

// start starts each program in its own process group. So Ctrl-C reaches only this test runner, whose method forward sends it to the tests.
func start(tests, reader *exec.Cmd) (io.Reader, error) {
	reader.Stderr = os.Stderr
	events, err := reader.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if reader != tests {
		if reader.Stdin, err = tests.StdoutPipe(); err != nil {
			return nil, err
		}
	}
	for _, cmd := range slices.Compact([]*exec.Cmd{tests, reader}) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func wait(tests, reader *exec.Cmd) error {
	if reader == tests {
		return nil
	}
	return reader.Wait()
}

// forward sends the first Ctrl-C to the tests, so that they remove their labs.
func (r *runner) forward(tests *exec.Cmd, done chan struct{}) {
	select {
	case r.stopped = <-r.signals:
		_ = syscall.Kill(-tests.Process.Pid, syscall.SIGINT)
	case <-done:
	}
}

// counter counts the tests of one run. If a test has subtests, only the subtests count.
type counter struct {
	*runner
	depth     int // the depth of the tests that get a line: TestX/name has depth 2
	output    map[string]*strings.Builder
	failing   map[string]bool // the tests that failed, and the tests that have a failed subtest
	parents   map[string]bool // the tests that have subtests
	ran       map[string]bool // the packages in which a test passed
	anyFailed bool
}

func (c *counter) count(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "run":
		c.parents[e.Package+" "+above(e.Test)] = true
	case "output", "build-output":
		if c.output[key] == nil {
			c.output[key] = &strings.Builder{}
		}
		c.output[key].WriteString(e.Output)
	case "build-fail":
		c.show(key)
	case "pass", "fail", "skip":
		if e.Test == "" {
			c.packageEnded(e)
		} else {
			c.ended(key, e)
		}
	}
}

// above returns the name of the test that a subtest belongs to.
func above(test string) string { return test[:max(0, strings.LastIndexByte(test, '/'))] }

func (c *counter) ended(key string, e event) {
	// A subtest below this depth has no line. It counts as a part of the test above it.
	deeper := c.depth > 1 && strings.Count(e.Test, "/") >= c.depth
	switch {
	case e.Action == "fail":
		c.anyFailed = true
		c.show(key)
		if deeper {
			break
		}
		if !c.failing[key] { // no failed subtest has been counted
			c.failed++
			fmt.Printf("FAIL %s (%.1f s)\n", c.title(e), e.Elapsed)
		}
		c.failing[e.Package+" "+above(e.Test)] = true
	case e.Action == "pass" && !deeper && (c.depth > 1 && strings.Count(e.Test, "/") == c.depth-1 || !c.parents[key]):
		c.passed++
		c.ran[e.Package] = true
		if c.depth > 1 {
			fmt.Printf("ok   %s (%.1f s)\n", c.title(e), e.Elapsed)
		}
		if c.verbose {
			c.show(key)
		}
	case e.Action == "skip":
		c.show(key)
	}
	delete(c.output, key)
}

// title returns the name that selects the test in ONLY. For a unit test it returns the names of the package and the test.
func (c *counter) title(e event) string {
	if c.depth > 1 {
		_, name, _ := strings.Cut(e.Test, "/")
		return name
	}
	return e.Package + " " + e.Test
}

func (c *counter) packageEnded(e event) {
	switch {
	case e.Action == "fail" && !c.failing[e.Package+" "]:
		// The package did not compile, or it exited before its tests ended.
		c.anyFailed = true
		c.failed++
		c.show(e.Package + " ")
		fmt.Println("FAIL", e.Package)
	case e.Action == "pass" && c.ran[e.Package] && c.depth == 1:
		fmt.Printf("ok   %s (%.1f s)\n", e.Package, e.Elapsed)
	}
}

func (c *counter) show(key string) {
	if text := c.output[key]; text != nil {
		for line := range strings.Lines(text.String()) {
			if !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- PASS") {
				fmt.Print(line)
			}
		}
	}
}
