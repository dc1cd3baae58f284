package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// Commands are the commands of a learner for the faults in one lab.
type Commands struct {
	Place  scenario.Place
	Lab    Lab
	Screen *screen.Screen
	Errors *screen.Screen // for messages while a command takes time
	Typed  io.Reader      // the learner's input, or nil without a terminal

	now func() time.Time // for tests; nil is the machine's clock
}

// DefaultPatience is how long Check waits until a fix takes effect.
const DefaultPatience = 8 * time.Second

// ErrNotYet means that the fault is not fixed, or that the learner's answer is wrong. The command has already printed the reason.
var ErrNotYet = errors.New("the fault is not fixed yet")

func (c *Commands) progress() progress.Progress { return progress.Of(c.Place.Dir, c.Place.Project) }

func (c *Commands) time() time.Time {
	if c.now != nil {
		return c.now()
	}
	return time.Now()
}

func hints(n int) string {
	if n == 1 {
		return "1 hint"
	}
	return strconv.Itoa(n) + " hints"
}

// List prints the faults with the learner's progress. If reset is true, List first deletes the progress.
func (c *Commands) List(reset bool) error {
	all, err := List(c.Place.Dir)
	if err != nil {
		return err
	}
	kept := c.progress()
	ends, err := kept.Ends()
	if err != nil {
		return err
	}
	if reset {
		if err := kept.ForgetEnds(); err != nil {
			return err
		}
		if len(ends) == 0 {
			c.Screen.Say("there is no progress to forget, because no fault has been solved here")
		} else {
			c.Screen.Say("forgotten: %d solved, %d shown (the result records stay in %s)", count(ends, progress.Solved)+count(ends, progress.Fixed), count(ends, progress.Shown), c.relative(kept.Results()))
		}
		ends = nil
	}
	open, isOpen := kept.Open()
	done := 0
	for _, f := range all {
		state := ""
		switch end := ends[f.Name]; end.How {
		case progress.Solved, progress.Fixed:
			state = end.How + ", " + hints(end.Hints)
			done++
		case progress.Shown:
			state = progress.Shown
		}
		if isOpen && f.Name == open.Name {
			state = c.Screen.Bold + "open" + c.Screen.Plain + ", " + hints(len(kept.Hints()))
		}
		if state != "" {
			state = "  [" + state + "]"
		}
		c.Screen.Say("%3d  %-19s %d  %s%s", f.Number(), f.Short(), f.Level, f.Symptom, state)
	}
	c.Screen.Say("")
	c.Screen.Say("%d of %d fixed; the columns are number, name, level and complaint", done, len(all))
	if isOpen {
		c.Screen.Say("open: %s (commands: make ticket, make check, make hint, make give-up, make reset)", short(open.Name))
	} else {
		c.Screen.Say("\"make break\" injects the next fault, and \"make break NAME=1\" injects fault 1. \"make doctor\" helps in level 1")
	}
	return nil
}

func count(ends map[string]progress.End, how string) int {
	n := 0
	for _, end := range ends {
		if end.How == how {
			n++
		}
	}
	return n
}

func short(name string) string { return (&Fault{Name: name}).Short() }

func (c *Commands) relative(file string) string {
	if path, err := filepath.Rel(c.Place.Dir, file); err == nil {
		return filepath.ToSlash(path)
	}
	return file
}

// next returns the first fault that the learner has neither fixed nor given up, or else the first fault that the learner has given up. It
// returns nil if all faults are fixed.
func (c *Commands) next(all []*Fault) (*Fault, error) {
	ends, err := c.progress().Ends()
	if err != nil {
		return nil, err
	}
	var second *Fault
	for _, f := range all {
		switch ends[f.Name].How {
		case "":
			return f, nil
		case progress.Shown:
			if second == nil {
				second = f
			}
		}
	}
	return second, nil
}

func (c *Commands) opened() (*session, progress.Open, error) {
	kept := c.progress()
	open, ok := kept.Open()
	if !ok {
		return nil, open, &engine.Problem{What: "no fault is open in this lab", Remedy: "\"make break\" injects a fault, and \"make faults\" lists all faults"}
	}
	all, err := List(c.Place.Dir)
	if err != nil {
		return nil, open, err
	}
	at := slices.IndexFunc(all, func(f *Fault) bool { return f.Name == open.Name })
	if at < 0 {
		return nil, open, &engine.Problem{What: fmt.Sprintf("the open fault, %q, is no longer in scripts/faults", open.Name), Remedy: "run \"make down\", then \"make up\""}
	}
	s, err := newSession(c.Lab, c.Place, kept, all[at])
	return s, open, err
}

// Ticket shows the ticket of the open fault.
func (c *Commands) Ticket() error {
	s, _, err := c.opened()
	if err != nil {
		return err
	}
	return c.ticket(s)
}

func (c *Commands) ticket(s *session) error {
	f := s.Fault
	text, err := f.text("ticket")
	if err != nil {
		return err
	}
	c.Screen.Say("%sFault %d, %s%s (level %d)\n\n%s", c.Screen.Bold, f.Number(), f.Short(), c.Screen.Plain, f.Level, c.flowed(text))
	if f.Level == 1 {
		c.Screen.Say("\"make doctor\" helps. \"make check\" tells you whether the fault is fixed, and \"make hint\" gives a hint.")
	} else {
		c.Screen.Say("\"make check\" tells you whether the fault is fixed, and \"make hint\" gives a hint. \"make doctor\" is off.")
	}
	if until, err := os.ReadFile(s.kept.OpenFile(askedFile)); err == nil {
		c.Screen.Say("Log lines before %s may come from \"make break\", which also sends requests.", until)
	}
	return nil
}

