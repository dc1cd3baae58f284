package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// keep is the number of rows that a browser gets when it connects.
const keep = 500

// Hub has everything that the page shows, and sends it to every browser.
type Hub struct {
	mu       sync.Mutex
	project  string
	reader   *Reader
	painter  *painter
	screen   Screen
	facts    Facts
	state    State
	rows     []Row // at most [keep], each in its latest version
	trace    *Trace
	browsers map[*browser]bool
	changed  time.Time          // the time of the latest event other than a served request
	stale    bool               // an entry has changed since the facts were asked for
	trouble  map[string]trouble // why the console cannot read something, by the name of this thing
	held     map[string]string  // the log line of each service about its current SVID
	recorder *recorder          // nil if nothing is recorded
	replay   *Replay            // nil if a lab is shown
}

// trouble is a message that is shown until it is cleared. If until is not zero, the message is shown only until this time.
type trouble struct {
	text  string
	until time.Time
}

// oddLineFor is how long the page says that a line of a log could not be read.
const oddLineFor = time.Minute

// browser is a connected browser. Rows that it does not fetch in time are counted, and dropped.
type browser struct {
	wake   chan struct{}
	rows   []Row
	missed int
	limit  int
	state  bool
	trace  bool
	fresh  bool   // it must drop what it shows
	latest []byte // the picture that was sent last, as JSON
}

// backlog is the number of rows that may wait for one browser. Rows are sent ten times a second.
const backlog = 50

// NewHub returns a Hub for the lab of this project.
func NewHub(project string) *Hub {
	return &Hub{project: project, reader: NewReader(), painter: newPainter(), browsers: map[*browser]bool{}, trouble: map[string]trouble{}, held: map[string]string{}, state: State{Project: project}}
}

// Log reads one line of `docker compose logs`, and updates the rows and the state of the page.
func (h *Hub) Log(text string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recorder != nil {
		h.recorder.write(event{At: now, Log: text})
	}
	line, ok := ParseLine(text)
	if !ok {
		if text != "" && !strange.MatchString(text) {
			h.trouble["a line"] = trouble{fmt.Sprintf("a line of the logs could not be read: %.80q", harmless(text)), now.Add(oddLineFor)}
			h.describe()
		}
		return
	}
	serial, status := h.reader.svids[line.Service].Serial, h.reader.known().status(line.Service)
	h.publish(h.reader.Read(line), now)
	fresh := h.reader.svids[line.Service].Serial
	if fresh != serial {
		h.held[line.Service] = text
	}
	if fresh == "" {
		delete(h.held, line.Service)
	}
	if fresh != serial || h.reader.known().status(line.Service) != status {
		h.changed = now
		h.describe()
	}
}

// Screen takes one line of a scenario's screen, and the time at which it was written.
func (h *Hub) Screen(text string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed, rows := h.screen.Read(text, at, h.reader)
	if h.recorder != nil {
		h.recorder.screen(text, at, len(rows) > 0)
	}
	if strings.HasPrefix(text, "begin ") {
		h.painter.begin()
	}
	h.publish(rows, at)
	if strings.HasPrefix(text, "command ") && strings.Contains(text, " entry ") {
		h.changed, h.stale = at, true
	}
	if changed {
		h.changed = at
		h.describe()
	}
}

// ScenarioEnds tells the hub that no scenario runs. A scenario without a result was interrupted.
func (h *Hub) ScenarioEnds(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recorder != nil {
		h.recorder.noScenario(now)
	}
	if h.screen.Now != nil && h.screen.Now.Ended == "" {
		h.screen.Read("end interrupted", now, h.reader)
		h.describe()
	}
}

// Know takes the answers of the engine and of SPIRE.
func (h *Hub) Know(known Facts, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recorder != nil {
		h.recorder.facts(known, now)
	}
	for _, c := range h.facts.Containers {
		if known.Containers != nil && known.status(c.Service) == "" {
			h.painter.leaves(c.Service)
		}
	}
	h.facts = known
	h.reader.Know(known, now)
	var rows []Row
	for _, row := range h.rows[max(0, len(h.rows)-20):] {
		if why := row.Why; why != nil && len(why.Selectors) > 0 && now.Sub(row.At) < knownWithin {
			if row.Why = known.Why(why.Selectors); (row.Why.explains() || why.matches()) && !reflect.DeepEqual(row.Why, why) {
				rows = append(rows, row)
			}
		}
	}
	h.publish(rows, now)
	h.describe()
}

// knownWithin is the maximum age of a row that later facts may explain. The facts may be late: a scenario may create an entry, and run a
// process immediately afterwards.
const knownWithin = 5 * time.Second

