package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
	"github.com/spiffe-lab/spiffe-lab/services/internal/traffic"
)

// Lab is the lab in which a scenario runs, with the functions that a scenario needs.
type Lab interface {
	// Ready checks that the lab runs and its client is served, and starts the lab if necessary. Progress goes to out.
	Ready(ctx context.Context, out io.Writer) error
	// Reset removes the lab and starts a new one. Its output goes to out.
	Reset(ctx context.Context, out io.Writer) error
	// NeedTools builds the image tools if it is missing. The extras need it.
	NeedTools(ctx context.Context, out io.Writer) error

	Run(ctx context.Context, extra, words []string, in io.Reader, out, errOut io.Writer) (int, error)
	Exec(ctx context.Context, out, errOut io.Writer, service, user string, args ...string) error
	Log(ctx context.Context, service string, since time.Time) ([]engine.Line, error)
	Containers(ctx context.Context) ([]engine.Container, error)
	Inspect(ctx context.Context, service string) (*engine.Inspection, error)
	Process(ctx context.Context, service string) (engine.Process, error)
	ClientServed(ctx context.Context) error
	Now(ctx context.Context) (time.Time, error)
}

// Options are the options of the learner.
type Options struct {
	Quick    bool      // the short form, with shorter waits
	Pause    io.Reader // the input on which the scenario waits for Enter between the steps; nil does not wait
	Keep     bool      // leave the lab as it is when the scenario fails
	RunLimit time.Duration
	LogLimit time.Duration
}

// Defaults of [Options].
const (
	DefaultRunLimit = 2 * time.Minute
	DefaultLogLimit = 20 * time.Second
)

// Place has the folders and names that a scenario needs.
type Place struct {
	Dir     string // the lab's folder
	Cache   string // the folder for the files below
	Project string // the Compose project of this lab
	Folder  string // the folder of compose.yaml; Dir if empty
}

// ComposeFile returns the path of a file in the folder of compose.yaml.
func (p Place) ComposeFile(name string) string {
	if p.Folder != "" {
		return filepath.Join(p.Folder, name)
	}
	return filepath.Join(p.Dir, name)
}

// run is one run of a script. Helper functions in a pipe run at the same time, so a lock guards the fields that they share.
type run struct {
	Place
	script  Script
	lab     Lab
	out     *screen.Screen
	options Options
	began   time.Time

	mu         sync.Mutex
	steps      int
	checks     int
	stepBegan  time.Time // by the engine's clock; only later log lines count
	output     string    // the output of the last command
	exitStatus int       // the exit status of the last command
	held       bool      // whether the last condition held

	trafficBegan   time.Time // by the engine's clock; zero without traffic
	trafficAddress string
	traffic        *traffic.Traffic
	processes      []engine.Process
	token          string // the last join token of a host
}

// failure ends a script, because a check did not hold.
type failure struct{ why string }

func (f *failure) Error() string { return f.why }

func failf(format string, args ...any) error { return &failure{fmt.Sprintf(format, args...)} }

// atLine is an error with the line of the script at which it happened.
type atLine struct {
	line uint
	error
}

func (a *atLine) Unwrap() error { return a.error }

// Run runs a script in a lab. It returns whether every check held, after it has printed the result.
func Run(ctx context.Context, l Lab, place Place, script Script, out *screen.Screen, options Options) bool {
	r := &run{Place: place, script: script, lab: l, out: out, options: options, began: time.Now()}
	out.Say("%s%s%s: %s", out.Bold, script.Name, out.Plain, script.Expectation)
	file, err := script.parse()
	if err != nil {
		return r.finish(ctx, err)
	}
	unlock, err := Lock(filepath.Join(place.Cache, "lock-scenario-"+place.Project), "another scenario or fault is running in this lab")
	if err != nil {
		return r.refuse(err)
	}
	defer unlock()
	if err = r.begin(ctx); err == nil {
		var shell *interp.Runner
		if shell, err = r.shell(); err == nil {
			err = shell.Run(ctx, file)
		}
	}
	return r.finish(ctx, err)
}

