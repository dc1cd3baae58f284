package console

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// Line is one line that a container has logged.
type Line struct {
	Service string    // as Compose names it, without the container's number
	At      time.Time // by the engine's clock; zero for a message of Compose
	Text    string
}

// composed is a line of `docker compose logs --timestamps --no-color`.
var composed = regexp.MustCompile(`^\r?(?:\x1b\[K)?([a-z0-9_-]+?)-\d+ +\| (\d{4}-\S+Z) (.*)$`)

// ended matches Compose's message about a container that has exited.
var ended = regexp.MustCompile(`^\r?(?:\x1b\[K)?([a-z0-9_-]+?)-\d+ +exited with code (\d+)(?: \(restarting\))?$`)

// strange matches a line about a container that is not named after a service, such as a container of `docker compose run`. The line is
// ignored.
var strange = regexp.MustCompile(`^\r?(?:\x1b\[K)?\S+ +(?:exited with code \d+|\| \d{4}-\S+Z )`)

// ParseLine parses a line of `docker compose logs`; ok is false for any other line. At most 2,000 characters of the text are kept. Control
// characters become spaces.
func ParseLine(text string) (line Line, ok bool) {
	if m := ended.FindStringSubmatch(text); m != nil {
		return Line{Service: m[1], Text: "exited with status " + m[2]}, true
	}
	m := composed.FindStringSubmatch(text)
	if m == nil {
		return Line{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, m[2])
	if err != nil {
		return Line{}, false
	}
	return Line{Service: m[1], At: at, Text: harmless(m[3])}, true
}

func harmless(text string) string {
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) { // Cf: characters that change the direction of the text
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > 2000 {
		return string(runes[:2000]) + " (cut)"
	}
	return text
}

// Verdicts on a connection, and on a request to SPIRE.
const (
	Served     = "served"
	Refused    = "refused"
	NotReached = "not reached" // no side refused: no side answered, or the connection broke
	Happened   = "happened"    // a change, not a connection
)

// Party is one side of a connection.
type Party struct {
	ID    string `json:"id,omitempty"`    // SPIFFE ID, if it is known
	User  string `json:"user,omitempty"`  // of the host
	Where string `json:"where,omitempty"` // the container's service, or its address if it is unknown
	Name  string `json:"name,omitempty"`  // its name in the diagram
}

// Said is the message of one side about a connection.
type Said struct {
	Who  string `json:"who"`
	Text string `json:"text"`
}

// Row is one line of the page. When more is known about its connection, the Reader returns the same Row again.
type Row struct {
	Number    int       `json:"number"`
	At        time.Time `json:"at"` // the latest time, by the engine's clock
	Verdict   string    `json:"verdict"`
	RefusedBy string    `json:"refusedBy,omitempty"` // "the server", "the client", "the SPIRE agent", "the SPIRE server"
	From      Party     `json:"from"`
	To        Party     `json:"to"`
	Said      []Said    `json:"said,omitempty"`
	Count     int       `json:"count"`
	Lesson    string    `json:"lesson,omitempty"` // the scenario's name
	Why       *Why      `json:"why,omitempty"`
	Arrow     string    `json:"arrow,omitempty"`    // the arrow of the diagram that shows this row or a later row
	Sentence  string    `json:"sentence,omitempty"` // what happened

	kind string // for the verdict happened: the log message, or svid
}

func (r *Row) says(who, text string) {
	for _, said := range r.Said {
		if said.Who == who {
			return
		}
	}
	r.Said = append(r.Said, Said{who, text})
}

func (r *Row) heard(who string) bool {
	for _, said := range r.Said {
		if said.Who == who {
			return true
		}
	}
	return false
}

const (
	theServer      = "the server"
	theClient      = "the client"
	theAgent       = "the SPIRE agent"
	theSPIREServer = "the SPIRE server"
)

// joinWithin is the maximum time between the two sides' lines about one connection.
const joinWithin = 3 * time.Second

// Reader makes rows from lines. It has no clock, and uses the times of the lines.
type Reader struct {
	facts  Facts
	next   int
	recent []*Row            // of the last seconds, whose other side may still log a line
	latest map[string]*Row   // the key is what equal rows have in common; equal rows are counted, not repeated
	svids  map[string]SVID   // by service, as the programs logged them
	ended  map[string]bool   // services that have exited, as Compose says, and logged nothing since
	signs  map[string]string // the CA with which each SPIRE server signs, as it has logged

	asked time.Time       // when the facts came
	spoke map[string]bool // services that have logged something since
}

// NewReader returns a Reader that has read nothing.
func NewReader() *Reader {
	return &Reader{latest: map[string]*Row{}, svids: map[string]SVID{}, ended: map[string]bool{}, signs: map[string]string{}, spoke: map[string]bool{}}
}

// Know gives the Reader the latest answers of the engine and SPIRE, and the time at which they came.
func (r *Reader) Know(known Facts, at time.Time) {
	for _, c := range known.Containers {
		if c.Status == "running" && r.facts.status(c.Service) != "running" {
			delete(r.ended, c.Service) // it was started again, and may log nothing
		}
	}
	if known.Unknown[runsNow] == "" {
		r.asked = at
		clear(r.spoke)
	}
	r.facts = known
}

// early is the time by which a new line may be older than the facts. The engine's clock may differ from the console's clock.
const early = 2 * time.Second

// known returns the facts, updated with later lines from Compose and the logs. A container that has exited does not run. A container that
// has logged a line runs.
func (r *Reader) known() Facts {
	f := r.facts
	f.Containers = slices.Clone(f.Containers)
	for i, c := range f.Containers {
		switch {
		case r.ended[c.Service] && c.Status == "running":
			f.Containers[i].Status = "exited"
		case !r.ended[c.Service] && r.spoke[c.Service]:
			f.Containers[i].Status = "running"
		}
	}
	return f
}

var (
	refusedTLS = regexp.MustCompile(`TLS handshake error from (\S+): (.*)$`)
	received   = regexp.MustCompile(`Request received from "([^"]+)": (\S+ "[^"]*")$`)
	connect    = regexp.MustCompile(`Error connecting to "([^"]+)": \w+ "[^"]*": (.*)$`)
	identity   = regexp.MustCompile(`identity (\S+), serial (\w+), expires (\S+)$`)
	rotated    = regexp.MustCompile(`X\.509-SVID of (\S+) rotated: serial \w+ -> (\w+), expires (\S+)$`)
	unexpect   = regexp.MustCompile(`unexpected ID "([^"]+)"`)
	ownTime    = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (http: )?`)
)

// Read returns the rows that the line makes or changes.
func (r *Reader) Read(line Line) []Row {
	switch {
	case line.At.IsZero(): // a message of Compose
		delete(r.svids, line.Service)
		r.ended[line.Service] = true
		return nil
	}
	delete(r.ended, line.Service)
	if line.At.After(r.asked.Add(-early)) { // not an old line that is read late
		r.spoke[line.Service] = true
	}
	switch {
	case strings.HasPrefix(line.Service, "spire-agent"):
		return r.agent(line)
	case strings.HasSuffix(line.Service, "-server") && strings.HasPrefix(line.Text, "time="):
		return r.spireServer(line)
	}
	return r.program(line)
}

func (r *Reader) program(line Line) []Row {
	text := ownTime.ReplaceAllString(line.Text, "")
	if m := refusedTLS.FindStringSubmatch(text); m != nil {
		return r.refusal(line.At, Row{To: r.party(line.Service), From: r.at(m[1])}, theServer, m[2], text)
	}
	if m := received.FindStringSubmatch(text); m != nil {
		return r.request(line, m[1], text)
	}
	if m := connect.FindStringSubmatch(text); m != nil {
		return r.refusal(line.At, Row{From: r.party(line.Service), To: Party{Where: host(m[1])}}, theClient, m[2], text)
	}
	if text == "Success!!!" {
		return r.success(line.At, line.Service)
	}
	for _, expression := range []*regexp.Regexp{identity, rotated} {
		if m := expression.FindStringSubmatch(text); m != nil {
			expires, err := time.Parse(time.RFC3339, m[3])
			if err != nil {
				return nil
			}
			r.svids[line.Service] = SVID{ID: m[1], Serial: m[2], Expires: expires, Since: line.At}
			return r.happened(line.At, line.Service, newSVID, text)
		}
	}
	for _, begin := range []string{"serving on", "shutting down", "closing the connection", "new connection", "waiting for an identity"} {
		if strings.HasPrefix(text, begin) {
			return r.happened(line.At, line.Service, begin, text)
		}
	}
	return nil
}

// host returns the host name in a URL.
func host(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	name, _, _ := strings.Cut(rest, "/")
	name, _, _ = strings.Cut(name, ":")
	return name
}

func (r *Reader) party(service string) Party {
	party := Party{Where: service, User: r.facts.user(service)}
	if svid, ok := r.svids[service]; ok {
		party.ID = svid.ID
	}
	return party
}

// The method at returns the party that has the address. The user of this party is not known, because several users share a container.
func (r *Reader) at(address string) Party {
	ip, _, err := net.SplitHostPort(address)
	if err != nil {
		return Party{Where: address}
	}
	if service := r.facts.service(ip); service != "" {
		return Party{Where: service}
	}
	return Party{Where: ip}
}

// refusal takes one side's message about a failed connection. If the message is an alert, the other side has refused.
func (r *Reader) refusal(at time.Time, row Row, who, reason, words string) []Row {
	row.At, row.Count = at, 1
	other := map[string]string{theServer: theClient, theClient: theServer}[who]
	switch {
	case strings.HasPrefix(reason, "remote error: tls: "):
		row.Verdict, row.RefusedBy = Refused, other
	case broken(reason):
		row.Verdict = NotReached
	default:
		row.Verdict, row.RefusedBy = Refused, who
		row.Lesson = lessonFor(who, reason)
		if m := unexpect.FindStringSubmatch(reason); m != nil {
			if who == theServer {
				row.From.ID = m[1]
			} else {
				row.To.ID = m[1]
			}
		}
	}
	row.says(who, words)
	if joined := r.join(row, who); joined != nil {
		return []Row{*joined}
	}
	return []Row{*r.add(&row)}
}

// broken reports whether the connection failed although no side refused.
func broken(reason string) bool {
	for _, words := range []string{"EOF", "connection reset", "connection refused", "i/o timeout", "dial tcp", "broken pipe", "context deadline", "Client.Timeout", "no such host", "context canceled", "use of closed"} {
		if strings.Contains(reason, words) {
			return true
		}
	}
	return false
}

// join adds the log line of one side to the row that the other side's log line has made.
func (r *Reader) join(row Row, who string) *Row {
	for _, known := range r.recent {
		if known.heard(who) || known.Verdict != row.Verdict || known.RefusedBy != row.RefusedBy || row.RefusedBy == "" {
			continue
		}
		if apart := row.At.Sub(known.At); apart > joinWithin || apart < -joinWithin {
			continue
		}
		if !same(known.From.Where, row.From.Where) || !same(known.To.Where, row.To.Where) {
			continue
		}
		known.says(who, row.Said[0].Text)
		fill(&known.From, row.From)
		fill(&known.To, row.To)
		if known.Lesson == "" {
			known.Lesson = row.Lesson
		}
		return known
	}
	return nil
}

func same(a, b string) bool { return a == "" || b == "" || a == b }

// fill completes the first party with values of the second party. The log line of one side may show a user: this user has run the program.
func fill(known *Party, also Party) {
	if known.ID == "" {
		known.ID = also.ID
	}
	if known.User == "" {
		known.User = also.User
	}
	if known.Where == "" {
		known.Where = also.Where
	}
}

// add adds a row. If the row only repeats a recent row, add increases the count of the recent row instead.
func (r *Reader) add(row *Row) *Row {
	key := fmt.Sprint(row.Verdict, row.RefusedBy, row.From, row.To.Where, row.Lesson, withoutNumbers(row.Said))
	if before := r.latest[key]; before != nil && row.At.Sub(before.At) < 10*time.Second && r.next-before.Number < 3 {
		before.Count++
		before.At = row.At
		before.Said = row.Said
		before.Why = row.Why
		return before
	}
	r.next++
	row.Number = r.next
	r.latest[key] = row
	r.remember(row)
	return row
}

func (r *Reader) remember(row *Row) {
	kept := r.recent[:0]
	for _, old := range r.recent[max(0, len(r.recent)-100):] {
		if row.At.Sub(old.At) < 2*joinWithin {
			kept = append(kept, old)
		}
	}
	r.recent = append(kept, row)
	if len(r.latest) > 1000 {
		r.latest = map[string]*Row{}
	}
}

var digits = regexp.MustCompile(`\d+`)

func withoutNumbers(said []Said) string {
	return digits.ReplaceAllString(fmt.Sprint(said), "0")
}

// request takes the server's line about a request that it has served.
func (r *Reader) request(line Line, id, words string) []Row {
	from := Party{ID: id}
	if strings.HasSuffix(words, `"/`+lab.Steady+`"`) {
		from.Where = lab.Steady
	}
	for _, row := range r.recent {
		if row.Verdict == Served && !row.heard(theServer) && near(row.At, line.At) && same(row.From.Where, from.Where) {
			row.says(theServer, words)
			row.From.ID = id
			row.To = r.party(line.Service)
			return []Row{*row}
		}
	}
	row := &Row{At: line.At, Verdict: Served, From: from, To: r.party(line.Service), Count: 1}
	row.says(theServer, words)
	return []Row{*r.add(row)}
}

// success takes a client's line about a request that was served.
func (r *Reader) success(at time.Time, service string) []Row {
	from := r.party(service)
	for _, row := range r.recent {
		if row.Verdict == Served && !row.heard(theClient) && near(row.At, at) && same(row.From.ID, from.ID) && same(row.From.Where, from.Where) &&
			(service != lab.Steady || row.From.Where == service) { // the server's line names the path that only this client asks for
			row.says(theClient, "Success!!!")
			fill(&row.From, from)
			return []Row{*row}
		}
	}
	row := &Row{At: at, Verdict: Served, From: from, Count: 1}
	row.says(theClient, "Success!!!")
	return []Row{*r.add(row)}
}

func near(a, b time.Time) bool { return a.Sub(b).Abs() < time.Second }

// newSVID is the kind of a row about a program's new SVID.
const newSVID = "svid"

func (r *Reader) happened(at time.Time, service, kind, text string) []Row {
	row := &Row{At: at, Verdict: Happened, From: r.party(service), Count: 1, kind: kind}
	row.says(service, text)
	return []Row{*r.add(row)}
}

func (r *Reader) agent(line Line) []Row {
	f := facts.Fields(line.Text)
	msg := f["msg"]
	agent := Party{Where: line.Service}
	spireServer := Party{Where: "spire-server"}
	switch {
	case msg == "No identity issued":
		why := r.facts.Why(strings.Split(f["selectors"], ","))
		words := msg + ": the process had exited before the agent could examine it"
		switch {
		case why.User != "":
			words = msg + " to a process of " + why.User
		case len(why.Selectors) > 0:
			words = msg + " to a process of a user whose name the agent does not know"
		}
		row := Row{At: line.At, Verdict: Refused, RefusedBy: theAgent, From: Party{User: why.User}, To: agent, Count: 1, Lesson: "unregistered", Why: why}
		row.says(theAgent, words)
		return []Row{*r.add(&row)}
	case msg == "Connection failed during accept":
		row := Row{At: line.At, Verdict: Refused, RefusedBy: theAgent, To: agent, Count: 1}
		if !strings.Contains(f["error"], "no such file") { // with "no such file" the process has exited
			row.Lesson = "other-pid-namespace"
		}
		row.says(theAgent, msg+": "+f["error"])
		return []Row{*r.add(&row)}
	case strings.Contains(f["error"], "authentication handshake failed"):
		_, reason, _ := strings.Cut(f["error"], "authentication handshake failed: ")
		return r.towardsSPIRE(Row{At: line.At, Verdict: Refused, RefusedBy: theAgent, From: agent, To: spireServer, Lesson: "server-wiped"},
			theAgent, msg+": "+strings.TrimSuffix(reason, `"`))
	case strings.Contains(f["error"], "code = Unavailable"):
		return r.towardsSPIRE(Row{At: line.At, Verdict: NotReached, From: agent, To: spireServer, Lesson: "server-outage"}, theAgent, msg+": "+f["error"])
	case strings.Contains(f["error"], "code = PermissionDenied"), strings.Contains(f["error"], "code = InvalidArgument"):
		return r.towardsSPIRE(Row{At: line.At, Verdict: Refused, RefusedBy: theSPIREServer, From: agent, To: spireServer, Lesson: lessonForAgent(f["error"])},
			theAgent, msg+": "+f["error"])
	}
	if words, ok := agentLife[msg]; ok {
		if id := f["spiffe_id"]; id != "" {
			words += " " + id
		}
		if entry := f["entry_id"]; entry != "" {
			words += " (entry " + entry + ")"
		}
		return r.happened(line.At, line.Service, msg, words)
	}
	return nil
}

