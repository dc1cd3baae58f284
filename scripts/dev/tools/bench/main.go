// Command bench measures the lab: how fast it starts, what it costs, how soon a change takes
// effect, and what go-spiffe costs on the way of a request. scripts/dev/bench.sh runs it.
//
// On the learner's machine, in the lab's folder: start, footprint, propagation, path; draw, report.
// In a container of the lab: watch, load, serve.
// The parts that it has measured stay in the folder of results as they are until measured again.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

var commands = map[string]func(context.Context, options) error{
	"start":       start,
	"footprint":   footprint,
	"propagation": propagation,
	"path":        path,
	"draw":        draw,
	"report":      report,
	"watch":       watch,
	"load":        load,
	"serve":       serve,
}

// options is how thorough a measurement is.
type options struct {
	quick bool // few and short runs: shows that it works, not how fast it is
}

// folder is where results go.
func folder() string { return os.Getenv("BENCH_OUT") }

// pick returns full, or quick if that was asked for.
func pick[T any](o options, full, quick T) T {
	if o.quick {
		return quick
	}
	return full
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 || commands[args[0]] == nil {
		return fmt.Errorf("want one of the commands %s", strings.Join(names(), ", "))
	}
	err := commands[args[0]](ctx, options{quick: os.Getenv("QUICK") != ""})
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
