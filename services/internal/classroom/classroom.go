// Package classroom starts and removes several labs on one machine, one for each learner. Each lab is a separate Compose project.
// The labs share only the images.
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

// labNeeds is the memory that a lab needs, in MiB, including the engine's memory for it.
const labNeeds = 150

// verified has the names of the scenarios that each lab must pass.
var verified = []string{"happy-path", "bad-id"}

// Class is a classroom: the labs whose project names begin with the project name of one lab.
type Class struct {
	*launch.Launcher
	prefix  string
	machine machine

	mu sync.Mutex // guards the output
}

// machine reads facts about the machine on which the program lab runs. If the machine does not show a fact, the fact is empty.
type machine interface {
	available() (mib int, known bool)
	routes() []string // the networks to which the machine has a route
}

// New returns the classroom that belongs to a lab.
func New(l *launch.Launcher) *Class {
	return &Class{Launcher: l, prefix: l.Project + "-class", machine: linux{}}
}

// Lab is one lab of a classroom, as it is in the JSON report.
type Lab struct {
	Name      string  `json:"lab"`
	Ready     float64 `json:"ready_s"`
	MemoryMiB float64 `json:"memory_mib"`
	Result    string  `json:"result"`
}

type report struct {
	N          int   `json:"n"`
	Seconds    int   `json:"seconds"`
	MachineMiB int   `json:"machine_memory_mib"`
	Labs       []Lab `json:"labs"`
}

const ok = "ok"

// Number reads the number of labs from the command line.
func Number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > Most || strconv.Itoa(n) != text {
		return 0, &engine.Problem{What: fmt.Sprintf("N is %q: want a number of labs from 1 to %d", text, Most), Remedy: "make classroom N=20"}
	}
	return n, nil
}

// Up starts n labs, verifies each, and prints a table of them. It also writes the table into a file in the folder results.
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
		return &engine.Problem{What: "interrupted", Remedy: "\"make classroom-down\" removes the labs that were started"}
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
	// The memory is measured while the labs are idle. Scenarios that run in the containers need more memory for a short time.
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
	c.Screen.Say("each lab has a folder, in which its learner runs make and docker compose, for example:\n  cd %s\n  make status\n"+
		"COMPOSE_PROJECT_NAME=%s selects that lab in any folder\n\"make classroom-down\" removes all labs (%d s)", c.ForProject(labs[0].Name).Folder, labs[0].Name, took)
	if slices.ContainsFunc(labs, func(l Lab) bool { return l.Result != ok }) {
		return &engine.Problem{What: "not every lab passed", Remedy: "the table shows which labs did not"}
	}
	return nil
}

// start starts a lab. It returns the number of seconds until the lab's client was first served. start reads this time from the
// client's log, because a check in the lab's containers would slow the lab.
func (c *Class) start(ctx context.Context, name string) (float64, error) {
	log, err := os.Create(c.logFile(name))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	one := c.of(name, screen.Plain(log))
	if err := one.MakeFolder(); err != nil {
		return 0, failed(log, err)
	}
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

func failed(log *os.File, err error) error {
	if err != nil {
		fmt.Fprintln(log, "error:", err)
	}
	return err
}

// verifyAll runs the scenarios in every lab that has started.
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

// verify runs the scenarios in one lab, and returns the result for the table.
func (c *Class) verify(ctx context.Context, name string, scripts []scenario.Script) string {
	log, err := os.OpenFile(c.logFile(name), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err.Error()
	}
	defer log.Close()
	out := screen.Plain(log)
	options := scenario.Options{RunLimit: scenario.DefaultRunLimit, LogLimit: scenario.DefaultLogLimit}
	for _, script := range scripts {
		if !scenario.Run(ctx, c.of(name, out), c.place(name), script, out, options) {
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
		one := c.of(name, c.Screen)
		folders, err := one.Folders(ctx)
		if err != nil {
			return err
		}
		for _, folder := range folders {
			if folder != "" && !one.Owns(folder) {
				return &engine.Problem{What: name + " was started from another folder, " + folder, Remedy: "make -C '" + folder + "' classroom-down"}
			}
		}
	}
	c.Screen.Say("removing the labs: %d", len(labs))
	if err := c.each(ctx, len(labs), func(i int) error { return c.remove(ctx, labs[i]) }); err != nil {
		return &engine.Problem{What: "not every lab could be removed", Remedy: "the lines above say why. \"make classroom-down\" tries again"}
	}
	if labs, err = c.labs(ctx); err != nil {
		return err
	}
	if len(labs) > 0 {
		return &engine.Problem{What: "these labs are not completely removed: " + strings.Join(labs, " "), Remedy: "the lines above say why. \"make classroom-down\" tries again"}
	}
	return os.RemoveAll(c.work())
}

func (c *Class) remove(ctx context.Context, name string) error {
	var said bytes.Buffer
	one := c.of(name, screen.Plain(&said))
	stays, err := one.Remove(ctx)
	var kept []string
	if err == nil {
		err = c.faults(name, screen.Plain(&said)).Forget(func(image string) { _, _ = one.Ask(ctx, "image", "rm", image) },
			func(text string) { stays = append(stays, text) })
	}
	if err == nil {
		kept, err = one.DropFolder()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		for line := range strings.Lines(said.String()) {
			c.Screen.Say("  %s", strings.TrimRight(line, "\n"))
		}
	}
	for _, text := range stays {
		c.Screen.Say("  %s", text)
	}
	if err != nil {
		c.Screen.Say("  %s could not be removed: %v", name, err)
		return err
	}
	c.Screen.Say("  %s is removed", name)
	for _, file := range kept {
		c.Screen.Say("  a file that somebody has edited is kept: %s", file)
	}
	return nil
}

// each calls do for each of n labs. It makes as many calls at the same time as the engine has cores.
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

func (c *Class) of(name string, out *screen.Screen) *launch.Launcher {
	return &launch.Launcher{Engine: c.ForProject(name), Screen: out}
}

func (c *Class) place(name string) scenario.Place {
	return scenario.Place{Dir: c.Dir, Cache: c.Cache(), Project: name, Folder: c.ForProject(name).Folder}
}

func (c *Class) work() string { return c.Cache("classroom-" + c.prefix) }

func (c *Class) logFile(name string) string { return filepath.Join(c.work(), name+".log") }

func (c *Class) lock() (func(), error) {
	if err := os.MkdirAll(c.Cache(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return scenario.Lock(c.Cache("lock-classroom-"+c.prefix), "a classroom is being started or removed")
}

func (c *Class) needBuilt(ctx context.Context) error {
	for _, name := range lab.Images {
		if image := c.Image(name); !c.HasImage(ctx, image) {
			return &engine.Problem{What: "no lab has been built on this machine yet: there is no image " + image, Remedy: "make up"}
		}
	}
	return nil
}

// labs returns the labs of this classroom that exist, whole or in part. It finds volumes by name. A volume that has the label of a
// classroom's project, but not the name of a lab's volume, does not belong to a lab.
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