// towardsSPIRE processes the message of one side about an agent's request to a SPIRE server. The agent logs several lines about a request,
// and retries the request. All these lines become one row.
func (r *Reader) towardsSPIRE(row Row, who, words string) []Row {
	row.Count = 1
	row.says(who, words)
	for _, known := range r.recent {
		if known.Verdict == row.Verdict && known.RefusedBy == row.RefusedBy && same(known.From.Where, row.From.Where) &&
			same(known.To.Where, row.To.Where) && known.heard(who) && row.At.Sub(known.At).Abs() < joinWithin {
			known.At = row.At
			known.Count++
			return []Row{*known}
		}
	}
	if joined := r.join(row, who); joined != nil {
		return []Row{*joined}
	}
	return []Row{*r.add(&row)}
}

// agentLife has the meaning of those messages of the agent that report a change.
var agentLife = map[string]string{
	"Creating X509-SVID":              "fetches an X.509-SVID for",
	"Renewing X509-SVID":              "renews the X.509-SVID of",
	"Node attestation was successful": "has attested as",
	"Successfully reattested node":    "has re-attested as",
	"Starting agent APIs":             "serves the Workload API",
	"Agent stopped gracefully":        "has stopped",
	"Agent crashed":                   "has exited with an error",
	"Tainted X.509 SVIDs":             "replaces the SVIDs that a tainted CA has signed",
}

