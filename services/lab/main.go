// Command lab is the program that a learner or trainer runs. It starts the lab, runs scenarios and finds problems. It
// needs only docker on the machine. scripts/lab builds it and passes the lab's folder.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	gather "github.com/spiffe-lab/spiffe-lab/services/internal/report"
)

// sourcesHash identifies the sources of this program; services/lab/build sets it.
var sourcesHash string

// The exit statuses of lab.
const (
	exitFailure   = 1   // the command failed; for a scenario, a check did not hold
	exitUsage     = 2   // the command line is wrong
	exitOutOfDate = 75  // the sources have changed since lab was compiled: scripts/lab rebuilds it
	exitInterrupt = 130 // Ctrl-C
)

// exitStatus is an error that ends the program with this status. Everything has been printed already.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

type hinter interface {
	error
	Hint() string
}

func main() {
	if old, err := outOfDate(os.Args[1:]); err != nil {
		os.Exit(report(context.Background(), err))
	} else if old {
		os.Exit(exitOutOfDate)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := report(ctx, newRoot().ExecuteContext(ctx))
	stop()
	os.Exit(status)
}

func report(ctx context.Context, err error) int {
	var status exitStatus
	var usage usageError
	var hint hinter
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, launch.ErrSaid):
		return exitFailure
	}
	fmt.Fprintln(os.Stderr, "error:", gather.Secrets(err.Error()))
	if errors.As(err, &hint) && hint.Hint() != "" {
		fmt.Fprintln(os.Stderr, "hint:", gather.Secrets(hint.Hint()))
	}
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupt
	}
	return exitFailure
}
