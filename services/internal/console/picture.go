package console

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// Picture is what the page's diagram shows: the parts of the lab, and the latest event between any two parts. Each box is
// in a cell. The page decides only where each cell is.
type Picture struct {
	Boxes    []Box   `json:"boxes"`
	Arrows   []Arrow `json:"arrows"`
	Headline string  `json:"headline,omitempty"` // the sentence of a refusal that is still shown, or of the latest event
	Refused  bool    `json:"refused,omitempty"`  // whether the headline is a refusal
	Arrow    string  `json:"arrow,omitempty"`    // the arrow of the headline
}

// The cells of the diagram. A cell is always at the same place.
const (
	cellClient      = "client"
	cellServer      = "server"
	cellProcess     = "process" // another process of the host
	cellExtra       = "extra"   // another server of the host
	cellAgent       = "agent"
	cellSPIREServer = "spire-server"
	cellOtherSPIRE  = "other-spire" // a second SPIRE server: a partner's, or an impostor
	cellOtherHost   = "other-host"
)

// cells is the order of the cells in the diagram's text alternative.
var cells = []string{cellClient, cellServer, cellProcess, cellExtra, cellAgent, cellSPIREServer, cellOtherSPIRE, cellOtherHost}

// impostor is the service that answers under the server's DNS name.
const impostor = "impostor"

// cellOf has the cells of services. If a service is not in this map, its cell depends on what the service does.
var cellOf = map[string]string{
	lab.Client: cellClient, lab.Server: cellServer, lab.SPIREAgent: cellAgent, lab.SPIREServer: cellSPIREServer,
	impostor: cellExtra, "prefix-server": cellExtra, "path-server": cellExtra, "server-for-proxy": cellExtra, "server-for-partner": cellExtra,
	lab.Tools: cellProcess, lab.Steady: cellProcess, "tls-proxy": cellProcess, "relay": cellProcess, "client-elsewhere": cellProcess, "no-users": cellProcess,
	"partner-server": cellOtherSPIRE, "impostor-spire-server": cellOtherSPIRE,
	"host-b": cellOtherHost, "partner-host": cellOtherHost,
}

// Box is one part of the lab.
type Box struct {
	Cell     string `json:"cell"`
	Name     string `json:"name"`
	Who      string `json:"who,omitempty"`     // user and container, where they differ from the name
	ID       string `json:"id,omitempty"`      // SPIFFE ID
	Shows    string `json:"shows,omitempty"`   // what it shows if its SPIFFE ID is not known
	Stopped  string `json:"stopped,omitempty"` // exited, paused ...
	SVID     *SVID  `json:"svid,omitempty"`
	SignedBy *Mark  `json:"signedBy,omitempty"`
	Trusts   []Mark `json:"trusts,omitempty"` // the CAs of its trust bundles
	CAs      []Mark `json:"cas,omitempty"`    // of a SPIRE server
	Sentence string `json:"sentence"`
}

// Mark is one CA: a letter in a shape.
type Mark struct {
	Letter  string `json:"letter"`
	Foreign string `json:"foreign,omitempty"` // its trust domain, if that is not the lab's; then the shape differs
	State   string `json:"state,omitempty"`   // of a CA of a SPIRE server: signs, prepared, old
	Key     string `json:"key"`
}

func (m Mark) String() string {
	s := "CA " + m.Letter
	if m.Foreign != "" {
		s += " of " + m.Foreign
	}
	return s
}

// Arrow is the latest event between two boxes.
type Arrow struct {
	ID       string    `json:"id"`
	From     string    `json:"from"` // a cell
	To       string    `json:"to"`
	Kind     string    `json:"kind"`              // request, identity, or spire (between an agent and a SPIRE server)
	Verdict  string    `json:"verdict,omitempty"` // of a row; empty if nothing has happened yet
	Refuser  string    `json:"refuser,omitempty"` // the cell of the side that refused
	Reason   string    `json:"reason,omitempty"`  // the message of that side
	Label    string    `json:"label"`             // one or two words, readable from far away
	Dashed   bool      `json:"dashed,omitempty"`  // one end is stopped, so the event cannot happen now
	Row      int       `json:"row,omitempty"`     // the number of its row
	At       time.Time `json:"at,omitzero"`
	Sentence string    `json:"sentence"`
}

// The kinds of arrows.
const (
	kindRequest  = "request"
	kindIdentity = "identity"
	kindSPIRE    = "spire"
)