func (r *Reader) spireServer(line Line) []Row {
	f := facts.Fields(line.Text)
	msg := f["msg"]
	refused := map[string]bool{"Agent is not attested": true, "Agent is banned": true, "Failed to attest: agent is banned": true}
	if refused[msg] || strings.HasPrefix(msg, "Invalid argument: ") && f["method"] == "AttestAgent" {
		from := r.at(f["caller_addr"])
		from.ID = f["agent_id"] + f["caller_id"]
		return r.towardsSPIRE(Row{At: line.At, Verdict: Refused, RefusedBy: theSPIREServer, From: from, To: Party{Where: line.Service}, Lesson: lessonForAgent(msg)},
			theSPIREServer, msg)
	}
	if id := f["local_authority_id"]; id != "" && msg == "X509 CA activated" {
		r.signs[line.Service] = id
	}
	if words, ok := serverLife[msg]; ok {
		if id := f["local_authority_id"]; id != "" {
			words += " " + short(id)
		}
		return r.happened(line.At, line.Service, msg, words)
	}
	return nil
}

func short(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}

// serverLife has the meaning of those messages of the SPIRE server that report a change.
var serverLife = map[string]string{
	"Starting Server APIs":                 "is ready",
	"Server stopped gracefully":            "has stopped",
	"X509 CA prepared":                     "has prepared a CA",
	"X509 CA activated":                    "signs with the CA",
	"X.509 authority tainted successfully": "has tainted the CA",
	"X.509 authority revoked successfully": "has revoked the CA",
	"Agent attestation request completed":  "has attested an agent",
	"Agent deleted":                        "has evicted an agent",
	"Trust domain is now managed":          "federates with another trust domain",
	"Trust domain no longer managed":       "no longer federates with another trust domain",
	"Bundle refreshed":                     "has fetched the bundle of another trust domain",
	"Initializing new database":            "starts with an empty database",
}

func lessonForAgent(words string) string {
	switch {
	case strings.Contains(words, "banned"):
		return "ban"
	case strings.Contains(words, "token"):
		return "join-token"
	case strings.Contains(words, "not attested"):
		return "evict"
	}
	return "" // the other side's message says more
}

// lessonFor is the scenario whose lesson explains a refusal with this message.
func lessonFor(who, reason string) string {
	for _, known := range []struct{ words, server, client string }{
		{"has expired or is not yet valid", "expired", "expired"},
		{"signed by unknown authority", "foreign-ca", "foreign-server-ca"},
		{"no X.509 bundle for trust domain", "foreign-trust-domain", "foreign-trust-domain"},
		{"unexpected ID", "bad-id", "bad-server-id"},
		{"didn't provide a certificate", "no-certificate", ""},
		{"unsupported versions", "old-tls", ""},
		{"HTTP request to an HTTPS server", "plain-http", ""},
		{"ertificate", "no-certificate", "foreign-server-ca"},
	} {
		if strings.Contains(reason, known.words) {
			if who == theServer {
				return known.server
			}
			return known.client
		}
	}
	return ""
}
