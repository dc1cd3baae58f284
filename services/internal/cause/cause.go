// Package cause names the first cause of what is wrong with a lab. It judges what package report has gathered, and asks nobody. It stops
// at the first cause, because what comes after it in the list may be its consequence.
package cause

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// Cause is one thing that can be wrong with a lab. The table in README.md is generated from all of them.
type Cause struct {
	Code     string   // stable: LAB and a number; the first two digits are the group
	Sees     string   // what a learner sees; an exact text is in backquotes
	Means    string   // the finding
	Do       string   // the remedy
	Lesson   string   // a page, from the lab's folder
	Needs    []string // the questions without whose answers nobody can tell that this is not the cause
	Stays    bool     // it does not pass by waiting: a start that finds it need not wait
	Expected string   // instead of what was seen, where the commands of the lab report the cause themselves

	look func(*view) *evidence // nil: the commands of the lab report it
}

// evidence is what was found in one lab. Where finding is empty, or both do and run, the cause's own text holds.
type evidence struct {
	finding, seen, expected, do string
	run                         []string // of the SPIRE server's CLI: it ends the line of what to do
}

// Diagnosis is the first cause, as a person reads it.
type Diagnosis struct {
	Code     string `json:"code"`
	Finding  string `json:"finding"`
	Seen     string `json:"seen"`
	Expected string `json:"expected"`
	Do       string `json:"do"`
	Command  string `json:"command,omitempty"` // with which Do ends, if one command is the remedy
	Lesson   string `json:"lesson"`
	Stays    bool   `json:"-"` // it does not pass by waiting
}

// Verdict has a finding, or what got no answer, or the one line that all is well. With a finding, it has what got no answer in time
// too.
type Verdict struct {
	Finding    *Diagnosis `json:"finding,omitempty"`
	Unanswered []string   `json:"unanswered,omitempty"`
	Well       string     `json:"well,omitempty"`
	Again      bool       `json:"-"` // a program asks again within 5 s, and its answer is worth waiting for
}

// All are all causes, in the order in which one hides the next: the cheapest and most fundamental first.
var All = slices.Concat(machineCauses, containerCauses, serverCauses, agentCauses, entryCauses, svidCauses,
	trustCauses, programCauses, betweenCauses, openCauses)

// Judge finds the first cause. Where an answer that a cause needs came too late, neither that cause nor those after it are looked for,
// unless there will be no second look.
func Judge(f *facts.Facts, final bool) Verdict {
	l := &view{Facts: f}
	unanswered, again := l.unanswered()
	late := false
	for _, c := range All {
		late = late || slices.ContainsFunc(c.Needs, func(question string) bool { return l.Section(question).Late() })
		if late && !l.hangs() && !final {
			break
		}
		e := c.find(l)
		if e == nil {
			continue
		}
		d := &Diagnosis{Code: c.Code, Finding: e.finding, Seen: e.seen, Expected: e.expected, Lesson: c.Lesson, Stays: c.Stays}
		if d.Finding == "" {
			d.Finding = c.Means
		}
		d.Do, d.Command = e.remedy(c.Do)
		v := Verdict{Finding: d}
		if late && !slices.ContainsFunc(c.Needs, func(question string) bool { return l.Section(question).Late() }) {
			v.Unanswered = unanswered
		}
		return v
	}
	if len(unanswered) > 0 {
		return Verdict{Unanswered: unanswered, Again: again}
	}
	return Verdict{Well: fmt.Sprintf("all is well: the client is served by %s, and no other workload gets what is the client's (%d checks)", lab.ServerID, len(All))}
}

// find looks for the cause. What a command of the lab has reported counts for as long as the lab is not whole.
func (c *Cause) find(l *view) *evidence {
	if c.look != nil {
		if e := c.look(l); e != nil {
			return e
		}
	}
	if c.Expected == "" {
		return nil
	}
	problems := slices.Clone(l.Preflight)
	if l.Start != nil && !l.whole() {
		problems = append(problems, *l.Start)
	}
	for _, problem := range problems {
		if problem.Code == c.Code {
			e := &evidence{seen: problem.What, expected: c.Expected}
			if !hidden(problem.Remedy) {
				e.do = problem.Remedy
			}
			return e
		}
	}
	return nil
}

