// Command bench measures the lab: how long a start takes, how much memory and CPU time the lab uses, how long a change
// takes to have an effect, and how much go-spiffe adds to a request. scripts/dev/bench.sh runs it.
//
// On the learner's machine, in the lab's folder, it runs the commands start, footprint, propagation, path, draw and
// report. In a container of the lab it runs the commands watch, load and serve. The result of a measurement stays in
// the results folder until the next measurement of the same kind.
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

// options says how thorough a measurement is.
type options struct {
	quick bool // few and short runs, which only show that the measurement works
}

func folder() string { return os.Getenv("BENCH_OUT") }

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
