// Package classroom starts and removes several labs on one machine, one for each learner. The labs share the images and nothing
// else: each is a Compose project of its own.
package classroom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// Most is the largest number of labs in a classroom.
const Most = 200

// labNeeds is the memory that a lab takes from the machine, the engine's share included, in MiB.
const labNeeds = 150

// verified names the scenarios that each lab has to pass.
var verified = []string{"happy-path", "bad-id"}

// Class is a classroom: the labs whose project names begin with that of one lab.
type Class struct {
	*launch.Launcher
	prefix  string
	machine machine

	mu sync.Mutex // of what is printed
}

// machine is what the machine on which lab runs says of itself. Either is nothing where that cannot be seen.
type machine interface {
	available() (mib int, known bool)
	routes() []string // the networks that it has a route to
}

// New returns the classroom that belongs to a lab.
func New(l *launch.Launcher) *Class {
	return &Class{Launcher: l, prefix: l.Project + "-class", machine: linux{}}
}

// Lab is one of a classroom, as the file for programs has it.
type Lab struct {
	Name      string  `json:"lab"`
	Ready     float64 `json:"ready_s"`
	MemoryMiB float64 `json:"memory_mib"`
	Result    string  `json:"result"`
}

// report is that file.
type report struct {
	N          int   `json:"n"`
	Seconds    int   `json:"seconds"`
	MachineMiB int   `json:"machine_memory_mib"`
	Labs       []Lab `json:"labs"`
}

const ok = "ok"

// Number reads how many labs somebody wants.
func Number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > Most || strconv.Itoa(n) != text {
		return 0, &engine.Problem{What: fmt.Sprintf("N is %q: want a number of labs from 1 to %d", text, Most), Remedy: "make classroom N=20"}
	}
	return n, nil
}

// Up starts n labs, verifies each, and prints a table of them, which it writes into a file of the folder results too.
func (c *Class) Up(ctx context.Context, n int, results string) error {
	if err := c.Need(ctx); err != nil {
		return err
	}
	if err := c.needBuilt(ctx); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.needRoom(ctx, n); err != nil {
		return err
	}
	err = c.up(ctx, n, results)
	if ctx.Err() != nil {
		return &engine.Problem{What: "interrupted", Remedy: "make classroom-down removes what is there"}
	}
	return err
}

func (c *Class) up(ctx context.Context, n int, results string) error {
	began := time.Now()
	if err := errors.Join(os.RemoveAll(c.work()), os.MkdirAll(c.work(), 0o755), os.MkdirAll(results, 0o755)); err != nil {
		return err
	}
	labs := make([]Lab, n)
	before, _ := c.machine.available()
	c.Screen.Say("starting the labs, one after the other: %d", n)
	for i := range labs {
		l := &labs[i]
		l.Name = fmt.Sprintf("%s-%02d", c.prefix, i+1)
		said := ""
		if seconds, err := c.start(ctx, l.Name); err != nil {
			l.Result = "did not start: see " + c.logFile(l.Name)
			said = l.Result
		} else {
			l.Ready = seconds
			said = fmt.Sprintf("ready after %.2f s", seconds)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.Screen.Say("  %s: %s (%d of %d)", l.Name, said, i+1, n)
	}
	// Of labs that are idle: what the scenarios run in the containers comes on top for a while.
	after, _ := c.machine.available()
	if err := c.measure(ctx, labs); err != nil {
		return err
	}
	c.Screen.Say("verifying each: %s", strings.Join(verified, " "))
	if err := c.verifyAll(ctx, labs); err != nil {
		return err
	}
	c.Screen.Say("\n%s", table(labs))
	took := int(time.Since(began).Seconds())
	text, err := json.MarshalIndent(report{n, took, before - after, labs}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(results, fmt.Sprintf("classroom-%d.json", n)), append(text, '\n'), 0o644); err != nil {
		return err
	}
	c.Screen.Say("learners choose their lab with COMPOSE_PROJECT_NAME, for instance:\n  COMPOSE_PROJECT_NAME=%s make status\nmake classroom-down removes all of them (%d s)", labs[0].Name, took)
	if slices.ContainsFunc(labs, func(l Lab) bool { return l.Result != ok }) {
		return &engine.Problem{What: "not every lab is as it should be", Remedy: "the table says which"}
	}
	return nil
}

// start starts a lab, and returns after how many seconds its client was first served. The log has the time, so that watching costs
// the lab nothing.
func (c *Class) start(ctx context.Context, name string) (float64, error) {
	log, err := os.Create(c.logFile(name))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	one := c.of(name, screen.Plain(log))
	began, err := one.Now(ctx)
	if err != nil {
		return 0, failed(log, err)
	}
	cmd := one.Compose(ctx, nil, "up", "--detach")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return 0, failed(log, err)
	}
	var first time.Time
	err = launch.Until(ctx, time.Minute, "the client of "+name+" is served", func() error {
		lines, err := one.Log(ctx, lab.Client, time.Time{})
		if err != nil {
			return err
		}
		for _, line := range lines {
			if line.Text == "Success!!!" {
				first = line.Time
				return nil
			}
		}
		return errors.New("its log has no request that was served")
	})
	return first.Sub(began).Seconds(), failed(log, err)
}

// failed writes an error into a lab's log.
func failed(log *os.File, err error) error {
	if err != nil {
		fmt.Fprintln(log, "error:", err)
	}
	return err
}