// painter keeps what the diagram shows. It gets every row, and draws the picture when a page asks.
type painter struct {
	letters  map[string]Mark   // of CAs, by key
	count    map[string]int    // of letters, by trust domain
	arrows   map[string]*Arrow // by ID
	others   map[string]Box    // the boxes in the cells that show different parts at different times
	headline Picture           // only the headline
}

func newPainter() *painter {
	return &painter{letters: map[string]Mark{}, count: map[string]int{}, arrows: map[string]*Arrow{}, others: map[string]Box{}}
}

// mark returns the letter of a CA. In the lab's trust domain the letters are A, B, C and so on. A letter stays the same while the console
// runs.
func (p *painter) mark(domain, key string) Mark {
	if m, ok := p.letters[key]; ok {
		return m
	}
	m := Mark{Key: key}
	n := p.count[domain]
	p.count[domain]++
	if domain == lab.TrustDomain {
		m.Letter = string(rune('A' + n%26))
		n /= 26
	} else {
		m.Foreign, m.Letter = domain, strings.ToUpper(domain[:min(1, len(domain))])
	}
	if n > 0 {
		m.Letter += fmt.Sprint(n + 1)
	}
	p.letters[key] = m
	return m
}

// begin clears the cells that show different parts at different times. It is called when a scenario begins.
func (p *painter) begin() {
	for id, arrow := range p.arrows {
		if arrow.Kind == kindRequest && (arrow.From != cellClient || arrow.To != cellServer) || p.others[arrow.To].Cell != "" || p.others[arrow.From].Cell != "" {
			delete(p.arrows, id)
		}
	}
	p.others = map[string]Box{}
	p.headline = Picture{}
}

var (
	tlsError   = regexp.MustCompile(`^TLS handshake error from \S+: `)
	aboutAlert = regexp.MustCompile(`^[0-9A-Fa-f]+:error:[0-9A-Fa-f]+:SSL routines:[^:]*:([^:]+):`) // as openssl prints it
	getError   = regexp.MustCompile(`^Error connecting to "[^"]*": \w+ "[^"]*": `)
	trustedFor = regexp.MustCompile(`^spiffe://([^/]+)`)
)

// reasonOf returns the message of the side that refused, or else what the other side received.
func reasonOf(row Row) string {
	other := ""
	for _, said := range row.Said {
		words := getError.ReplaceAllString(tlsError.ReplaceAllString(said.Text, ""), "")
		if m := aboutAlert.FindStringSubmatch(words); m != nil {
			words = m[1]
		}
		if said.Who == row.RefusedBy {
			return words
		}
		if other == "" {
			other = strings.TrimPrefix(words, "remote error: tls: ")
		}
	}
	return other
}

// told reports whether the reason is only what the refused side received.
func told(row Row) bool {
	return !slices.ContainsFunc(row.Said, func(s Said) bool { return s.Who == row.RefusedBy })
}

// showsInstead describes what the refused side presented, such as "shows no certificate". It is for a reason that does not name the SPIFFE
// ID of the refused side.
func showsInstead(reason string) string {
	for _, known := range insteadOfID {
		if !strings.Contains(reason, known.words) {
			continue
		}
		if strings.HasSuffix(known.shows, " ") {
			return known.shows + strings.Trim(reason[strings.LastIndex(reason, " ")+1:], `"`)
		}
		return known.shows
	}
	return ""
}

var insteadOfID = []struct{ words, shows string }{
	{"didn't provide a certificate", "shows no certificate"},
	{"signed by unknown authority", "certificate of an unknown CA"},
	{"HTTP request to an HTTPS server", "speaks plain HTTP"},
	{"unsupported versions", "offers an old version of TLS"},
	{"has expired", "shows an expired SVID"},
	{"no X.509 bundle for trust domain", "SVID of "}, // followed by the trust domain in the message
}

// own reports whether the party is the service's own program, not another process in the same container.
func own(party Party, reader *Reader) bool {
	if user := reader.facts.user(party.Where); party.User != "" && user != "" && party.User != user {
		return false
	}
	id := reader.svids[party.Where].ID
	for _, w := range lab.Workloads {
		if id == "" && party.Where == w.Service {
			id = w.ID
		}
	}
	return party.ID == "" || id == "" || party.ID == id
}