// Break injects the fault with this name or number, and shows its ticket. If name is empty, Break injects the next fault.
func (c *Commands) Break(ctx context.Context, name string) error {
	kept := c.progress()
	if open, ok := kept.Open(); ok {
		return &engine.Problem{What: "a fault is open already: " + short(open.Name), Remedy: "go on with \"make check\" or \"make hint\"; \"make give-up\" or \"make reset\" ends the open fault"}
	}
	all, err := List(c.Place.Dir)
	if err != nil {
		return err
	}
	var f *Fault
	if name != "" {
		f, err = Find(all, name)
	} else if f, err = c.next(all); err == nil && f == nil {
		return &engine.Problem{What: "every fault is solved", Remedy: "\"make break NAME=1\" injects the first fault again. \"make faults RESET=1\" forgets your progress"}
	}
	if err != nil {
		return err
	}
	s, err := newSession(c.Lab, c.Place, kept, f)
	if err != nil {
		return err
	}
	if err := c.needLab(ctx, s); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, 0)
	if err != nil {
		return err
	}
	defer unlock()
	// Remove the rest of a fault whose injection was interrupted.
	if err := s.tidyOverride(c.Screen.Tell); err != nil {
		return err
	}
	if err := s.mayOverride(); err != nil {
		return err
	}
	c.Errors.Say("breaking the lab ...")
	if err := s.broken(ctx, c.time()); err != nil {
		return err
	}
	return c.ticket(s)
}

func (c *Commands) needLab(ctx context.Context, s *session) error {
	for _, service := range lab.Services {
		if !lab.Lasts(service) {
			continue
		}
		running, err := s.runs(ctx, service)
		if err != nil {
			return err
		}
		if !running {
			return &engine.Problem{What: "the lab is not running: " + service + " is not running", Remedy: "make up"}
		}
	}
	return nil
}

func (c *Commands) nextText() (string, error) {
	all, err := List(c.Place.Dir)
	if err != nil {
		return "", err
	}
	switch f, err := c.next(all); {
	case err != nil:
		return "", err
	case f == nil:
		return "That was the last fault.", nil
	default:
		return "next: make break (" + f.Short() + ")", nil
	}
}

// Hint gives the next hint that still helps.
func (c *Commands) Hint(ctx context.Context) error {
	s, _, err := c.opened()
	if err != nil {
		return err
	}
	given := s.kept.Hints()
	for i, hint := range s.Hints {
		number := strconv.Itoa(i + 1)
		if slices.Contains(given, number) {
			continue
		}
		held, err := s.holds(ctx, hint.Condition)
		if err != nil {
			return err
		}
		if !held {
			continue
		}
		if err := s.kept.AddHint(number); err != nil {
			return err
		}
		shown := 1
		for _, one := range given {
			if _, err := strconv.Atoi(one); err == nil {
				shown++
			}
		}
		c.fold(c.Screen.Bold, fmt.Sprintf("hint %d:", shown), hint.Text)
		return nil
	}
	c.Screen.Say("there are no more hints. \"make give-up\" shows the cause, and fixes the lab")
	return nil
}

// Reset fixes the fault.
func (c *Commands) Reset(ctx context.Context) error { return c.end(ctx, false) }

// GiveUp shows the debrief of the fault, and fixes it.
func (c *Commands) GiveUp(ctx context.Context) error { return c.end(ctx, true) }

func (c *Commands) end(ctx context.Context, show bool) error {
	s, open, err := c.opened()
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx, 30*time.Second)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.ended(s, open, show); err != nil {
		return err
	}
	if show {
		text, err := s.text("debrief")
		if err != nil {
			return err
		}
		c.Screen.Say("%s", c.flowed(text))
	}
	tell := c.Screen.Tell
	if err := s.restore(ctx, tell); err != nil {
		return err
	}
	if err := s.closed(ctx, tell); err != nil {
		return err
	}
	c.Screen.Say("the lab is as before the fault")
	return nil
}

// ended records the end of the open fault. A fixed fault counts as fixed, even if the learner has not answered the question about the
// cause. A fault that is not fixed is recorded only if show is true.
func (c *Commands) ended(s *session, open progress.Open, show bool) error {
	how := progress.Shown
	if _, fixed := s.kept.Fixed(); fixed {
		how = progress.Fixed
	} else if !show {
		return nil
	}
	if err := record(s.kept, open, c.time()); err != nil {
		return err
	}
	return s.kept.Ended(s.Name, how, len(s.kept.Hints()))
}

// Forget closes the open fault of a lab that has been removed, and prints what to do. It calls removeImage for each image that the fault
// has built, and tell with a sentence if the learner's override is kept.
func (c *Commands) Forget(removeImage func(image string), tell func(text string)) error {
	kept := c.progress()
	open, ok := kept.Open()
	if !ok {
		return nil
	}
	s := &session{Fault: &Fault{Name: open.Name}, Place: c.Place, kept: kept}
	if err := s.tidyOverride(tell); err != nil {
		return err
	}
	if err := c.ended(s, open, false); err != nil {
		return err
	}
	for _, image := range s.images() {
		removeImage(image)
	}
	_, fixed := kept.Fixed()
	if err := kept.Close(); err != nil {
		return err
	}
	if fixed {
		c.Screen.Say("the fault %s was open in this lab, and is removed with it. It is fixed, but its cause was not named", short(open.Name))
		return nil
	}
	c.Screen.Say("the fault %s was open in this lab, and is removed with it. It does not count as solved", short(open.Name))
	c.Screen.Say("to inject it again, run \"make up\", then \"make break NAME=%s\"", short(open.Name))
	return nil
}