// shell returns the interpreter, with set -euo pipefail and the helper functions, and without other programs.
func (r *run) shell() (*interp.Runner, error) {
	return interp.New(
		interp.Params("-e", "-u", "-o", "pipefail"),
		interp.Env(variables{r}),
		interp.StdIO(nil, r.out, r.out),
		interp.Dir(r.Dir),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
			return func(ctx context.Context, args []string) error {
				hc := interp.HandlerCtx(ctx)
				err := r.call(ctx, hc, args)
				var status interp.ExitStatus
				if err == nil || errors.As(err, &status) {
					return err
				}
				return &atLine{hc.Pos.Line(), err}
			}
		}))
}

func (r *run) call(ctx context.Context, hc interp.HandlerContext, args []string) error {
	if tool := tools[args[0]]; tool != nil {
		return tool(input(hc), hc.Stdout, args[1:])
	}
	helper := helpers[args[0]]
	if helper == nil {
		return failf("%s is not a helper function; a script runs no other program", args[0])
	}
	if err := checkArguments(helper.usage, args[1:]); err != nil {
		return err
	}
	return helper.do(r, ctx, hc, args[1:])
}

// variables has the variables that helper functions set for a script. Each value is computed when the script reads it.
type variables struct{ *run }

// readVariables has, for each of these variables, the function that computes its value.
var readVariables = map[string]func(r *run) string{
	"output":      func(r *run) string { return r.output },
	"exit_status": func(r *run) string { return strconv.Itoa(r.exitStatus) },
	"failed":      func(r *run) string { return strconv.Itoa(r.sums().Failed) },
	"token":       func(r *run) string { return r.token },
	"name":        func(r *run) string { return r.script.Name },
	"project":     func(r *run) string { return r.Project },
	"SECONDS":     func(r *run) string { return strconv.Itoa(int(time.Since(r.began).Seconds())) },
	"QUICK": func(r *run) string {
		if r.options.Quick {
			return "1"
		}
		return ""
	},
}

func (r *run) sums() traffic.Sums {
	if r.traffic == nil {
		return traffic.Sums{}
	}
	return r.traffic.Sums()
}

