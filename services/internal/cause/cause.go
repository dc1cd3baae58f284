// Package cause finds the first cause of a problem in a lab. It judges only a report of package report, and runs no command. It stops
// at the first cause, because later findings may be consequences of it.
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

// Cause is one thing that can be wrong with a lab. The table in README.md of this folder is generated from all causes.
type Cause struct {
	Code     string   // stable: LAB and a number; the first two digits are the group
	Sees     string   // the symptom that a learner sees; an exact text is in backquotes
	Means    string   // the finding
	Do       string   // the remedy; composeFile in it stands for the Compose file that the learner must edit
	Lesson   string   // a page, from the lab's folder
	Needs    []string // the questions whose answers are needed to rule this cause out
	Stays    bool     // waiting does not help, so a start that finds this cause need not wait
	Expected string   // the expected state, if the commands of the lab report the cause themselves

	look func(*view) *evidence // nil: the commands of the lab report it
}

// evidence is the finding in one lab. If finding is empty, the finding of the cause is used. If do and run are both empty, the remedy of
// the cause is used.
type evidence struct {
	finding, seen, expected, do string
	run                         []string // a command of the SPIRE server's CLI, with which the remedy ends
}

// Diagnosis is the first cause, as a person reads it.
type Diagnosis struct {
	Code     string `json:"code"`
	Finding  string `json:"finding"`
	Seen     string `json:"seen"`
	Expected string `json:"expected"`
	Do       string `json:"do"`
	Command  string `json:"command,omitempty"` // the command with which Do ends, if there is one
	Lesson   string `json:"lesson"`
	Stays    bool   `json:"-"` // waiting does not help
}

// Verdict has a finding, or the questions without an answer, or one line which says that all is well. With a finding, it also has the
// questions that got no answer in time.
type Verdict struct {
	Finding    *Diagnosis `json:"finding,omitempty"`
	Unanswered []string   `json:"unanswered,omitempty"`
	Well       string     `json:"well,omitempty"`
	Override   string     `json:"override,omitempty"` // a note that Compose reads a file in addition to compose.yaml
	Again      bool       `json:"-"`                  // a program repeats its request within 5 s, so it is useful to wait
}

// All has all causes. If a cause can hide or produce a second cause, the first cause comes before the second cause.
var All = slices.Concat(machineCauses, containerCauses, serverCauses, agentCauses, entryCauses, svidCauses,
	trustCauses, programCauses, betweenCauses, openCauses)

// Judge finds the first cause. If the check of a cause needs an answer that came too late, Judge stops at this cause. But if final is true,
// there will be no second report, and Judge goes on.
func Judge(f *facts.Facts, final bool) Verdict {
	l := &view{Facts: f}
	override := ""
	if f.Host.Override != "" {
		override = lab.InForce(f.Host.Override)
	}
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
		d.Do = l.inForce(d.Do)
		v := Verdict{Finding: d, Override: override}
		if late && !slices.ContainsFunc(c.Needs, func(question string) bool { return l.Section(question).Late() }) {
			v.Unanswered = unanswered
		}
		return v
	}
	if len(unanswered) > 0 {
		return Verdict{Unanswered: unanswered, Again: again, Override: override}
	}
	return Verdict{Override: override, Well: fmt.Sprintf("all is well: the client is served by %s, and no other workload gets an SVID or an answer that it must not get (%d checks)", lab.ServerID, len(All))}
}

// find looks for the cause. The error of the last start counts only while at least one service does not run.
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

// remedy returns the text of the remedy, and the command at the end of this text, if there is one.
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
		end = general + ". The report does not show one field of the entry exactly, so copy that field from the output of \"make entries\""
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
		fmt.Fprintf(&text, "| [%s](../../../%s) | %s | %s | %s |\n", c.Code, c.Lesson, c.Sees, c.Means, (&view{&facts.Facts{}}).inForce(c.Do))
	}
	return text.String()
}

// These values are also in bootstrap.sh, compose.yaml and agent.conf.
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

// composeFile in a remedy stands for the Compose file in which the learner must correct a setting of a container.
const composeFile = "{compose.yaml}"

// In a remedy, composeDiff stands for the command that shows what the learner changed in the Compose file, if there is such a command.
const composeDiff = "{git diff compose.yaml}"

// inForce replaces composeFile by the name of the Compose file. If there is an override, inForce uses the name of the override, because the
// settings of the override take precedence.
func (l *view) inForce(do string) string {
	name, diff := "compose.yaml", ` ("git diff compose.yaml" shows what changed)`
	if l.Host.Override != "" {
		name, diff = l.Host.Override+", which takes precedence over compose.yaml", ""
	}
	return strings.NewReplacer(composeFile, name, composeDiff, diff).Replace(do)
}

// images are the images of compose.yaml, by service.
var images = map[string]string{lab.Node: "workload", lab.Server: "workload", lab.Client: "workload",
	lab.SPIREServer: lab.SPIREServer, lab.Bootstrap: lab.Bootstrap, lab.SPIREAgent: lab.SPIREAgent}

// built is the remedy for a fault in the image of a service. If an override names a different image, the remedy is about this override.
// Otherwise the remedy is the text do, which corrects the source. If do is empty, the remedy of the cause is used.
func (l *view) built(service, do string) string {
	c := l.Service(service)
	if l.Host.Override == "" || c == nil || c.Image == lab.ImagePrefix+images[service]+":"+l.Host.LabTag {
		return do
	}
	return fmt.Sprintf("correct the image of %s, which is %s, in %s. Then run: docker compose up --detach %s", service, c.Image, composeFile, service)
}