// place returns the box of one side of a row. If peer is true, this is the side that was called, otherwise it is the caller. The last bool tells
// whether a different process answers under the server's name, because the server does not run.
func (p *painter) place(party Party, peer, another bool, reader *Reader) Box {
	foreign := party.ID != "" && !strings.HasPrefix(party.ID, "spiffe://"+lab.TrustDomain+"/")
	cell := cellOf[party.Where]
	box := Box{Cell: cell, Name: party.Where, ID: party.ID}
	switch {
	case party.Where == "" && !peer && !foreign && (party.ID == lab.ClientID || party.ID == reader.svids[lab.Client].ID) && party.ID != "" && party.User == "":
		return Box{Cell: cellClient, Name: lab.Client, ID: party.ID}
	case party.Where == "" && !peer && party.ID != "" && party.ID == p.others[cellProcess].ID:
		return p.others[cellProcess]
	case party.Where == "" && foreign:
		box.Cell, box.Name = cellOtherHost, "another host"
		for _, c := range reader.facts.Containers {
			if cellOf[c.Service] == cellOtherHost {
				box.Name = c.Service
			}
		}
	case cell == cellAgent:
		box.Name = "SPIRE agent"
	case cell == cellSPIREServer:
		box.Name = "SPIRE server"
	case peer && party.Where == lab.Server && (another || party.ID != "" && party.ID != lab.ServerID && !own(party, reader)):
		box.Cell, box.Name, box.Who = cellExtra, "another server", `answers to the name "server"`
		if len(reader.known().down(impostor)) == 0 {
			box.Name = impostor
		}
	case (cell == cellClient || cell == cellServer) && own(party, reader):
	case peer && cell == "":
		box.Cell = cellExtra
	case cell == "" || cell == cellClient || cell == cellServer:
		box.Cell, box.Name = cellProcess, "another process"
		box.Who = party.User
		if party.Where != "" && party.User != "" {
			box.Who += " in " + party.Where
		} else if party.Where != "" {
			box.Who = "in " + party.Where
		}
	}
	if (cell == cellProcess || cell == cellOtherHost) && party.User != "" && party.User != reader.facts.user(party.Where) {
		box.Who = party.User
	}
	return box
}

// row draws one row, and gives the row its arrow and sentence.
func (p *painter) row(row *Row, reader *Reader) {
	for id, arrow := range p.arrows {
		if arrow.Row == row.Number {
			delete(p.arrows, id) // more is known about the row now, so its place may differ
		}
	}
	arrow := &Arrow{Row: row.Number, At: row.At, Verdict: row.Verdict, Kind: kindRequest, Label: row.Verdict}
	from, to := p.place(row.From, false, false, reader), Box{}
	row.From.Name = from.Name
	switch {
	case unidentified(*row):
		from, to, arrow.Kind = p.process(row), Box{Cell: cellAgent, Name: "SPIRE agent"}, kindIdentity
		row.From.Name = from.Name
	case row.Verdict == Happened:
		if !p.happened(row, arrow, &from, &to, reader) {
			p.say(row.Sentence, false, "")
			return
		}
	default:
		if row.To.Where == "" && row.To.ID == "" {
			row.To = reader.party(lab.Server) // only the client has logged this, and the lab's client has one server
		}
		another := row.Verdict != NotReached && !row.heard(theServer) && reader.known().gone(lab.Server)
		to = p.place(row.To, true, another, reader)
		if from.Cell == to.Cell && row.From.Where == row.To.Where && to.Cell == cellProcess {
			to = Box{Cell: cellExtra, Name: "another server", Who: "in " + row.To.Where} // in the same container as its client
		}
		if from.Cell == to.Cell {
			from = Box{Cell: cellClient, Name: lab.Client} // two parts in one cell: the client's cell sends the request
			if to.Cell == cellClient {
				from.Cell, from.Name = cellProcess, "another process"
			}
			row.From.Name = from.Name
		}
		if from.Cell == cellAgent || to.Cell == cellSPIREServer || to.Cell == cellOtherSPIRE {
			arrow.Kind = kindSPIRE
		}
		if arrow.Kind == kindSPIRE && from.Cell != cellAgent && from.Cell != cellOtherHost {
			from.Cell, from.Name = cellOtherHost, "another host" // the agent of another host
			row.From.Name = from.Name
		}
	}
	row.To.Name = to.Name
	if row.Verdict == Refused {
		arrow.Label, arrow.Reason = "REFUSED", reasonOf(*row)
		if unidentified(*row) {
			arrow.Label = "NO IDENTITY"
		}
		if row.Why != nil {
			arrow.Reason = row.Why.reason()
		}
		arrow.Refuser = map[string]string{theServer: to.Cell, theClient: from.Cell, theAgent: cellAgent, theSPIREServer: to.Cell}[row.RefusedBy]
		switch {
		case arrow.Kind != kindRequest:
		case row.RefusedBy == theServer:
			from.Shows = showsInstead(arrow.Reason)
		case row.RefusedBy == theClient:
			to.Shows = showsInstead(arrow.Reason)
		}
	}
	row.Sentence = sentence(*row, arrow, from, to)
	if row.Verdict != Refused && (p.waits(from, row.At) || p.waits(to, row.At)) {
		return
	}
	p.occupy(from)
	p.occupy(to)
	arrow.From, arrow.To = from.Cell, to.Cell
	arrow.ID = arrow.Kind + "-" + arrow.From + "-" + arrow.To
	row.Arrow = arrow.ID
	arrow.Sentence = row.Sentence
	if row.Verdict == Served {
		arrow.At = time.Time{} // the picture stays the same while requests are served
	}
	if latest := p.arrows[arrow.ID]; latest != nil && latest.Row > row.Number {
		return
	}
	p.arrows[arrow.ID] = arrow
	p.say(row.Sentence, arrow.Verdict == Refused || arrow.Label == "EVICTED", arrow.ID)
}

