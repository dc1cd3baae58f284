//go:build faults

package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// This is `make faults-test`. It plays each fault in a separate new lab, on this machine's engine.
//
//	ONLY="1 second-shift"   only these faults, by number or name; "two" is two faults at the same time
//	LABS=2                  the number of labs at the same time
//	QUICK=1                 only the parts right and give-up
//	PARTS="wrong reflex"    only these parts; the parts are right, also, wrong, reflex and give-up
//	RESULTS=file            the file for the results, one JSON object per line (default: .cache/faults-test.jsonl)
//
// The test ends with "N passed, N failed".

// tally counts the results. Failed checks are printed again at the end.
var tally struct {
	sync.Mutex
	passed int
	failed []string
	file   *os.File
}

// stopped is the context that ends when somebody interrupts the test. The labs are removed even then.
var stopped context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	var stop context.CancelFunc
	stopped, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	labs := os.Getenv("LABS")
	if labs == "" {
		labs = "1"
	}
	if n, err := strconv.Atoi(labs); err != nil || n < 1 {
		fmt.Fprintf(os.Stderr, "error: LABS is %q\nhint: a number of labs such as 1 or 2\n", labs)
		os.Exit(2)
	}
	began := time.Now()
	err := flag.Set("test.parallel", labs)
	file := os.Getenv("RESULTS")
	if file == "" {
		file = filepath.Join("..", "..", "..", ".cache", "faults-test.jsonl")
	}
	if err == nil {
		tally.file, err = os.Create(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	status := m.Run()
	if tally.passed == 0 {
		status = 1
	}
	fmt.Print(strings.Join(tally.failed, ""))
	fmt.Printf("%d passed, %d failed (%d s)\n", tally.passed, len(tally.failed), int(time.Since(began).Seconds()))
	os.Exit(status)
}

// TestEveryFault: every fault that ONLY selects must pass each check of this file.
func TestEveryFault(t *testing.T) {
	all, err := List(root(t))
	if err != nil {
		t.Fatal(err)
	}
	first, err := Find(all, "all-alike")
	if err != nil {
		t.Fatal(err)
	}
	second, err := Find(all, "breathless")
	if err != nil {
		t.Fatal(err)
	}
	two := true
	if only := strings.Fields(os.Getenv("ONLY")); len(only) > 0 {
		var chosen []*Fault
		two = slices.Contains(only, "two")
		for _, word := range only {
			if word == "two" {
				continue
			}
			f, err := Find(all, word)
			if err != nil {
				t.Fatal(err)
			}
			chosen = append(chosen, f)
		}
		all = chosen
	}
	// All labs share the images and the program, so they are built once.
	l := realLab(t, "faults-"+strconv.Itoa(os.Getpid()), &bytes.Buffer{})
	t.Cleanup(func() {
		if err := os.RemoveAll(filepath.Join(l.Dir, progress.Root, l.Project)); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(l.Need(stopped), l.Build(stopped, false)); err != nil {
		t.Fatal(err)
	}
	// Learners run scripts/lab, which builds the program lab if necessary. Build it before the first learner needs it.
	if out, err := l.Command(stopped, nil, "sh", filepath.Join("scripts", "lab"), "faults").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, f := range all {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			play(t, f)
		})
	}
	if two {
		t.Run("two faults at once", func(t *testing.T) {
			t.Parallel()
			playTwo(t, first, second)
		})
	}
}

var environment sync.Mutex

// realLab returns a lab with this project name. The engine reads the name from the environment.
func realLab(t *testing.T, project string, said *bytes.Buffer) *launch.Launcher {
	t.Helper()
	environment.Lock()
	defer environment.Unlock()
	if err := os.Setenv("COMPOSE_PROJECT_NAME", project); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(root(t))
	if err != nil {
		t.Fatal(err)
	}
	// The lab gets its own folder, so that its override has no effect on another lab.
	if err := e.MakeFolder(); err != nil {
		t.Fatal(err)
	}
	return &launch.Launcher{Engine: e, Screen: screen.Plain(said)}
}

// player plays one fault.
type player struct {
	*Commands
	t      *testing.T
	f      *Fault
	lab    *launch.Launcher
	said   *bytes.Buffer // the output of the commands
	out    strings.Builder
	began  time.Time
	before []string // the state of the lab before the fault
}

// result records the result of a check.
func (p *player) result(what string, err error) {
	seconds := int(time.Since(p.began).Seconds())
	p.began = time.Now()
	if stopped.Err() != nil {
		err = stopped.Err()
	}
	why := ""
	if err != nil {
		why = err.Error()
		p.t.Fail()
		fmt.Fprintf(&p.out, "  FAIL %s: %s\n", what, why)
	} else {
		fmt.Fprintf(&p.out, "  ok %s (%d s)\n", what, seconds)
	}
	line, jsonErr := json.Marshal(map[string]any{"fault": p.f.Name, "check": what, "passed": err == nil, "why": why, "seconds": seconds})
	tally.Lock()
	defer tally.Unlock()
	if err == nil {
		tally.passed++
	} else {
		tally.failed = append(tally.failed, fmt.Sprintf("FAIL %s: %s: %s\n", p.f.Name, what, why))
	}
	if _, err := fmt.Fprintf(tally.file, "%s\n", line); err != nil || jsonErr != nil {
		p.t.Error(err, jsonErr)
	}
}

// newPlayer starts a lab for a fault. It returns nil if the lab does not start.
func newPlayer(t *testing.T, f *Fault, name string) *player {
	project := fmt.Sprintf("faults-%d-%s", os.Getpid(), name)
	said := &bytes.Buffer{}
	l := realLab(t, project, said)
	p := &player{t: t, f: f, lab: l, said: said, began: time.Now(), Commands: &Commands{
		Place: scenario.Place{Dir: l.Dir, Cache: l.Cache(), Project: project, Folder: l.Folder}, Lab: Real{l}, Screen: screen.Plain(said), Errors: screen.Plain(&bytes.Buffer{})}}
	ctx := stopped
	t.Cleanup(func() {
		clean := context.WithoutCancel(ctx)
		for _, image := range (&session{kept: p.progress()}).images() {
			_, _ = l.Ask(clean, "image", "rm", image)
		}
		if err := errors.Join(l.Need(clean), l.Down(clean), os.RemoveAll(filepath.Join(l.Dir, progress.Root, project))); err != nil {
			t.Error(err)
		}
		tally.Lock()
		defer tally.Unlock()
		fmt.Printf("%s (level %d)\n%s", f.Name, f.Level, p.out.String())
	})
	if err := l.Up(ctx); err != nil {
		p.result("a new lab", fmt.Errorf("it does not start: %w\n%s", err, said))
		return nil
	}
	p.before = p.state(ctx)
	p.result("a new lab", nil)
	return p
}

// playTwo injects a second fault while the first fault is open. As long as only one of the two faults is fixed, check must print "not yet".
// The test fixes the two faults in both orders.
func playTwo(t *testing.T, f, other *Fault) {
	p := newPlayer(t, f, "two")
	if p == nil {
		return
	}
	ctx, git := stopped, p.git()
	for _, first := range []*Fault{f, other} {
		second := other
		if first == other {
			second = f
		}
		if !p.breaks(ctx, "break", git) {
			return
		}
		extra, err := newSession(p.Lab, p.Place, p.progress(), other)
		if err == nil {
			err = extra.do(ctx, "inject")
		}
		if err != nil {
			p.result("the second fault", err)
			return
		}
		for _, one := range []struct {
			fault *Fault
			fixed bool
		}{{first, false}, {second, true}} {
			s, err := newSession(p.Lab, p.Place, p.progress(), one.fault)
			if err == nil {
				err = s.do(ctx, "right")
			}
			if err != nil {
				p.result("the right fix of "+one.fault.Short(), err)
				return
			}
			if one.fixed {
				p.checks(ctx, "after that of "+one.fault.Short()+" both are fixed", true, "fixed: "+f.Short())
			} else {
				p.checks(ctx, "two at once: after the right fix of "+one.fault.Short()+" one is left", false, "not yet: ")
			}
		}
	}
}

// play checks everything that must be true for a fault.
func play(t *testing.T, f *Fault) {
	p := newPlayer(t, f, fmt.Sprintf("%02d", f.Number()))
	if p == nil {
		return
	}
	ctx, git := stopped, p.git()
	if p.plays("right") && p.breaks(ctx, "break", git) {
		p.result("the doctor names the cause first: "+f.Doctor, p.diagnosed(ctx))
		p.states(ctx)
		p.checks(ctx, "unsolved, check fails", false, "not yet: ")
		p.result("without a fix no wrong fix is recognized", p.notPrinted("why: "))
		p.hints(ctx, "the hints, of which the last one names the cause")
		if p.does(ctx, "the right fix", "right") {
			p.checks(ctx, "the right fix passes", true, "fixed: "+f.Short())
			p.checks(ctx, "it passes again", true, "fixed: "+f.Short())
			p.question(ctx)
		}
	}
	for _, also := range f.Also {
		what := "the right fix " + also + " passes"
		if p.plays("also") && p.breaks(ctx, what, git) && p.does(ctx, what, "right_"+also) {
			p.checks(ctx, what, true, "fixed: "+f.Short())
		}
	}
	for _, wrong := range f.Wrong {
		what := "the wrong fix " + wrong.Name + " fails"
		if p.plays("wrong") && p.breaks(ctx, what, git) && p.does(ctx, what, "wrong_"+wrong.Name) {
			p.checks(ctx, what+": "+wrong.Verdict, false, wrong.Verdict)
			p.result("check says why "+wrong.Name+" is wrong", p.printed(wrong.Why))
			p.hints(ctx, "three hints after "+wrong.Name)
		}
	}
	for _, reflex := range reflexNames {
		if p.plays("reflex") && p.breaks(ctx, "the reflex "+reflex, git) {
			p.reflex(ctx, reflex)
		}
	}
	if p.plays("give-up") && p.breaks(ctx, "give-up", git) {
		p.gives(ctx)
	}
}

// plays reports whether PARTS or QUICK selects this part of the test.
func (p *player) plays(part string) bool {
	parts := strings.Fields(os.Getenv("PARTS"))
	if os.Getenv("QUICK") == "1" {
		parts = []string{"right", "give-up"}
	}
	return len(parts) == 0 || slices.Contains(parts, part)
}

// states checks the ticket: each of its statements must be true when the learner looks.
func (p *player) states(ctx context.Context) {
	s, _, err := p.opened()
	if err != nil {
		p.result("the ticket", err)
		return
	}
	for _, statement := range p.f.Statements {
		p.result(fmt.Sprintf("the ticket says %q, and that is so", statement.Quote), s.until(ctx, 20*time.Second, statement.Condition, func() error {
			held, err := s.holds(ctx, statement.Condition)
			if err == nil && !held {
				err = errors.New("it does not hold")
			}
			return err
		}))
	}
}

// reflex runs the commands that many people try first, such as a restart. They must solve the fault if the fault's file declares this
// reflex, and must not solve it otherwise. A command may fail.
func (p *player) reflex(ctx context.Context, name string) {
	s, _, err := p.opened()
	if err != nil {
		p.result("the reflex "+name, err)
		return
	}
	switch name {
	case "lab-up":
		// The call of Up has a limit, because it waits for a client that may never be served.
		limited, cancel := context.WithTimeout(ctx, 40*time.Second)
		_ = p.lab.Up(limited)
		cancel()
	default:
		for _, words := range map[string][]string{
			"up":        {"up --detach"},
			"recreate":  {"up --detach --force-recreate"},
			"restart":   {"restart"},
			"down-up":   {"down", "up --detach"},
			"bootstrap": {"run --rm bootstrap"},
		}[name] {
			_, _ = s.compose(ctx, strings.Fields(words)...)
		}
	}
	patience := 15 * time.Second
	if p.f.SolvedBy(name) {
		patience = 3 * time.Minute // an agent that could not attest waits longer before each try
	}
	err = p.check(ctx, CheckOptions{Patience: patience})
	solves := err == nil
	if errors.Is(err, ErrNotYet) {
		err = nil
	}
	what := "the reflex " + name + " does not solve it"
	if p.f.SolvedBy(name) {
		what = "the reflex " + name + " solves it, as its file says"
	}
	if err == nil && solves != p.f.SolvedBy(name) {
		err = errors.New("check says: " + p.said.String())
	}
	p.result(what, err)
}

// breaks injects the fault with `break`. If a fault is open, it resets that fault first.
func (p *player) breaks(ctx context.Context, what string, git string) bool {
	if _, open := p.progress().Open(); open {
		if err := p.Reset(ctx); err != nil {
			p.result(what, fmt.Errorf("the lab cannot be reset: %w\n%s", err, p.said))
			return false
		}
	}
	p.said.Reset()
	err := p.Break(ctx, p.f.Name)
	if err == nil && !strings.Contains(p.said.String(), "Fault "+strconv.Itoa(p.f.Number())+", "+p.f.Short()) {
		err = fmt.Errorf("there is no ticket: %s", p.said)
	}
	if now := p.git(); err == nil && now != git {
		err = fmt.Errorf("git status is not as before: %s", now)
	}
	if err != nil || what == "break" {
		p.result(what, err)
	}
	return err == nil
}

func (p *player) git() string {
	out, err := exec.Command("git", "-C", p.Place.Dir, "status", "--porcelain").Output()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func (p *player) does(ctx context.Context, what, function string) bool {
	s, _, err := p.opened()
	if err == nil {
		err = s.do(ctx, function)
	}
	if err != nil {
		p.result(what, fmt.Errorf("it cannot be done: %w", err))
	}
	return err == nil
}

// printed returns nil if the last command has printed the text, which may be folded.
func (p *player) printed(text string) error {
	if said := strings.Join(strings.Fields(p.said.String()), " "); !strings.Contains(said, strings.Join(strings.Fields(text), " ")) {
		return fmt.Errorf("want %q in: %s", text, said)
	}
	return nil
}

func (p *player) notPrinted(text string) error {
	if p.printed(text) == nil {
		return fmt.Errorf("there is %q in: %s", text, p.said)
	}
	return nil
}

// question gives each wrong answer, and then the right answer, after the fault is fixed. It also runs the commands whose output contradicts
// the wrong answers.
func (p *player) question(ctx context.Context) {
	for _, a := range p.f.Answers {
		err := p.check(ctx, CheckOptions{Cause: a.Key, Patience: DefaultPatience})
		if errors.Is(err, ErrNotYet) {
			err = errors.Join(p.printed(a.Against), p.printed(a.Command), p.notPrinted("What it was"))
		} else {
			err = fmt.Errorf("it ends with %v: %s", err, p.said)
		}
		p.result("the answer "+a.Key+" is wrong", err)
		p.result("a learner can run "+a.Command, p.types(ctx, a.Command))
	}
	err := p.check(ctx, CheckOptions{Cause: p.f.Cause.Key, Patience: DefaultPatience})
	if err == nil {
		err = errors.Join(p.printed("solved: "+p.f.Short()+", cause named at try "+strconv.Itoa(len(p.f.Choices()))), p.printed("What it was"))
	}
	p.result("the answer "+p.f.Cause.Key+" is right", err)
}

// noContainer matches the error of docker or Compose that a container is stopped.
var noContainer = regexp.MustCompile(`(?i)(service|container) \S+ is not running`)

// types passes a command to sh, as if a learner had typed it. The command must print something. It may fail only if the error comes from a
// program in a container, because then this error is the output that contradicts the wrong answer.
func (p *player) types(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := p.lab.Command(ctx, nil, "sh", "-c", command)
	cmd.Dir = p.lab.Folder
	out, err := cmd.CombinedOutput()
	said := string(out)
	switch {
	case err != nil && (!strings.Contains(command, " exec ") || strings.Contains(said, "no such service") || noContainer.MatchString(said) || strings.Contains(said, "OCI runtime")):
		return fmt.Errorf("%w: %s", err, said)
	case strings.TrimSpace(said) == "":
		return errors.New("it prints nothing")
	}
	return nil
}

// check runs the command check, and leaves the fault open. If the grader cannot tell whether the fault is fixed, check runs the command
// again, at most three times in all.
func (p *player) check(ctx context.Context, o CheckOptions) error {
	o.KeepOpen = true
	for try := 1; ; try++ {
		p.said.Reset()
		err := p.Check(ctx, o)
		var problem *engine.Problem
		if try == 3 || !errors.As(err, &problem) || !strings.HasPrefix(problem.What, "the grader cannot tell") {
			return err
		}
		fmt.Fprintf(&p.out, "  ... again: %s: %s\n", problem.What, strings.TrimSpace(p.said.String()))
	}
}

// checks is an assertion: the command check finds the fault fixed, or not fixed, and prints this text.
func (p *player) checks(ctx context.Context, what string, fixed bool, words string) {
	patience := DefaultPatience
	if fixed {
		patience = time.Minute
	}
	err := p.check(ctx, CheckOptions{Patience: patience})
	switch {
	case fixed && err == nil, !fixed && errors.Is(err, ErrNotYet):
		err = nil
		if said := strings.Join(strings.Fields(p.said.String()), " "); !strings.Contains(said, words) { // long lines are folded
			err = fmt.Errorf("check does not say %q: %s", words, p.said)
		}
	case err == nil:
		err = fmt.Errorf("check says: %s", p.said)
	default:
		err = fmt.Errorf("%w: %s", err, p.said)
	}
	p.result(what, err)
}

// hints asks for all hints. There must be three, and the last hint must name the cause.
func (p *player) hints(ctx context.Context, what string) {
	p.said.Reset()
	var err error
	for range p.f.Hints {
		err = errors.Join(err, p.Hint(ctx))
	}
	said := strings.Join(strings.Fields(p.said.String()), " ")
	if last := strings.Join(strings.Fields(p.f.Hints[len(p.f.Hints)-1].Text), " "); err == nil && (!strings.Contains(said, "hint 3: ") || !strings.Contains(said, last)) {
		err = fmt.Errorf("there are not three, or the last one is not given: %s", said)
	}
	p.result(what, err)
}

// gives runs give-up. Then the lab must be as it was before the fault.
func (p *player) gives(ctx context.Context) {
	s, _, err := p.opened()
	if err != nil {
		p.result("give-up", err)
		return
	}
	was, known := s.before()
	p.said.Reset()
	if err := p.GiveUp(ctx); err != nil || !strings.Contains(p.said.String(), "What it was") {
		p.result("give-up", fmt.Errorf("%w: %s", err, p.said))
		return
	}
	err = nil
	var differences []string
	after := p.state(ctx)
	for _, one := range []struct {
		what   string
		of, in []string
	}{{"gone: ", p.before, after}, {"new: ", after, p.before}} {
		for _, line := range one.of {
			if !slices.Contains(one.in, line) {
				differences = append(differences, one.what+line)
			}
		}
	}
	if now, knowsErr := s.knows(ctx); knowsErr != nil {
		err = knowsErr
	} else if !p.f.Lost && known && now.OwnBundle != was.OwnBundle {
		differences = append(differences, "it has a new CA")
	}
	if len(differences) > 0 {
		err = errors.New(strings.Join(differences, ", "))
	}
	p.result("give-up leaves the lab as it was", err)
}

// diagnosed returns nil if the doctor's first finding is the cause of the fault.
func (p *player) diagnosed(ctx context.Context) error {
	v := p.lab.Doctor(ctx, report.Options{Patience: 10 * time.Second})
	if v.Finding == nil || v.Finding.Code != p.f.Doctor {
		return fmt.Errorf("it says: %s", v.Text())
	}
	return nil
}

// state describes everything that must be the same before and after a fault, one line for each thing.
func (p *player) state(ctx context.Context) []string {
	var all []string
	add := func(kind string, lines ...string) {
		for _, line := range lines {
			all = append(all, kind+" "+line)
		}
	}
	fail := func(err error) {
		if err != nil {
			p.result("the state of the lab", err)
		}
	}
	containers, err := p.lab.Containers(ctx)
	fail(err)
	for _, container := range containers {
		said, err := p.lab.Ask(ctx, "inspect", "--format", "{{json .}}", container.ID)
		fail(err)
		var c struct {
			State  struct{ Status string }
			Config struct {
				User, Image string
				Cmd, Env    []string
			}
			HostConfig struct{ CapAdd []string }
			Mounts     []struct{ Name, Destination string }
		}
		fail(json.Unmarshal([]byte(said), &c))
		var parts []string
		for _, mount := range c.Mounts {
			parts = append(parts, mount.Name+":"+mount.Destination)
		}
		for _, variable := range c.Config.Env {
			if name, _, _ := strings.Cut(variable, "="); !strings.HasSuffix(strings.ToLower(name), "_proxy") {
				parts = append(parts, variable)
			}
		}
		slices.Sort(parts) // the order of mounts and variables has no meaning
		add("container", fmt.Sprintln(container.Service, c.State.Status, c.Config.User, c.Config.Image, c.Config.Cmd, c.HostConfig.CapAdd, parts))
	}
	networks, err := p.lab.Ask(ctx, "ps", "--format", "{{.Names}} {{.Networks}}", "--filter", "network="+p.Place.Project+"_default")
	fail(err)
	add("on the network:", strings.Split(strings.TrimSpace(networks), "\n")...)
	volumes, err := p.lab.Volumes(ctx)
	fail(err)
	add("volume", volumes...)
	for _, name := range lab.Images {
		id, err := p.lab.Ask(ctx, "image", "inspect", "--format", "{{.Id}}", p.lab.Image(name))
		fail(err)
		add("image", name+" "+strings.TrimSpace(id))
	}
	s, err := newSession(p.Lab, p.Place, p.progress(), p.f)
	fail(err)
	k, err := s.knows(ctx)
	fail(err)
	add("entry", k.entryTexts...)
	add("agent", k.Agents...)
	add("banned", k.Banned...)
	add("federated", k.Federated...)
	add("bundle of", k.Bundles...)
	return all
}