// Trouble shows the message that the console cannot read something. The first parameter names this thing, and the second parameter is the
// reason. An empty reason clears the message.
func (h *Hub) Trouble(what, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := trouble{}
	if text != "" {
		now.text = "cannot read " + what + ": " + harmless(text)
	}
	if h.trouble[what] == now {
		return
	}
	h.trouble[what] = now
	h.describe()
}

// Expire removes what has been shown long enough.
func (h *Hub) Expire(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := h.screen.Expire(now)
	for what, t := range h.trouble {
		if !t.until.IsZero() && now.After(t.until) {
			delete(h.trouble, what)
			changed = true
		}
	}
	if changed {
		h.describe()
	}
}

// Trace takes a handshake.
func (h *Hub) Trace(trace *Trace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trace = trace
	for b := range h.browsers {
		b.trace = true
		b.poke()
	}
}

func (h *Hub) describe() {
	state := h.reader.known().Describe(h.reader.svids)
	state.Project, state.Scenario, state.Replay = h.project, h.screen.Now, h.replay
	for _, what := range slices.Sorted(maps.Keys(h.trouble)) {
		if text := h.trouble[what].text; text != "" {
			state.Problems = append(state.Problems, text)
		}
	}
	before, _ := json.Marshal(h.state)
	after, _ := json.Marshal(state)
	if string(before) == string(after) {
		return
	}
	h.state = state
	for b := range h.browsers {
		b.state = true
		b.poke()
	}
}

func (h *Hub) publish(rows []Row, now time.Time) {
	for _, row := range rows {
		row.Said = append([]Said(nil), row.Said...)
		h.painter.row(&row, h.reader)
		if row.Verdict != Served {
			h.changed = now
		}
		h.store(row)
		for b := range h.browsers {
			b.add(row)
			b.poke()
		}
	}
}

// store keeps the latest version of the row. It searches from the end, because most rows that change are recent.
func (h *Hub) store(row Row) {
	for i := len(h.rows) - 1; i >= 0; i-- {
		if h.rows[i].Number == row.Number {
			h.rows[i] = row
			return
		}
	}
	h.rows = append(h.rows, row)
	if len(h.rows) > keep {
		h.rows = append(h.rows[:0], h.rows[len(h.rows)-keep:]...)
	}
}

func (b *browser) add(row Row) {
	for i := range b.rows {
		if b.rows[i].Number == row.Number {
			b.rows[i] = row
			return
		}
	}
	if len(b.rows) >= b.limit {
		b.rows = b.rows[1:]
		b.missed++
	}
	b.rows = append(b.rows, row)
}

func (b *browser) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// join adds a browser, which gets everything that the hub has.
func (h *Hub) join() *browser {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := &browser{wake: make(chan struct{}, 1), limit: len(h.rows) + backlog, state: true, trace: h.trace != nil}
	b.rows = append(b.rows, h.rows...)
	h.browsers[b] = true
	b.poke()
	return b
}

func (h *Hub) leave(b *browser) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.browsers, b)
}

// update is one message to a browser.
type update struct {
	Rows    []Row           `json:"rows,omitempty"`
	Missed  int             `json:"missed,omitempty"` // rows dropped since the last update
	Fresh   bool            `json:"fresh,omitempty"`  // the browser must drop what it shows
	State   *State          `json:"state,omitempty"`
	Picture json.RawMessage `json:"picture,omitempty"`
	Trace   *Trace          `json:"trace,omitempty"`
	Now     time.Time       `json:"now"` // the engine's clock
}

func (h *Hub) take(b *browser, now time.Time) update {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := update{Rows: b.rows, Missed: b.missed, Now: now}
	if b.state {
		state := h.state
		u.State = &state
	}
	if b.trace {
		u.Trace = h.trace
	}
	if now, err := json.Marshal(h.painter.picture(h.state, h.reader)); err == nil && !bytes.Equal(now, b.latest) {
		u.Picture, b.latest = now, now
	}
	u.Fresh = b.fresh
	b.rows, b.missed, b.limit, b.state, b.trace, b.fresh = nil, 0, backlog, false, false, false
	return u
}

// Wants reports whether it is time to gather new facts. Facts are gathered at once after an entry has changed, every two seconds while
// something happens, and every ten seconds otherwise. The parameter asked is the time at which facts were last gathered.
func (h *Hub) Wants(asked, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stale && now.Sub(asked) >= 500*time.Millisecond {
		h.stale = false
		return true
	}
	quiet := now.Sub(h.changed) > 15*time.Second && len(h.state.Down) == 0
	if quiet {
		return now.Sub(asked) >= 10*time.Second
	}
	return now.Sub(asked) >= 2*time.Second
}