// remedy is what to do, and the command with which that ends, if there is one.
func (e *evidence) remedy(general string) (do, command string) {
	if e.run == nil && e.do == "" {
		return general, ""
	}
	if e.run == nil {
		return e.do, ""
	}
	end, ok := typed(e.run)
	if ok {
		command = end
	} else {
		end = general + ". The report does not show a field of the entry as it is: copy it from make entries"
	}
	if e.do == "" {
		return end, command
	}
	return e.do + ": " + end, command
}

// Table is a Markdown table of all causes.
func Table() string {
	var text strings.Builder
	text.WriteString("| code, lesson | you see | what it means | what to do |\n|---|---|---|---|\n")
	for _, c := range All {
		fmt.Fprintf(&text, "| [%s](%s) | %s | %s | %s |\n", c.Code, c.Lesson, c.Sees, c.Means, c.Do)
	}
	return text.String()
}

// The lab as compose.yaml and agent.conf have it.
const (
	aliasOf   = "spiffe://example.org/spire/server" // the parent of an entry that names an agent
	socket    = "unix:///tmp/spire-agent/public/api.sock"
	socketDir = "/tmp/spire-agent/public"
)

// workload is one of the two programs.
type workload struct{ service, user, id string }

var workloads = func() (all []workload) {
	for _, w := range lab.Workloads {
		all = append(all, workload{w.Service, w.User, w.ID})
	}
	return all
}()

// patient is how long must have been waited for no answer to mean anything on a busy machine.
const patient = 8 * time.Second

// view has the questions that several causes ask of the facts.
type view struct{ *facts.Facts }

// eachProgram looks at each of the two programs that has a container, until there is evidence.
func (l *view) eachProgram(look func(workload, *facts.Container) *evidence) *evidence {
	for _, w := range workloads {
		if c := l.Service(w.service); c != nil {
			if e := look(w, c); e != nil {
				return e
			}
		}
	}
	return nil
}

// eachObserved looks at what each of the two users sees, until there is evidence.
func (l *view) eachObserved(look func(workload, *observation.Observation) *evidence) *evidence {
	for _, w := range workloads {
		if t := l.Observations[w.user]; t != nil {
			if e := look(w, t); e != nil {
				return e
			}
		}
	}
	return nil
}

// eachService looks at the containers of the lab's services, in the order in which they start.
func (l *view) eachService(look func(name string, c *facts.Container) *evidence) *evidence {
	for _, name := range lab.Services {
		if c := l.Service(name); c != nil {
			if e := look(name, c); e != nil {
				return e
			}
		}
	}
	return nil
}

// needed are the questions without whose answers nothing can be called well.
func needed() []string {
	var all []string
	for _, c := range All {
		for _, question := range c.Needs {
			if !slices.Contains(all, question) {
				all = append(all, question)
			}
		}
	}
	return all
}

// unanswered is what is missing for a verdict. again tells whether a program asks again soon.
func (l *view) unanswered() (missing []string, again bool) {
	for _, question := range needed() {
		s := l.Section(question)
		if s.OK() {
			continue
		}
		why := strings.TrimPrefix(s.Status, facts.CannotTell)
		if s.Answered() {
			why = "exit status " + s.Status
		}
		if strings.HasPrefix(s.Status, "not asked: the engine did not") && len(missing) > 0 {
			continue // it is for the same reason as the one before
		}
		missing = append(missing, fmt.Sprintf("%s (%s)", question, why))
	}
	for _, w := range workloads {
		t := l.Observations[w.user]
		if t == nil {
			continue
		}
		// One that has failed asks again within 5 s.
		if text := l.unhealthy(w.user); text != "" {
			missing, again = append(missing, "the "+w.service+"'s next request ("+text+")"), true
		}
		if l.undelivered(w) {
			missing, again = append(missing, "the agent's next request for entries ("+w.user+" gets no identity yet)"), true
		}
		if late(t.Endpoint.Error) || t.Endpoint.Code == "DeadlineExceeded" {
			missing = append(missing, "the Workload API as "+w.user)
		}
		for _, r := range t.Requests {
			if late(r.Error) {
				missing = append(missing, "a request as "+w.user)
			}
		}
	}
	return missing, again
}