// occupy writes a box into a cell that shows different parts at different times.
func (p *painter) occupy(box Box) {
	if !changes(box.Cell) {
		return
	}
	if p.another(box) {
		for id, arrow := range p.arrows {
			if arrow.From == box.Cell || arrow.To == box.Cell {
				delete(p.arrows, id) // of the part that was there before
			}
		}
	} else if before := p.others[box.Cell]; box.ID == "" && box.Shows == "" && box.Name != "another process" {
		box = before
	}
	box.Stopped = ""
	p.others[box.Cell] = box
}

// changes reports whether different parts are in the cell at different times.
func changes(cell string) bool {
	return cell == cellProcess || cell == cellExtra || cell == cellOtherHost || cell == cellOtherSPIRE
}

// The method another reports whether the box's cell is empty, or has a different part.
func (p *painter) another(box Box) bool {
	before := p.others[box.Cell]
	return changes(box.Cell) && (before.Name != box.Name || before.Who != box.Who)
}

// refusalFor is how long a refusal keeps its cell. Without it, the requests that a scenario sends all the time would replace the refusal at
// once.
const refusalFor = 10 * time.Second

// waits reports whether a box cannot be drawn yet, because a different part in the same cell was refused a moment ago.
func (p *painter) waits(box Box, at time.Time) bool {
	if box.Name != lab.Steady || !p.another(box) {
		return false
	}
	for _, arrow := range p.arrows {
		if (arrow.From == box.Cell || arrow.To == box.Cell) && arrow.Verdict == Refused && at.Sub(arrow.At) < refusalFor {
			return true
		}
	}
	return false
}

// leaves marks the box of a container that was removed.
func (p *painter) leaves(service string) {
	for cell, box := range p.others {
		if box.Name == service {
			box.Stopped = "not there"
			p.others[cell] = box
		}
	}
}

func (p *painter) say(sentence string, refused bool, arrow string) {
	served := arrow != "" && p.arrows[arrow].Verdict == Served
	if standing := p.arrows[p.headline.Arrow]; served && p.headline.Refused && standing != nil && standing.Sentence == p.headline.Headline {
		return
	}
	p.headline = Picture{Headline: sentence, Refused: refused, Arrow: arrow}
}

// unidentified reports whether the row is about a process that got no identity.
func unidentified(row Row) bool {
	return row.RefusedBy == theAgent && cellOf[row.To.Where] == cellAgent
}

// process returns the box of a process that got no identity: a program of the lab, or another process. The other process may run as the
// same user as a program of the lab.
func (p *painter) process(row *Row) Box {
	box := Box{Cell: cellProcess, Name: "another process", Shows: "no SPIFFE ID"}
	if row.Why == nil {
		return box
	}
	path, uid := "", ""
	for _, selector := range row.Why.Selectors {
		if program, ok := strings.CutPrefix(selector, "unix:path:"); ok {
			path = program[strings.LastIndex(program, "/")+1:]
		}
		if number, ok := strings.CutPrefix(selector, "unix:uid:"); ok {
			uid = "user " + number
		}
	}
	for _, w := range lab.Workloads {
		if row.Why.User == w.User && path == w.Service {
			return Box{Cell: cellOf[w.Service], Name: w.Service}
		}
	}
	if box.Who = row.Why.User; box.Who == "" {
		box.Who = uid
	}
	if path != "" {
		box.Who += " runs " + typed(path, row.Why.User)
	}
	return box
}

