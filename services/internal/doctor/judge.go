package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// check is one cause: what one sees of it, and how it is recognized.
type check struct {
	code   string // stable: LAB and the group's number
	sees   string // what a learner sees; words of a program stand in backquotes, and are looked for in what make up said
	means  string // the finding
	do     string
	lesson string
	look   func(*lab) *evidence
}

// evidence is what was found in one lab. Where finding is empty, or both do and run, the check's own text holds.
type evidence struct {
	finding, seen, expected, do string
	run                         []string // of the SPIRE server's CLI: it ends the line of what to do
}

// diagnosis is the first cause, as it is told.
type diagnosis struct {
	Code     string `json:"code"`
	Finding  string `json:"finding"`
	Seen     string `json:"seen"`
	Expected string `json:"expected"`
	Do       string `json:"do"`
	Command  string `json:"command,omitempty"` // with which Do ends, if one command is the remedy
	Lesson   string `json:"lesson"`
}

// verdict has a finding, or what got no answer, or the one line that all is well. With a finding, what got no
// answer in time is told beside it.
type verdict struct {
	Finding    *diagnosis `json:"finding,omitempty"`
	Unanswered []string   `json:"unanswered,omitempty"`
	Well       string     `json:"well,omitempty"`
}

// checks are all of them, in the order in which one cause hides the next: the cheapest and most
// fundamental first.
var checks = slices.Concat(machineChecks, containerChecks, serverChecks, agentChecks, entryChecks, svidChecks,
	trustChecks, programChecks, betweenChecks, openChecks)

// judge finds the first cause. A check presumes that the facts of those before it are known: where an answer
// that is needed came too late, nothing but the machine, the containers and whether the SPIRE server runs is
// judged, unless it is final.
func judge(f *facts.Facts, final bool) verdict {
	l := &lab{Facts: f}
	unanswered := l.unanswered()
	known, early := checks, slices.IndexFunc(checks, func(c check) bool { return c.code == "LAB043" })
	if l.tooLate() && !l.hangs() && !final {
		known = checks[:early]
	}
	for i, c := range known {
		e := c.look(l)
		if e == nil {
			continue
		}
		d := &diagnosis{Code: c.code, Finding: e.finding, Seen: e.seen, Expected: e.expected, Lesson: c.lesson}
		if d.Finding == "" {
			d.Finding = c.means
		}
		d.Do, d.Command = e.remedy(c.do)
		v := verdict{Finding: d}
		if l.tooLate() && i > early {
			v.Unanswered = unanswered
		}
		return v
	}
	if len(unanswered) > 0 {
		return verdict{Unanswered: unanswered}
	}
	line := fmt.Sprintf("all is well: the client is served by %s, and nobody else gets what is the client's (%d checks)", serverID, len(checks))
	return verdict{Well: line}
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

func printTable(out io.Writer) error {
	var text strings.Builder
	text.WriteString("| code, lesson | you see | what it means | what to do |\n|---|---|---|---|\n")
	for _, c := range checks {
		fmt.Fprintf(&text, "| [%s](%s) | %s | %s | %s |\n", c.code, c.lesson, c.sees, c.means, c.do)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// The lab as it should be: spire/bootstrap.sh makes the entries, compose.yaml says who runs as whom.
const (
	hostID    = "spiffe://example.org/host"
	agentID   = "spiffe://example.org/spire/agent/x509pop/host"
	aliasOf   = "spiffe://example.org/spire/server" // the parent of an entry that names an agent
	serverID  = "spiffe://example.org/server"
	clientID  = "spiffe://example.org/client"
	domain    = "example.org"
	socket    = "unix:///tmp/spire-agent/public/api.sock"
	socketDir = "/tmp/spire-agent/public"
	clientURL = "https://server:8443/"
	guest     = "guest-workload"
)

// workload is one of the two programs.
type workload struct{ service, user, id string }

var workloads = []workload{{"server", "server-workload", serverID}, {"client", "client-workload", clientID}}

// patient is how long must have been waited for no answer to mean anything on a busy machine.
const patient = 8 * time.Second

// lab has the questions that several checks ask of the facts.
type lab struct{ *facts.Facts }

// needed are the sections without which nothing can be called well.
var needed = []string{"engine", "containers", "entries", "agents", "bundle", "observer-server-workload", "observer-client-workload", "observer-guest-workload",
	"file-server.conf", "file-agent.conf", "file-passwd", "file-bundle.pem", "credential"}

// tooLate tells whether an answer that is needed did not come in time.
func (l *lab) tooLate() bool {
	return slices.ContainsFunc(needed, func(name string) bool { return l.Section(name).Late() })
}

// unanswered says what is missing for a verdict.
func (l *lab) unanswered() []string {
	var missing []string
	for _, name := range needed {
		if s := l.Section(name); !s.OK() {
			missing = append(missing, fmt.Sprintf("%s (%s)", name, s.Status))
		}
	}
	for _, w := range workloads {
		t := l.Observations[w.user]
		if t == nil {
			continue
		}
		// One that has failed asks again within 5 s.
		if text := l.unhealthy(w.user); text != "" {
			missing = append(missing, "the "+w.service+"'s next request ("+text+")")
		}
		if l.undelivered(w) {
			missing = append(missing, "the agent's next request for entries ("+w.user+" gets no identity yet)")
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
	return missing
}

// late tells whether an error says no more than that time was over.
func late(text string) bool {
	return strings.Contains(text, "deadline exceeded") || strings.Contains(text, "i/o timeout") || strings.Contains(text, "context canceled")
}

// waited tells whether what got no answer was waited for long enough.
func (l *lab) waited() bool { return l.Host.Patience >= patient }

// hangs tells whether what did not answer in time is not merely slow.
func (l *lab) hangs() bool { return l.waited() || l.Host.Calm }

// silent is a section that got no answer, though it was waited for.
func (l *lab) silent(section string) bool { return l.hangs() && l.Section(section).Late() }

// whole tells whether every service that lasts has a container that runs.
func (l *lab) whole() bool {
	for _, name := range []string{"node", "spire-server", "spire-agent", "server", "client"} {
		if c := l.Service(name); c == nil || c.Status != "running" {
			return false
		}
	}
	return true
}

// said is the first line that has one of the words: of what is known before a start, and of the last start
// if that failed and has left a lab that is not whole.
func (l *lab) said(words ...string) string {
	var lines []string
	for _, problem := range l.Preflight {
		lines = append(lines, problem.What)
	}
	if l.Start != nil && !l.whole() {
		lines = append(append(lines, l.Start.Output...), l.Start.What)
	}
	for _, line := range lines {
		for _, word := range words {
			if strings.Contains(line, word) {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

// saying is a check's look at what the lab's commands said.
func saying(expected string, words ...string) func(*lab) *evidence {
	return func(l *lab) *evidence {
		if line := l.said(words...); line != "" {
			return &evidence{seen: line, expected: expected}
		}
		return nil
	}
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
func (l *lab) lastError(service string) string {
	for _, line := range slices.Backward(l.Log(service)) {
		for _, mark := range []string{"level=error", "level=fatal", "Agent crashed", "Server crashed", "client: ", "server: ", "Error ", "bootstrap: "} {
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
func (l *lab) recently(service, words string) string {
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
func (l *lab) request() *observation.Request {
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
func (l *lab) unhealthy(user string) string {
	t := l.Observations[user]
	if t == nil || t.Health == nil || t.Health.Status == 200 {
		return ""
	}
	return t.Health.Error + t.Health.Body
}