// verifyAll runs the scenarios on every lab that has started.
func (c *Class) verifyAll(ctx context.Context, labs []Lab) error {
	scripts := make([]scenario.Script, len(verified))
	for i, name := range verified {
		var err error
		if scripts[i], err = scenario.Find(c.Dir, name); err != nil {
			return err
		}
	}
	done := 0
	err := c.each(ctx, len(labs), func(i int) error {
		l := &labs[i]
		if l.Result == "" {
			l.Result = c.verify(ctx, l.Name, scripts)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		done++
		if l.Result == ok {
			c.Screen.Say("  %s: %s passed (%d of %d)", l.Name, strings.Join(verified, " "), done, len(labs))
		} else {
			c.Screen.Say("  %s: %s", l.Name, l.Result)
		}
		return nil
	})
	return errors.Join(err, ctx.Err())
}

// verify runs the scenarios on one lab, and returns the result for the table.
func (c *Class) verify(ctx context.Context, name string, scripts []scenario.Script) string {
	log, err := os.OpenFile(c.logFile(name), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err.Error()
	}
	defer log.Close()
	out := screen.Plain(log)
	options := scenario.Options{RunLimit: scenario.DefaultRunLimit, LogLimit: scenario.DefaultLogLimit}
	for _, script := range scripts {
		if !scenario.Run(ctx, c.of(name, out), scenario.Place{Dir: c.Dir, Cache: c.Cache(), Project: name}, script, out, options) {
			return script.Name + " FAILED: see " + log.Name()
		}
	}
	return ok
}

// Down removes the labs of the classroom.
func (c *Class) Down(ctx context.Context) error {
	if err := c.Need(ctx); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	labs, err := c.labs(ctx)
	if err != nil {
		return err
	}
	if len(labs) == 0 {
		c.Screen.Say("there is no classroom")
		return nil
	}
	for _, name := range labs {
		folders, err := c.of(name, c.Screen).Folders(ctx)
		if err != nil {
			return err
		}
		for _, folder := range folders {
			if folder != "" && !launch.SameFile(folder, c.Dir) {
				return &engine.Problem{What: name + " was started from another folder, " + folder, Remedy: "make -C '" + folder + "' classroom-down"}
			}
		}
	}
	c.Screen.Say("removing the labs: %d", len(labs))
	if err := c.each(ctx, len(labs), func(i int) error { return c.remove(ctx, labs[i]) }); err != nil {
		return &engine.Problem{What: "not every lab could be removed", Remedy: "the lines above say why; make classroom-down tries again"}
	}
	if labs, err = c.labs(ctx); err != nil {
		return err
	}
	if len(labs) > 0 {
		return &engine.Problem{What: "of these labs something is left: " + strings.Join(labs, " "), Remedy: "make classroom-down tries again"}
	}
	return os.RemoveAll(c.work())
}

func (c *Class) remove(ctx context.Context, name string) error {
	var said bytes.Buffer
	err := c.of(name, screen.Plain(&said)).Down(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range strings.Lines(said.String()) {
		if err != nil || strings.HasPrefix(line, "the volume ") {
			c.Screen.Say("  %s", strings.TrimRight(line, "\n"))
		}
	}
	if err != nil {
		c.Screen.Say("  %s could not be removed: %v", name, err)
		return err
	}
	c.Screen.Say("  %s is removed", name)
	return nil
}

// each does something to n labs, to as many at a time as the engine has cores.
func (c *Class) each(ctx context.Context, n int, do func(i int) error) error {
	said, err := c.Ask(ctx, "info", "--format", "{{json .NCPU}}")
	if err != nil {
		return err
	}
	cores, err := strconv.Atoi(strings.TrimSpace(said))
	if err != nil {
		return fmt.Errorf("docker info gave %q as the number of cores", said)
	}
	free := make(chan struct{}, max(1, cores))
	all := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			if all[i] = ctx.Err(); all[i] == nil {
				all[i] = do(i)
			}
		})
	}
	wait.Wait()
	return errors.Join(all...)
}

// of returns the launcher of one of the labs.
func (c *Class) of(name string, out *screen.Screen) *launch.Launcher {
	return &launch.Launcher{Engine: c.ForProject(name), Screen: out}
}

func (c *Class) work() string { return c.Cache("classroom-" + c.prefix) }

func (c *Class) logFile(name string) string { return filepath.Join(c.work(), name+".log") }

func (c *Class) lock() (func(), error) {
	if err := os.MkdirAll(c.Cache(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return scenario.Lock(c.Cache("lock-classroom-"+c.prefix), "a classroom is being started or removed")
}

// needBuilt returns an error if one of the lab's images is not here.
func (c *Class) needBuilt(ctx context.Context) error {
	for _, name := range lab.Images {
		if image := c.Image(name); !c.HasImage(ctx, image) {
			return &engine.Problem{What: "no lab has been built on this machine yet: there is no image " + image, Remedy: "make up"}
		}
	}
	return nil
}

// labs returns those of this classroom that exist, whole or in part. A volume that only has such a project's label belongs to
// somebody else.
func (c *Class) labs(ctx context.Context) ([]string, error) {
	containers, err := c.Ask(ctx, "ps", "--all", "--format", `{{.Label "com.docker.compose.project"}}_default`)
	if err != nil {
		return nil, err
	}
	networks, err := c.Ask(ctx, "network", "ls", "--format", "{{.Name}}")
	if err != nil {
		return nil, err
	}
	volumes, err := c.Ask(ctx, "volume", "ls", "--format", "{{.Name}}")
	if err != nil {
		return nil, err
	}
	name := regexp.MustCompile(`^(` + regexp.QuoteMeta(c.prefix) + `-[0-9]+)_(default|` + strings.Join(lab.Volumes, "|") + `)$`)
	var all []string
	for _, thing := range strings.Fields(containers + "\n" + networks + "\n" + volumes) {
		if found := name.FindStringSubmatch(thing); found != nil {
			all = append(all, found[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
