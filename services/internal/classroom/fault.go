package classroom

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/fault"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// Break injects one fault into every lab of the classroom, and prints the result for each lab.
func (c *Class) Break(ctx context.Context, name string) error {
	if err := c.Need(ctx); err != nil {
		return err
	}
	all, err := fault.List(c.Dir)
	if err != nil {
		return err
	}
	f, err := fault.Find(all, name)
	if err != nil {
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
		return &engine.Problem{What: "there is no classroom", Remedy: "make classroom N=20"}
	}
	c.Screen.Say("injecting the fault %s into %d labs", f.Short(), len(labs))
	tickets := make([]string, len(labs))
	done := 0
	err = c.each(ctx, len(labs), func(i int) error {
		var ticket bytes.Buffer
		err := c.faults(labs[i], screen.Plain(&ticket)).Break(ctx, f.Name)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.Screen.Say("  %s: FAILED: %v%s", labs[i], err, hintOf(err))
			return err
		}
		done++
		tickets[i] = ticket.String()
		c.Screen.Say("  %s: injected (%d of %d)", labs[i], done, len(labs))
		return nil
	})
	if i := slices.IndexFunc(tickets, func(text string) bool { return text != "" }); i >= 0 {
		c.Screen.Say("\n%s\nEach learner reads this ticket with \"make ticket\". \"make receipts\" shows the results.", tickets[i])
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &engine.Problem{What: "not every lab has the fault", Remedy: "the lines above say why. To try again, run in that lab: make break NAME=" + f.Short()}
	}
	return nil
}

// hintOf returns the remedy of an error, as the end of a line.
func hintOf(err error) string {
	var problem *engine.Problem
	if !errors.As(err, &problem) || problem.Remedy == "" {
		return ""
	}
	return " (" + problem.Remedy + ")"
}

func (c *Class) faults(name string, out *screen.Screen) *fault.Commands {
	return &fault.Commands{Place: c.place(name), Lab: fault.Real{Launcher: c.of(name, out)}, Screen: out, Errors: screen.Plain(io.Discard)}
}