// stored is the remedy for wrong data on a volume. If the mounted volume differs from compose.yaml, the remedy is about this mount.
// Otherwise the remedy is the text do. If do is empty, the remedy of the cause is used.
func (l *view) stored(service, dir, name, do string) string {
	c := l.Service(service)
	if c == nil || volume(c.Mount(dir)) == l.Host.Project+"_"+name {
		return do
	}
	return fmt.Sprintf("mount the volume %s at %s of %s, in place of %s (key \"volumes\" in %s). Then run: docker compose up --detach %s",
		name, dir, service, volume(c.Mount(dir)), composeFile, service)
}

// newContainers is the command that recreates the containers of services.
func newContainers(services ...string) string {
	return strings.TrimSpace("docker compose up --detach --force-recreate " + strings.Join(services, " "))
}

// reconnect is the remedy that recreates the containers of services, so that they are connected to their networks again. If an override
// sets networks, the learner must first correct these networks.
func (l *view) reconnect(services ...string) string {
	if l.Host.Override == "" {
		return "recreate " + strings.Join(services, " and ") + ": " + newContainers(services...)
	}
	return "if " + l.Host.Override + " has the key \"networks\", correct that key. Then run: " + newContainers(services...)
}

// patient is how long a report must have waited on a busy machine before a missing answer counts as a failure.
const patient = 8 * time.Second

// view adds methods to the facts. The causes use these methods to look for evidence.
type view struct{ *facts.Facts }

// eachProgram calls the function look for each of the two programs, until there is evidence. It leaves out a program without a container.
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

// eachObserved calls the function look for the observation of each of the two users, until there is evidence.
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

// eachService calls the function look for the container of each service of the lab, until there is evidence. It uses the order in which
// services start.
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

// needed are the questions that must be answered before a lab can be called well.
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

// unanswered are the answers that are missing for a verdict. It also returns whether a program repeats its request soon.
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
			continue // the reason is the same as for the question before
		}
		missing = append(missing, fmt.Sprintf("%s (%s)", question, why))
	}
	for _, w := range workloads {
		t := l.Observations[w.user]
		if t == nil {
			continue
		}
		// A client whose request failed sends its next request within 5 s.
		if text := l.unhealthy(w.user); text != "" {
			missing, again = append(missing, "the "+w.service+"'s next request ("+text+")"), true
		}
		if l.undelivered(w) {
			missing, again = append(missing, "the agent's next request for entries ("+w.user+" gets no SVID yet)"), true
		}
		if late(t.Endpoint.Error) || t.Endpoint.Code == "DeadlineExceeded" {
			missing = append(missing, "a Workload API request as "+w.user)
		}
		for _, r := range t.Requests {
			if late(r.Error) {
				missing = append(missing, "a request as "+w.user)
			}
		}
	}
	return missing, again
}

// late tells whether an error is only a timeout.
func late(text string) bool {
	return strings.Contains(text, "deadline exceeded") || strings.Contains(text, "i/o timeout") || strings.Contains(text, "context canceled")
}

// waited tells whether the report waited long enough for answers.
func (l *view) waited() bool { return l.Host.Patience >= patient }

// hangs tells whether a missing answer means that a program hangs, not only that the machine is slow.
func (l *view) hangs() bool { return l.waited() || l.Host.Calm }

// silent tells whether a section got no answer, although the report waited long enough.
func (l *view) silent(section string) bool { return l.hangs() && l.Section(section).Late() }

// whole tells whether every service has a running container. It leaves out bootstrap, which runs once.
func (l *view) whole() bool {
	return !slices.ContainsFunc(lab.Services, func(name string) bool {
		c := l.Service(name)
		return lab.Lasts(name) && (c == nil || c.Status != "running")
	})
}

// ended tells how a container that is not running has ended, and whether a person stopped it. The programs of the lab exit
// with 0, 130, 137 or 143 only after a signal.
func ended(c *facts.Container) (how string, byHand bool) {
	switch {
	case c == nil:
		return "there is no such container", true
	case c.Status == "created":
		return "its container was created, but never started", true
	case c.Status == "restarting":
		return fmt.Sprintf("it keeps exiting with status %d (Docker restarts it each time)", c.ExitStatus), false
	default:
		return fmt.Sprintf("it has %s with exit status %d", c.Status, c.ExitStatus), slices.Contains([]int{0, 130, 137, 143}, c.ExitStatus)
	}
}

func runs(c *facts.Container) bool {
	return c != nil && (c.Status == "running" || c.Status == "paused")
}

// settle is the time after the start of a container during which a missing answer is no failure yet.
const settle = 5 * time.Second

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

// sifted returns the message and the error of a line of SPIRE's log, without its other fields.
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

// recently is the last line of a service's log that contains the given text. It is empty if that line is more than a minute old. Lines
// about requests from the server's own container are left out, because an observer sent these requests.
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

// request is the request that the observer sent in place of the client, or nil if it could send none.
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

// unhealthy is the health text of a running program that is unhealthy, or empty. If it is not empty, the client's latest request was not
// served, or the server has no valid SVID.
func (l *view) unhealthy(user string) string {
	t := l.Observations[user]
	if t == nil || t.Health == nil || t.Health.Status == 200 {
		return ""
	}
	return t.Health.Error + t.Health.Body
}
