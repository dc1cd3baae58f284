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

// This is `make faults-test`: each fault is played in a new lab of its own, on this machine's engine.
//
//	ONLY="1 second-shift"   these alone, by number or name
//	LABS=2                  so many labs side by side
//	QUICK=1                 no wrong fixes
//	RESULTS=file            where each result goes as a line of JSON (.cache/faults-test.jsonl)
//
// It ends with "N passed, N failed".

// tally counts the results, and prints them fault by fault.
var tally struct {
	sync.Mutex
	passed, failed int
	file           *os.File
}

// stopped ends when somebody interrupts the test: the labs are removed then too.
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
	fmt.Printf("%d passed, %d failed (%d s)\n", tally.passed, tally.failed, int(time.Since(began).Seconds()))
	os.Exit(status)
}

// TestEveryFault plays them.
func TestEveryFault(t *testing.T) {
	all, err := List(root(t))
	if err != nil {
		t.Fatal(err)
	}
	if only := strings.Fields(os.Getenv("ONLY")); len(only) > 0 {
		var chosen []*Fault
		for _, word := range only {
			f, err := Find(all, word)
			if err != nil {
				t.Fatal(err)
			}
			chosen = append(chosen, f)
		}
		all = chosen
	}
	// The images and the program, once for all labs.
	l := realLab(t, "faults-"+strconv.Itoa(os.Getpid()), &bytes.Buffer{})
	if err := errors.Join(l.Need(stopped), l.Build(stopped, false)); err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			play(t, f)
		})
	}
}

var environment sync.Mutex

// realLab returns a lab with a project of its own. The engine reads the name from the environment.
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
	return &launch.Launcher{Engine: e, Screen: screen.Plain(said)}
}

// player plays one fault.
type player struct {
	*Commands
	t      *testing.T
	f      *Fault
	lab    *launch.Launcher
	said   *bytes.Buffer // what the commands print
	out    strings.Builder
	began  time.Time
	before []string // the lab
}

// result notes how a check went.
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
		tally.failed++
	}
	if _, err := fmt.Fprintf(tally.file, "%s\n", line); err != nil || jsonErr != nil {
		p.t.Error(err, jsonErr)
	}
}

// play is all that must hold of a fault.
func play(t *testing.T, f *Fault) {
	project := fmt.Sprintf("faults-%d-%02d", os.Getpid(), f.Number())
	said := &bytes.Buffer{}
	l := realLab(t, project, said)
	p := &player{t: t, f: f, lab: l, said: said, began: time.Now(), Commands: &Commands{
		Place: scenario.Place{Dir: l.Dir, Cache: l.Cache(), Project: project}, Lab: Real{l}, Screen: screen.Plain(said), Errors: screen.Plain(&bytes.Buffer{})}}
	ctx := stopped
	t.Cleanup(func() {
		clean := context.WithoutCancel(ctx)
		for _, image := range images(p.progress()) {
			_, _ = l.Ask(clean, "image", "rm", image)
		}
		if err := errors.Join(l.Need(clean), l.Down(clean), os.RemoveAll(filepath.Join(l.Dir, progress.Root, project))); err != nil {
			t.Error(err)
		}
		tally.Lock()
		defer tally.Unlock()
		fmt.Printf("%s (level %d)\n%s", f.Name, f.Level, p.out.String())
	})
	git := p.git()
	if err := l.Up(ctx); err != nil {
		p.result("a new lab", fmt.Errorf("it does not start: %w\n%s", err, said))
		return
	}
	p.before = p.state(ctx)
	p.result("a new lab", nil)

	if p.breaks(ctx, "break", git) {
		p.result("the doctor names the cause first: "+f.Doctor, p.diagnosed(ctx))
		p.checks(ctx, "unsolved, check fails", false, "not yet: ")
		p.hints(ctx)
		if p.does(ctx, "the right fix", "right") {
			p.checks(ctx, "the right fix passes", true, "solved: "+f.Short())
			p.checks(ctx, "it passes once more", true, "solved: "+f.Short())
		}
	}
	for _, wrong := range f.Wrong {
		if os.Getenv("QUICK") == "1" {
			break
		}
		what := "the wrong fix " + wrong.Name + " fails"
		if p.breaks(ctx, what, git) && p.does(ctx, what, "wrong_"+wrong.Name) {
			p.checks(ctx, what+": "+wrong.Verdict, false, wrong.Verdict)
		}
	}
	if p.breaks(ctx, "give-up", git) {
		p.gives(ctx)
	}
}

// breaks injects the fault, after a reset of the one that is open.
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

// does runs a function of the fault.
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

// checks runs check, which must end so and print a text.
func (p *player) checks(ctx context.Context, what string, fixed bool, words string) {
	p.said.Reset()
	patience := DefaultPatience
	if fixed {
		patience = time.Minute
	}
	err := p.Check(ctx, "", patience, true)
	switch {
	case fixed && err == nil, !fixed && errors.Is(err, ErrNotYet):
		err = nil
		if !strings.Contains(p.said.String(), words) {
			err = fmt.Errorf("check does not say %q: %s", words, p.said)
		}
	case err == nil:
		err = fmt.Errorf("check says: %s", p.said)
	default:
		err = fmt.Errorf("%w: %s", err, p.said)
	}
	p.result(what, err)
}

// hints asks for hints until there are no more. The last one names the cause, and is always given.
func (p *player) hints(ctx context.Context) {
	p.said.Reset()
	var err error
	for range p.f.Hints {
		err = errors.Join(err, p.Hint(ctx))
	}
	last := strings.Fields(p.f.Hints[len(p.f.Hints)-1].Text)
	if said := strings.Join(strings.Fields(p.said.String()), " "); err == nil && (!strings.HasPrefix(said, "hint 1: ") || !strings.Contains(said, strings.Join(last, " "))) {
		err = fmt.Errorf("the last hint is not given: %s", said)
	}
	p.result("the hints, of which the last one names the cause", err)
}

// gives gives up, after which the lab is as it was.
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
		differences = append(differences, "its CA is another one")
	}
	if len(differences) > 0 {
		err = errors.New(strings.Join(differences, ", "))
	}
	p.result("give-up leaves the lab as it was", err)
}

// diagnosed returns nil if the doctor names the cause of the fault first.
func (p *player) diagnosed(ctx context.Context) error {
	v := p.lab.Doctor(ctx, report.Options{Patience: 10 * time.Second})
	if v.Finding == nil || v.Finding.Code != p.f.Doctor {
		return fmt.Errorf("it says: %s", v.Text())
	}
	return nil
}

// state is what must be as before when a fault is over, in lines.
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
		slices.Sort(parts) // neither mounts nor variables have an order
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
