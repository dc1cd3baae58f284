// Command tests is `make test`: the unit tests of the lab's Go modules, then every check and every scenario in labs of their own. It prints a line
// for each as it ends, the whole output of each that fails, and at last "N passed, N failed".
//
//	ONLY="unit bad-id"   these alone; "unit" is the unit tests
//	FULL=1               the scenarios in their full form, not in the short one
//	LABS=2               so many labs side by side; or the name of a lab that runs, to use that one
//
// With the argument names it prints what ONLY may have. With the argument environments it is `make environments`, whose ONLY has words of the
// names of environments, and which starts no lab with QUICK=1.
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

// run returns whether every test passed.
func run(args []string) (bool, error) {
	r := &runner{began: time.Now(), signals: make(chan os.Signal, 1)}
	signal.Notify(r.signals, os.Interrupt, syscall.SIGTERM)
	names, compiled := r.compile()
	if len(args) == 1 && args[0] == "names" {
		fmt.Println(strings.Join(names, "\n"))
		return compiled, nil
	}
	if len(args) == 1 && args[0] == "environments" {
		if compiled {
			fmt.Println("the lab in odd environments")
			r.compiled("^TestEnvironments$")
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

// verdict prints how many tests passed, and returns whether all of them did.
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
}

// binary is the compiled tests of this module.
func binary() string { return filepath.Join("..", "..", "..", ".cache", "bin", "tests.test") }

// compile compiles the tests of this module, and asks them for their names.
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

// playsDocker matches the packages whose tests start their own program again and again as a docker that they play. A program with the race
// detector takes up to a second to start.
var playsDocker = regexp.MustCompile(`/internal/(classroom|console|engine|kit|kubernetes|launch|report)(/.*)?$|/services/lab$`)

// units runs the unit tests: those of the lab with the race detector where that is quick, and this module's own.
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
	for _, words := range [][]string{race, plain, {"go", "test", "-json", "-skip", "^Test(Lab|Environments)$", "."}} {
		cmd := exec.Command(words[0], words[1:]...)
		r.tests(cmd, cmd, 1)
	}
}

// labs runs the tests that need a lab.
func (r *runner) labs(only []string) {
	fmt.Println("checks and scenarios, in labs of their own")
	pattern := "^TestLab$"
	if len(only) > 0 {
		for i, name := range only {
			only[i] = regexp.QuoteMeta(name)
		}
		pattern += "/^(" + strings.Join(only, "|") + ")$"
	}
	r.compiled(pattern)
}

// compiled runs the tests of a pattern that need an engine: the subtests of one test, each with a line of its own.
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

// tests runs a program, and reads what a second one makes of its output: it may be the same one. A line is printed for each test of a depth, or for each package.
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

// start starts both, each in a process group of its own, so that Ctrl-C reaches only this program, which passes it on.
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

// forward passes the first Ctrl-C on; the tests then remove their labs.
func (r *runner) forward(tests *exec.Cmd, done chan struct{}) {
	select {
	case r.stopped = <-r.signals:
		_ = syscall.Kill(-tests.Process.Pid, syscall.SIGINT)
	case <-done:
	}
}

// counter counts the tests of one run. A test that has subtests counts through these.
type counter struct {
	*runner
	depth     int // of the tests that get a line: TestX/name has 2
	output    map[string]*strings.Builder
	failing   map[string]bool // tests that failed, and those above them
	parents   map[string]bool // tests that have subtests
	ran       map[string]bool // packages in which a test passed
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

// above is the test of which this is a subtest.
func above(test string) string { return test[:max(0, strings.LastIndexByte(test, '/'))] }

func (c *counter) ended(key string, e event) {
	// A subtest of what gets a line counts with the test above it.
	deeper := c.depth > 1 && strings.Count(e.Test, "/") >= c.depth
	switch {
	case e.Action == "fail":
		c.anyFailed = true
		c.show(key)
		if deeper {
			break
		}
		if !c.failing[key] { // none of its subtests has been counted
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
	case e.Action == "skip":
		c.show(key)
	}
	delete(c.output, key)
}

// title is the name in ONLY, or that of a unit test with its package.
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
		// It does not compile, or ended before its tests did.
		c.anyFailed = true
		c.failed++
		c.show(e.Package + " ")
		fmt.Println("FAIL", e.Package)
	case e.Action == "pass" && c.ran[e.Package] && c.depth == 1:
		fmt.Printf("ok   %s (%.1f s)\n", e.Package, e.Elapsed)
	}
}

// show prints what a test has printed.
func (c *counter) show(key string) {
	if text := c.output[key]; text != nil {
		for line := range strings.Lines(text.String()) {
			if !strings.HasPrefix(line, "=== ") {
				fmt.Print(line)
			}
		}
	}
}