// Get implements expand.Environ.
func (v variables) Get(name string) expand.Variable {
	read := readVariables[name]
	if read == nil {
		return expand.Variable{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return expand.Variable{Set: true, Kind: expand.String, Str: read(v.run)}
}

// Each implements expand.Environ.
func (v variables) Each(f func(string, expand.Variable) bool) {
	for name := range readVariables {
		if !f(name, v.Get(name)) {
			return
		}
	}
}

func (r *run) begin(ctx context.Context) error {
	r.onScreen("begin", r.script.Name+": "+r.script.Expectation)
	var said bytes.Buffer
	if who, err := os.ReadFile(r.marker()); err == nil {
		r.out.Say("%sThe scenario %s was interrupted. Resetting the lab: registration entries that you created by hand will be lost ...%s",
			r.out.Dim, strings.TrimSpace(string(who)), r.out.Plain)
		if err := r.lab.Reset(ctx, &said); err != nil {
			return r.unready("the lab cannot be reset", said.String(), err)
		}
	} else if err := r.lab.Ready(ctx, r.out); err != nil {
		return r.unready("the lab does not start", said.String(), err)
	}
	return r.markLogs(ctx)
}

func (r *run) unready(what, said string, err error) error {
	r.out.Say("%s", strings.TrimRight(said, "\n"))
	return failf("%s: %v", what, err)
}

// marker is a file that exists while the lab differs from its state before the scenario.
func (r *run) marker() string { return filepath.Join(r.Cache, "unfinished-"+r.Project) }

func (r *run) changes() error {
	if _, err := os.Stat(r.marker()); err == nil {
		return nil
	}
	return os.WriteFile(r.marker(), []byte(r.script.Name+"\n"), 0o644)
}

// onScreen writes an event of the scenario into a file that the console reads. Each line begins with the kind of the event, which is
// the parameter word. Errors are ignored: without this file the scenario works as usual, and the console only shows less.
func (r *run) onScreen(word, text string) {
	mode := os.O_APPEND
	if word == "begin" {
		mode = os.O_TRUNC
	}
	file, err := os.OpenFile(filepath.Join(r.Cache, "screen-"+r.Project), mode|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer file.Close()
	for i, line := range strings.Split(text, "\n") {
		if i < 60 {
			fmt.Fprintf(file, "%s %s\n", word, line)
		}
	}
}

func (r *run) refuse(err error) bool {
	r.out.Say("error: %v", err)
	var problem *engine.Problem
	if errors.As(err, &problem) && problem.Remedy != "" {
		r.out.Say("hint: %s", problem.Remedy)
	}
	return false
}

func (r *run) finish(ctx context.Context, err error) bool {
	interrupted := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	why := r.reason(err, interrupted)
	_, marked := os.Stat(r.marker())
	if why == "" && marked == nil {
		if err := r.tidy(ctx); err != nil {
			why = "what the scenario created cannot be removed: " + err.Error()
		} else if err := os.Remove(r.marker()); err != nil {
			why = err.Error()
		}
	}
	seconds := int(time.Since(r.began).Seconds())
	r.out.Say("")
	if why == "" {
		if r.script.Lesson != "" {
			r.out.Say("  the lesson explains it: %s", r.script.Lesson)
		}
		r.onScreen("end", fmt.Sprintf("PASS (%d checks)", r.checks))
		r.out.Say("%sPASS%s %s (%d checks, %d s)", r.out.Green, r.out.Plain, r.script.Name, r.checks, seconds)
		return true
	}
	if !interrupted {
		r.lastLines(ctx)
	}
	if marked == nil {
		r.leave(ctx)
	}
	r.onScreen("end", "FAIL: "+why)
	var at *atLine
	if errors.As(err, &at) {
		r.out.Say("  at %s:%d", r.script.path(r.Dir), at.line)
	}
	r.out.Say("%sFAIL%s %s: %s (%d checks, %d s)", r.out.Red, r.out.Plain, r.script.Name, why, r.checks, seconds)
	return false
}

// reason says why a run failed. It is empty if the run passed.
func (r *run) reason(err error, interrupted bool) string {
	var status interp.ExitStatus
	switch {
	case interrupted:
		return "interrupted"
	case errors.As(err, &status):
		return fmt.Sprintf("a command failed with exit status %d", int(status))
	case err != nil:
		return err.Error()
	case r.checks == 0:
		return "it has no check"
	}
	return ""
}

// lastLines prints the last log lines of each container.
func (r *run) lastLines(ctx context.Context) {
	containers, err := r.lab.Containers(ctx)
	if err != nil {
		r.out.Say("--- no logs: %v", err)
		return
	}
	for _, container := range containers {
		r.out.Say("--- the last lines of %s", container.Service)
		lines, err := r.lab.Log(ctx, container.Service, time.Time{})
		if err != nil {
			r.out.Say("    %v", err)
		}
		for _, line := range lines[max(0, len(lines)-15):] {
			r.out.Say("    %s", line.Text)
		}
	}
}

// leave resets the lab after a failure, or keeps it for inspection.
func (r *run) leave(ctx context.Context) {
	if r.options.Keep {
		r.out.Say("Nothing was cleaned up, so that you can inspect what failed:")
		r.out.Say("  docker compose --profile '*' ps --all")
		r.out.Say("  docker compose --profile '*' logs --timestamps SERVICE")
		r.out.Say("The next scenario resets the lab. So do \"make down\" and \"make up\".")
		return
	}
	r.out.Say("Resetting the lab: registration entries that you created by hand will be lost ... (KEEP=1 keeps the failed state)")
	var said bytes.Buffer
	if err := r.lab.Reset(ctx, &said); err != nil {
		r.out.Say("%s%v", said.String(), err)
		r.out.Say("The reset failed. Run \"make down\", then \"make up\", or run the next scenario.")
		return
	}
	if err := os.Remove(r.marker()); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.out.Say("%v", err)
	}
}
