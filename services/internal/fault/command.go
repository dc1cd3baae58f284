package fault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/grade"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// Commands are what a learner can do with faults in one lab.
type Commands struct {
	Place  scenario.Place
	Lab    Lab
	Screen *screen.Screen
	Errors *screen.Screen // for what is said while something takes time

	now func() time.Time // for tests; nil is the machine's clock
}

// DefaultPatience is how long what is not right yet may be on its way.
const DefaultPatience = 8 * time.Second

// ErrNotYet means that the fault is not fixed, which has been said.
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

// List prints the faults with the learner's progress. reset forgets it first.
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
			c.Screen.Say("nothing to forget: no fault has been solved here")
		} else {
			c.Screen.Say("forgotten: %d solved, %d shown (the result records stay in %s)", count(ends, progress.Solved), count(ends, progress.Shown), c.relative(kept.Results()))
		}
		ends = nil
	}
	open, isOpen := kept.Open()
	done := 0
	for _, f := range all {
		state := ""
		switch end := ends[f.Name]; end.How {
		case progress.Solved:
			state = "solved, " + hints(end.Hints)
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
	c.Screen.Say("%d of %d solved; number, name, level, what somebody complains of", done, len(all))
	if isOpen {
		c.Screen.Say("open: %s (make ticket shows what was said; make check, make hint, make give-up, make reset)", short(open.Name))
	} else {
		c.Screen.Say("make break puts the next one in, make break NAME=1 that one; the doctor helps in level 1")
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

// relative names a file as it is seen from the lab's folder.
func (c *Commands) relative(file string) string {
	if path, err := filepath.Rel(c.Place.Dir, file); err == nil {
		return filepath.ToSlash(path)
	}
	return file
}

// next returns the first fault that is neither solved nor shown, else the first that is not solved; nil if all are.
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

// opened returns the fault that is open.
func (c *Commands) opened() (*session, progress.Open, error) {
	kept := c.progress()
	open, ok := kept.Open()
	if !ok {
		return nil, open, &engine.Problem{What: "no fault is open in this lab", Remedy: "make break puts one in; make faults lists them"}
	}
	all, err := List(c.Place.Dir)
	if err != nil {
		return nil, open, err
	}
	at := slices.IndexFunc(all, func(f *Fault) bool { return f.Name == open.Name })
	if at < 0 {
		return nil, open, &engine.Problem{What: fmt.Sprintf("the open fault, %q, is not in scripts/faults any more", open.Name), Remedy: "make down, make up"}
	}
	s, err := newSession(c.Lab, c.Place, kept, all[at])
	return s, open, err
}

// Ticket shows what somebody complains of.
func (c *Commands) Ticket() error {
	s, _, err := c.opened()
	if err != nil {
		return err
	}
	return c.ticket(s.Fault)
}

func (c *Commands) ticket(f *Fault) error {
	text, err := f.text("ticket")
	if err != nil {
		return err
	}
	c.Screen.Say("%sFault %d, %s%s (level %d)\n\n%s", c.Screen.Bold, f.Number(), f.Short(), c.Screen.Plain, f.Level, text)
	if f.Level == 1 {
		c.Screen.Say("make doctor helps, make check tells whether it is mended, make hint helps a little.")
	} else {
		c.Screen.Say("make check tells whether it is mended, make hint helps a little. The doctor is off.")
	}
	return nil
}

// Break injects the fault of this name or number, or the next one if name is empty, and shows its ticket.
func (c *Commands) Break(ctx context.Context, name string) error {
	kept := c.progress()
	if open, ok := kept.Open(); ok {
		return &engine.Problem{What: "a fault is open already: " + short(open.Name), Remedy: "make check, make hint; make give-up or make reset ends it"}
	}
	all, err := List(c.Place.Dir)
	if err != nil {
		return err
	}
	var f *Fault
	if name != "" {
		f, err = Find(all, name)
	} else if f, err = c.next(all); err == nil && f == nil {
		return &engine.Problem{What: "every fault is solved", Remedy: "NAME=1 breaks the first again; make faults RESET=1 begins anew"}
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
	c.Errors.Say("breaking the lab ...")
	if err := s.broken(ctx, c.time()); err != nil {
		return err
	}
	return c.ticket(f)
}

// needLab wants the lab to run.
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
			return &engine.Problem{What: "the lab is not running: " + service + " is not", Remedy: "make up"}
		}
	}
	return nil
}

// Check tells whether the fault is fixed. What is not right yet may be on its way, for as long as the patience: an entry takes a second
// to arrive, and the client asks every 5 s. With keepOpen a solved fault stays open, and nothing is recorded.
func (c *Commands) Check(ctx context.Context, who string, patience time.Duration, keepOpen bool) error {
	s, open, err := c.opened()
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx, 30*time.Second)
	if err != nil {
		return err
	}
	defer unlock()
	seconds := int(c.time().Sub(open.Since).Seconds())
	verdict, err := c.verdict(ctx, s, patience)
	if err != nil {
		return err
	}
	if len(verdict.Unknown) > 0 {
		c.Screen.Say("cannot tell: no answer from %s", strings.Join(verdict.Unknown, ", "))
		return &engine.Problem{What: "the grader cannot tell", Remedy: "make check once more; make report shows what does not answer"}
	}
	for i, wrong := range verdict.Wrong {
		if i == 0 {
			c.Screen.Say("%snot yet:%s %s", c.Screen.Red, c.Screen.Plain, wrong)
		} else {
			c.Screen.Say("     and: %s", wrong)
		}
	}
	if !verdict.Fixed() {
		return ErrNotYet
	}
	debrief, err := s.text("debrief")
	if err != nil {
		return err
	}
	used := len(s.kept.Hints())
	// It is recorded before it is told: whoever reads the first line may end this program with the next.
	if !keepOpen {
		if err := s.kept.Record(progress.Result{Fault: s.Short(), Level: s.Level, Seconds: seconds, Hints: used}, who, c.time()); err != nil {
			return err
		}
		if err := s.kept.Ended(s.Name, progress.Solved, used); err != nil {
			return err
		}
		if err := s.closed(ctx); err != nil {
			return err
		}
	}
	next, err := c.nextText()
	if err != nil {
		return err
	}
	c.Screen.Say("%ssolved:%s %s, with %s (%d s)\n\n%s\n%s", c.Screen.Green, c.Screen.Plain, s.Short(), hints(used), seconds, debrief, next)
	return nil
}

