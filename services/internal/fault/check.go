package fault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/grade"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
)

// CheckOptions are the options of [Commands.Check].
type CheckOptions struct {
	Who      string        // the name for the result record; empty means the name that was given before
	Cause    string        // the key of the answer to the question about the cause; if it is empty, Check asks
	Patience time.Duration // how long to wait until a fix takes effect
	KeepOpen bool          // a solved fault stays open, and Check does not write a result record
}

// Check tells whether the fault is fixed, and then asks for its cause. A fix needs time to take effect: an entry takes a second to reach the
// agent, and the client sends a request every 5 s.
func (c *Commands) Check(ctx context.Context, o CheckOptions) error {
	s, open, err := c.opened()
	if err != nil {
		return err
	}
	if o.Who != "" {
		if err := s.kept.Remember(o.Who); err != nil {
			return err
		}
	}
	right := true
	if o.Cause != "" {
		if right, err = c.answer(s, o.Cause); err != nil {
			return err
		}
		c.Screen.Say("")
	}
	unlock, err := s.lock(ctx, 30*time.Second)
	if err != nil {
		return err
	}
	defer unlock()
	seconds := int(c.time().Sub(open.Since).Seconds())
	asked, err := s.lab.Now(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	verdict, err := c.verdict(ctx, s, o.Patience)
	if err != nil {
		return err
	}
	until := asked.Add(time.Since(began))
	if len(verdict.Unknown) > 0 {
		c.Screen.Say("cannot tell: no answer from %s", strings.Join(verdict.Unknown, ", "))
		return &engine.Problem{What: "the grader cannot tell whether the fault is fixed", Remedy: "run \"make check\" again. \"make report\" shows what does not answer"}
	}
	if !verdict.Fixed() {
		err := c.notYet(ctx, s, verdict)
		c.Screen.Say("\n%s", strings.TrimRight(wrapped("", "", fmt.Sprintf("From %s to %s \"make check\" sent test requests as client-workload, server-workload, "+
			"guest-workload and root, with and without an SVID. One request expects a server with a wrong SPIFFE ID. You find the test requests in the logs of the containers server and spire-agent.",
			clock(asked), clock(until)), c.Screen.Width), "\n"))
		return err
	}
	// The fix is recorded first, so it counts even if somebody ends this program at the question.
	if err := s.kept.SetFixed(seconds); err != nil {
		return err
	}
	if !right {
		c.Screen.Say("%sfixed:%s the lab works again, but you have not named the cause yet", c.Screen.Green, c.Screen.Plain)
		return ErrNotYet
	}
	if c.Typed != nil && !c.named() {
		if err := c.ask(ctx, s); err != nil {
			return err
		}
	}
	return c.solved(ctx, s, open, o)
}

// notYet prints what is not fixed yet. For a known wrong fix it also shows why that fix is wrong.
func (c *Commands) notYet(ctx context.Context, s *session, verdict grade.Verdict) error {
	for i, wrong := range verdict.Wrong {
		if i == 0 {
			c.fold(c.Screen.Red, "not yet:", wrong)
		} else {
			c.fold("", "     and:", wrong)
		}
	}
	why, err := s.recognized(ctx, verdict)
	if err != nil {
		return err
	}
	for _, text := range why {
		c.fold(c.Screen.Bold, "     why:", text)
	}
	return ErrNotYet
}

// recognized returns, for each wrong fix that it recognizes, why that fix is wrong. If a fix deleted the SPIRE server's data, recognized
// explains only this fix, because the deletion also causes the other verdicts. Otherwise a fix whose condition holds has precedence over
// fixes without a condition.
func (s *session) recognized(ctx context.Context, verdict grade.Verdict) ([]string, error) {
	for _, lost := range []bool{true, false} {
		why, err := s.recognizedAmong(ctx, verdict, func(wrong Wrong) bool { return (wrong.Verdict == grade.LostData) == lost })
		if err != nil || len(why) > 0 {
			return why, err
		}
	}
	return nil, nil
}

func (s *session) recognizedAmong(ctx context.Context, verdict grade.Verdict, of func(Wrong) bool) ([]string, error) {
	var sure, likely []string
	for _, wrong := range s.Wrong {
		if !of(wrong) || !slices.ContainsFunc(verdict.Wrong, func(text string) bool { return strings.Contains(text, wrong.Verdict) }) {
			continue
		}
		if wrong.Condition == "" {
			likely = append(likely, wrong.Why)
			continue
		}
		held, err := s.holds(ctx, wrong.Condition)
		if err != nil {
			return nil, err
		}
		if held {
			sure = append(sure, wrong.Why)
		}
	}
	if len(sure) > 0 {
		return sure, nil
	}
	return likely, nil
}

// solved records a fault that is fixed, closes it, and prints its debrief.
func (c *Commands) solved(ctx context.Context, s *session, open progress.Open, o CheckOptions) error {
	debrief, err := s.text("debrief")
	if err != nil {
		return err
	}
	used := len(s.kept.Hints())
	seconds, _ := s.kept.Fixed()
	how, word := progress.Solved, "solved"
	if !c.named() {
		how, word = progress.Fixed, "fixed"
	}
	cause := c.cause()
	var left []string
	// The result is recorded before it is printed, because a reader such as head may end this program after the first line.
	if !o.KeepOpen {
		if err := record(s.kept, open, c.time()); err != nil {
			return err
		}
		if err := s.kept.Ended(s.Name, how, used); err != nil {
			return err
		}
		if err := s.closed(ctx, func(text string) { left = append(left, text) }); err != nil {
			return err
		}
	}
	next, err := c.nextText()
	if err != nil {
		return err
	}
	c.Screen.Say("%s%s:%s %s, %s, with %s (%d s)\n\n%s\n%s", c.Screen.Green, word, c.Screen.Plain, s.Short(), cause, hints(used), seconds, c.flowed(debrief), next)
	for _, text := range left {
		c.Screen.Say("%s", text)
	}
	return nil
}

func record(kept progress.Progress, open progress.Open, now time.Time) error {
	result := progress.Result{Fault: short(open.Name), Level: open.Level, Hints: len(kept.Hints())}
	if result.Seconds, result.Fixed = kept.Fixed(); !result.Fixed {
		result.Seconds = int(now.Sub(open.Since).Seconds())
	}
	result.Cause, result.Answers = kept.Cause()
	return kept.Record(result, now)
}

func (c *Commands) named() bool {
	cause, _ := c.progress().Cause()
	return cause == progress.Named
}

// cause describes whether the learner has named the cause, and at which try.
func (c *Commands) cause() string {
	cause, answers := c.progress().Cause()
	return causeText(cause, len(answers))
}

func causeText(cause progress.Cause, tries int) string {
	if cause == progress.Named {
		return "cause named at try " + strconv.Itoa(tries)
	}
	return "cause " + string(cause)
}

// answer judges an answer to the question about the cause. For a wrong answer it prints an observation that contradicts the answer. An
// answer that was given before does not count as a further try.
func (c *Commands) answer(s *session, key string) (right bool, err error) {
	at := slices.IndexFunc(s.Choices(), func(a Answer) bool { return a.Key == key })
	if at < 0 {
		var keys []string
		for _, a := range s.Choices() {
			keys = append(keys, a.Key)
		}
		return false, &engine.Problem{What: fmt.Sprintf("there is no answer %q", key), Remedy: "want one of " + strings.Join(keys, ", ")}
	}
	chosen := s.Choices()[at]
	right = key == s.Cause.Key
	if _, given := s.kept.Cause(); !slices.Contains(given, key) && !c.named() {
		if err := s.kept.AddAnswer(key, right); err != nil {
			return false, err
		}
	}
	if right {
		c.Screen.Say("%sthat is the cause:%s %s", c.Screen.Green, c.Screen.Plain, key)
		return true, nil
	}
	c.fold(c.Screen.Red, "not "+key+":", chosen.Against)
	c.Screen.Say("  %s", chosen.Command)
	return c.named(), nil
}

// ask asks for the cause until the learner names it, or does not want to answer.
func (c *Commands) ask(ctx context.Context, s *session) error {
	if err := s.kept.Asked(); err != nil {
		return err
	}
	choices := s.Choices()
	c.Screen.Say("%sfixed:%s %s\n\nWhat was the cause?", c.Screen.Green, c.Screen.Plain, s.Short())
	for i, choice := range choices {
		c.fold("", fmt.Sprintf("  %d ", i+1), choice.Text+" ("+choice.Key+")")
	}
	lines := typed(c.Typed)
	for {
		fmt.Fprint(c.Screen, "Type the number or key of your answer, or 0 to see the cause: ")
		var line string
		var more bool
		select {
		case <-ctx.Done():
			c.Screen.Say("")
			return ctx.Err()
		case line, more = <-lines:
		}
		switch line = strings.TrimSpace(line); {
		case !more, line == "0":
			c.Screen.Say("")
			return nil
		case line == "":
			continue
		}
		if n, err := strconv.Atoi(line); err == nil && n > 0 && n <= len(choices) {
			line = choices[n-1].Key
		}
		right, err := c.answer(s, line)
		var unknown *engine.Problem
		switch {
		case errors.As(err, &unknown):
			c.fold("", unknown.What+":", unknown.Remedy)
		case err != nil:
			return err
		case right:
			c.Screen.Say("")
			return nil
		}
	}
}

func typed(in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

// fold prints a text after a coloured head, in lines that fit on the screen.
func (c *Commands) fold(colour, head, text string) {
	plain := ""
	if colour != "" {
		plain = c.Screen.Plain
	}
	indent := strings.Repeat(" ", min(len([]rune(head))+1, 9))
	lines := strings.Split(strings.TrimRight(wrapped(head+" ", indent, text, c.Screen.Width), "\n"), "\n")
	c.Screen.Say("%s%s%s%s", colour, head, plain, strings.TrimPrefix(lines[0], head))
	for _, line := range lines[1:] {
		c.Screen.Say("%s", line)
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
		case <-time.After(2 * time.Second): // one check takes about 2 s of processor time
		}
	}
}