// late tells whether an error says no more than that time was over.
func late(text string) bool {
	return strings.Contains(text, "deadline exceeded") || strings.Contains(text, "i/o timeout") || strings.Contains(text, "context canceled")
}

// waited tells whether what got no answer was waited for long enough.
func (l *view) waited() bool { return l.Host.Patience >= patient }

// hangs tells whether what did not answer in time is not merely slow.
func (l *view) hangs() bool { return l.waited() || l.Host.Calm }

// silent is a section that got no answer, though it was waited for.
func (l *view) silent(section string) bool { return l.hangs() && l.Section(section).Late() }

// whole tells whether every service that lasts has a container that runs.
func (l *view) whole() bool {
	return !slices.ContainsFunc(lab.Services, func(name string) bool {
		c := l.Service(name)
		return lab.Lasts(name) && (c == nil || c.Status != "running")
	})
}

// ended tells how a container that does not run came to its end, and whether somebody ended it: nothing
// but a signal or a user stops what ends with 0, 130, 137 or 143.
func ended(c *facts.Container) (how string, byHand bool) {
	switch {
	case c == nil:
		return "there is no such container", true
	case c.Status == "created":
		return "its container was made and never started", true
	case c.Status == "restarting":
		return fmt.Sprintf("it keeps exiting with status %d (Docker restarts it each time)", c.ExitStatus), false
	default:
		return fmt.Sprintf("it has %s with exit status %d", c.Status, c.ExitStatus), slices.Contains([]int{0, 130, 137, 143}, c.ExitStatus)
	}
}

func runs(c *facts.Container) bool {
	return c != nil && (c.Status == "running" || c.Status == "paused")
}

// settle is how long a container may take from its start until it can be expected to answer.
const settle = 5 * time.Second

// lastError is the last line of a log that tells of an error; empty if none does.
func (l *view) lastError(service string) string {
	for _, line := range slices.Backward(l.Log(service)) {
		for _, mark := range []string{"level=error", "level=fatal", "Failed to retrieve attestation result", "Agent crashed", "Server crashed", "client: ", "server: ", "Error ", "bootstrap: "} {
			if strings.Contains(line.Text, mark) && !strings.Contains(line.Text, "No identity issued") && line.Text != "bootstrap: done" {
				return sifted(line.Text)
			}
		}
	}
	return ""
}

// sifted takes from a line of SPIRE's log what is not told: when, where and how long.
func sifted(line string) string {
	fields := facts.Fields(line)
	message, ok := fields["msg"]
	if !ok {
		return line
	}
	if err, ok := fields["error"]; ok {
		message += ": " + err
	}
	return message
}

// recently is the last line of a log that has the words and is at most a minute old. What the server says of
// requests from its own container is about its observer.
func (l *view) recently(service, words string) string {
	for _, line := range slices.Backward(l.Log(service)) {
		if !l.Clock.IsZero() && l.Clock.Sub(line.Time) > time.Minute {
			return ""
		}
		if strings.Contains(line.Text, words) && !strings.Contains(line.Text, "from 127.0.0.1:") {
			return line.Text
		}
	}
	return ""
}

// request is the client's own request, as its observer sent it; nil if it could send none.
func (l *view) request() *observation.Request {
	if t := l.Observations["client-workload"]; t != nil && t.Program == "client" {
		for i := range t.Requests {
			if t.Requests[i].WithSVID {
				return &t.Requests[i]
			}
		}
	}
	return nil
}

// unhealthy is what a running program says of itself if it is not well; the client's latest request was
// not served, or the server holds no good SVID.
func (l *view) unhealthy(user string) string {
	t := l.Observations[user]
	if t == nil || t.Health == nil || t.Health.Status == 200 {
		return ""
	}
	return t.Health.Error + t.Health.Body
}