// nextText says which fault comes next.
func (c *Commands) nextText() (string, error) {
	all, err := List(c.Place.Dir)
	if err != nil {
		return "", err
	}
	switch f, err := c.next(all); {
	case err != nil:
		return "", err
	case f == nil:
		return "That was the last one.", nil
	default:
		return "next: make break (" + f.Short() + ")", nil
	}
}

func (c *Commands) verdict(ctx context.Context, s *session, patience time.Duration) (grade.Verdict, error) {
	for began := time.Now(); ; {
		verdict, err := s.graded(ctx)
		if err != nil || verdict.Fixed() || time.Since(began) >= patience {
			return verdict, err
		}
		select {
		case <-ctx.Done():
			return verdict, ctx.Err()
		case <-time.After(2 * time.Second): // to look costs a processor as long
		}
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
		for _, line := range screen.Fold(fmt.Sprintf("hint %d: %s", shown, hint.Text), 96) {
			c.Screen.Say("%s", strings.TrimRight(line, " "))
		}
		return nil
	}
	c.Screen.Say("there are no more hints: make give-up shows what it is, and mends it")
	return nil
}

// Reset fixes the fault.
func (c *Commands) Reset(ctx context.Context) error { return c.end(ctx, false) }

// GiveUp shows what the fault was, and fixes it.
func (c *Commands) GiveUp(ctx context.Context) error { return c.end(ctx, true) }

func (c *Commands) end(ctx context.Context, show bool) error {
	s, _, err := c.opened()
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx, 30*time.Second)
	if err != nil {
		return err
	}
	defer unlock()
	if show {
		text, err := s.text("debrief")
		if err != nil {
			return err
		}
		if err := s.kept.Ended(s.Name, progress.Shown, len(s.kept.Hints())); err != nil {
			return err
		}
		c.Screen.Say("%s", text)
	}
	if err := s.restore(ctx, func(text string) { c.Screen.Say("%s", text) }); err != nil {
		return err
	}
	if err := s.closed(ctx); err != nil {
		return err
	}
	c.Screen.Say("the lab is as it was before")
	return nil
}

// Forget closes the fault that is open in a lab that has been removed, and says what to do. removeImage removes an image that the fault
// has made.
func Forget(kept progress.Progress, out *screen.Screen, removeImage func(image string)) error {
	open, ok := kept.Open()
	if !ok {
		return nil
	}
	for _, image := range images(kept) {
		removeImage(image)
	}
	if err := kept.Close(); err != nil {
		return err
	}
	out.Say("the fault %s was open in this lab: it is gone with the lab, and does not count as solved", short(open.Name))
	out.Say("make up, then make break NAME=%s, injects it again", short(open.Name))
	return nil
}