// typed returns the name with which a program was started. For a symbolic link the agent sees only the target. The commands svid and
// observer are links to host. Only the lab's users run the observer. So typed returns host for these users, and svid for all other users.
func typed(file, user string) string {
	if file == "host" && user != lab.ClientUser && user != lab.ServerUser {
		return "svid"
	}
	return file
}

// reason says what is missing for an SVID.
func (w *Why) reason() string {
	if len(w.Selectors) == 0 {
		return "the process had exited before the agent could examine it"
	}
	if w.User == "" {
		return "the agent knows no name for its user, so the process has no selector unix:user"
	}
	if w.Entries == nil { // unknown
		return "the agent has no entry that matches the process"
	}
	near := w.nearest()
	switch {
	case len(near.Missing) == len(near.Selectors):
		return "no entry has the selector unix:user:" + w.User
	case len(near.Missing) > 0:
		return fmt.Sprintf("the entry %s also requires %s", near.ID, shortSelectors(near.Missing))
	case near.Undelivered:
		return fmt.Sprintf("the entry %s has the parent %s, which is not this host", near.ID, near.Parent)
	}
	return "the agent has no SVID for the entry " + near.ID + " now"
}

// nearest returns the entry that is closest to a match. It considers the entries that share a selector with the process. If there is no
// such entry, it returns the first entry.
func (w *Why) nearest() WhyEntry {
	for _, e := range w.Entries {
		if len(e.Missing) < len(e.Selectors) {
			return e
		}
	}
	return w.Entries[0]
}

// explains reports whether an entry shares a selector with the process, but does not match.
func (w *Why) explains() bool {
	if len(w.Entries) == 0 {
		return false
	}
	near := w.nearest()
	return near.lacks() > 0 && len(near.Missing) < len(near.Selectors)
}

// matches reports whether an entry matches the process. If the agent has refused this process, such an entry is too new, or was just
// deleted.
func (w *Why) matches() bool { return len(w.Entries) > 0 && w.nearest().lacks() == 0 }

func shortSelectors(selectors []string) string {
	var all []string
	for _, s := range selectors {
		if hash, ok := strings.CutPrefix(s, "unix:sha256:"); ok {
			s = "unix:sha256:" + short(hash) + "…"
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

// happened is for an event that is not a connection: it draws the event. It returns false if the event changes no arrow.
func (p *painter) happened(row *Row, arrow *Arrow, from, to *Box, reader *Reader) bool {
	words := row.Said[0].Text
	row.Sentence = from.Name + " " + words
	switch row.kind {
	case newSVID:
		arrow.Kind, arrow.Label = kindIdentity, "new SVID"
		*to = *from
		*from = Box{Cell: cellAgent, Name: "SPIRE agent"}
		row.Sentence = fmt.Sprintf("%s has a new SVID for %s", to.Name, to.ID)
		row.From.Name = to.Name
		return to.Cell != cellOtherHost
	case "Node attestation was successful", "Successfully reattested node", "Creating X509-SVID", "Renewing X509-SVID", "Tainted X.509 SVIDs":
		*to = Box{Cell: cellSPIREServer, Name: "SPIRE server"}
		arrow.Label = "attested"
		if strings.HasSuffix(row.kind, "X509-SVID") {
			arrow.Label = "SVID"
		}
	case "Agent attestation request completed":
		*to = *from
		*from = Box{Cell: cellAgent, Name: "SPIRE agent"}
		arrow.Label = "attested"
		if to.Cell != cellSPIREServer {
			*from = Box{Cell: cellOtherHost, Name: "another host"}
		}
	case "Agent deleted":
		*to = Box{Cell: cellAgent, Name: "SPIRE agent"}
		arrow.Label, arrow.Verdict, arrow.Refuser = "EVICTED", Refused, cellSPIREServer
		// The arrow goes from the agent to the SPIRE server, as for an attestation.
		*from, *to = *to, *from
	default:
		if from.Cell == cellOtherSPIRE {
			p.occupy(*from)
		}
		return false
	}
	arrow.Kind = kindSPIRE
	return to.Cell != "" && from.Cell != to.Cell
}

func sentence(row Row, arrow *Arrow, from, to Box) string {
	named := func(b Box) string {
		if b.Who != "" {
			return b.Name + " (" + b.Who + ")"
		}
		return b.Name
	}
	other, refuser := from, to
	if arrow.Refuser == from.Cell {
		other, refuser = to, from
	}
	switch {
	case row.Verdict == Happened:
		return row.Sentence
	case unidentified(row):
		return fmt.Sprintf("SPIRE agent gives no identity to %s: %s", named(from), arrow.Reason)
	case row.Verdict == Refused && told(row):
		return fmt.Sprintf("%s refuses %s, which receives only: %s", named(refuser), named(other), arrow.Reason)
	case row.Verdict == Refused:
		return fmt.Sprintf("%s refuses %s: %s", named(refuser), named(other), arrow.Reason)
	case row.Verdict == NotReached:
		return fmt.Sprintf("%s does not reach %s: %s", named(from), named(to), reasonOf(row))
	}
	s := fmt.Sprintf("%s serves %s", named(to), named(from))
	if row.From.ID != "" {
		s += " as " + row.From.ID
	}
	return s
}

func (p *painter) picture(state State, reader *Reader) Picture {
	picture := p.headline
	boxes := map[string]Box{}
	put := func(box Box) { boxes[box.Cell] = box }
	running := map[string]Who{}
	for _, who := range state.Who {
		running[who.Service] = who
	}
	for _, service := range []string{lab.Client, lab.Server, lab.SPIREAgent, lab.SPIREServer} {
		box := Box{Cell: cellOf[service], Name: service, ID: p.others[service].ID}
		switch service {
		case lab.SPIREAgent:
			box.Name = "SPIRE agent"
		case lab.SPIREServer:
			box.Name = "SPIRE server"
		}
		if who, ok := running[service]; ok {
			box.Stopped = who.stopped()
		} else if !ok && state.Known {
			box.Stopped = "not there"
		}
		put(p.equip(box, service, state, reader))
	}
	for cell, box := range p.others {
		service := box.Name
		if who, ok := running[service]; ok {
			box.Stopped = who.stopped()
		}
		box.Cell = cell
		put(p.equip(box, service, state, reader))
	}
	// Servers that run are shown before the first request to them.
	for _, who := range state.Who {
		if cell := cellOf[who.Service]; who.Status == "running" && boxes[cell].Cell == "" && (cell == cellExtra || cell == cellOtherSPIRE || cell == cellOtherHost) {
			put(p.equip(Box{Cell: cell, Name: who.Service}, who.Service, state, reader))
		}
	}
	for _, a := range state.Agents {
		if a.ID == lab.AgentID {
			box := boxes[cellAgent]
			box.ID = a.ID
			if a.Banned {
				box.Who = "BANNED"
			}
			boxes[cellAgent] = box
		}
	}
	for _, cell := range cells {
		if box, ok := boxes[cell]; ok {
			box.Sentence = box.sentence()
			picture.Boxes = append(picture.Boxes, box)
		}
	}
	arrows := map[string]Arrow{}
	for _, always := range []Arrow{
		{From: cellClient, To: cellServer, Kind: kindRequest, Sentence: "no request from client to server yet"},
		{From: cellAgent, To: cellClient, Kind: kindIdentity, Sentence: "SPIRE agent gives client its SVIDs"},
		{From: cellAgent, To: cellServer, Kind: kindIdentity, Sentence: "SPIRE agent gives server its SVIDs"},
		{From: cellAgent, To: cellSPIREServer, Kind: kindSPIRE, Sentence: "SPIRE agent is attested by SPIRE server"},
	} {
		always.ID = always.Kind + "-" + always.From + "-" + always.To
		arrows[always.ID] = always
	}
	for id, arrow := range p.arrows {
		arrows[id] = *arrow
	}
	for _, id := range slices.Sorted(maps.Keys(arrows)) {
		arrow := arrows[id]
		from, to := boxes[arrow.From], boxes[arrow.To]
		if from.Cell == "" || to.Cell == "" {
			continue
		}
		// A new SVID and a refused SVID are arrows in opposite directions. Only the later arrow is shown.
		if back, ok := arrows[kindIdentity+"-"+arrow.To+"-"+arrow.From]; ok && arrow.Kind == kindIdentity && back.Row > arrow.Row {
			continue
		}
		for _, end := range []Box{from, to} {
			if end.Stopped == "" {
				continue
			}
			arrow.Dashed, arrow.Verdict, arrow.Refuser = true, "", ""
			arrow.Label = map[string]string{kindRequest: "no requests", kindIdentity: "no new SVID", kindSPIRE: "no attestation"}[arrow.Kind]
			arrow.Sentence = fmt.Sprintf("%s between %s and %s, because %s is %s", arrow.Label, from.Name, to.Name, end.Name, end.Stopped)
		}
		picture.Arrows = append(picture.Arrows, arrow)
	}
	return picture
}

// stopped returns the status of a container that has run and does not run now.
func (w Who) stopped() string {
	if w.Status == "running" || w.Status == "created" {
		return ""
	}
	return w.Status
}

// equip adds the SVID and the CAs of the service, if they are known.
func (p *painter) equip(box Box, service string, state State, reader *Reader) Box {
	user := ""
	for _, who := range state.Who {
		if who.Service != service {
			continue
		}
		user = who.User
		if who.SVID != nil && (box.ID == "" || box.ID == who.SVID.ID) {
			box.SVID, box.ID = who.SVID, who.SVID.ID
			if who.SVID.SignedBy != "" {
				m := p.mark(domainOf(who.SVID.ID), who.SVID.SignedBy)
				box.SignedBy = &m
			}
		}
	}
	if box.ID != "" {
		box.Shows = ""
	}
	if cellOf[service] == box.Cell && box.SVID != nil {
		for _, side := range state.Trust.Sides {
			if side.User != user {
				continue
			}
			for _, domain := range slices.Sorted(maps.Keys(side.Bundles)) {
				for _, key := range side.Bundles[domain] {
					box.Trusts = append(box.Trusts, p.mark(domain, key))
				}
			}
			slices.SortStableFunc(box.Trusts, func(a, b Mark) int { return strings.Compare(a.Foreign+" "+a.Letter, b.Foreign+" "+b.Letter) })
		}
	}
	switch box.Cell {
	case cellSPIREServer:
		for _, ca := range state.Trust.Authorities {
			m := p.mark(lab.TrustDomain, ca.ID)
			m.State = map[string]string{"active": "signs"}[ca.State]
			if m.State == "" {
				m.State = ca.State
			}
			box.CAs = append(box.CAs, m)
		}
		if len(box.CAs) == 0 && reader.signs[service] != "" {
			m := p.mark(lab.TrustDomain, reader.signs[service])
			m.State = "signs"
			box.CAs = []Mark{m}
		}
	case cellOtherSPIRE:
		if key := reader.signs[service]; key != "" {
			domain := lab.TrustDomain // an impostor claims this trust domain
			if service == "partner-server" {
				domain = "partner.test"
			}
			m := p.mark(domain, key)
			m.State = "signs"
			box.CAs = []Mark{m}
		}
	}
	return box
}

func domainOf(id string) string {
	if m := trustedFor.FindStringSubmatch(id); m != nil {
		return m[1]
	}
	return ""
}

func (b Box) sentence() string {
	parts := []string{}
	if b.Who != "" {
		parts = append(parts, b.Who)
	}
	if b.Stopped != "" {
		parts = append(parts, "stopped ("+b.Stopped+")")
	}
	if b.ID != "" {
		parts = append(parts, b.ID)
	}
	if b.Shows != "" {
		parts = append(parts, b.Shows)
	}
	if b.SVID != nil {
		svid := "SVID until " + b.SVID.Expires.UTC().Format(time.TimeOnly)
		if b.SignedBy != nil {
			svid += ", signed by " + b.SignedBy.String()
		}
		parts = append(parts, svid)
	}
	list := func(word string, marks []Mark) {
		var all []string
		for _, m := range marks {
			all = append(all, m.String())
		}
		if len(all) > 0 {
			parts = append(parts, word+" "+strings.Join(all, " and "))
		}
	}
	list("trusts", b.Trusts)
	for _, m := range b.CAs {
		list(m.State, []Mark{m})
	}
	if len(parts) == 0 {
		parts = append(parts, "runs")
	}
	return b.Name + ": " + strings.Join(parts, "; ")
}
