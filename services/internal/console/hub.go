package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// keep is how many rows a browser that comes late still gets.
const keep = 500

// Hub has what the page shows, and gives it to every browser.
type Hub struct {
	mu       sync.Mutex
	project  string
	reader   *Reader
	screen   Screen
	facts    Facts
	state    State
	rows     []Row // the latest of each number, at most [keep]
	trace    *Trace
	browsers map[*browser]bool
	changed  time.Time          // when something other than a served request came last
	trouble  map[string]trouble // what the console cannot read, by what it is
}

// trouble is shown until it is cleared, or until a time if that is not zero.
type trouble struct {
	text  string
	until time.Time
}

// oddLineFor is how long the page says that a line of a log could not be read.
const oddLineFor = time.Minute

// browser is one that listens. Rows that it does not fetch in time are counted, not kept.
type browser struct {
	wake   chan struct{}
	rows   []Row
	missed int
	limit  int
	state  bool
	trace  bool
}

// backlog is how many rows may wait for one browser, which is sent them ten times a second.
const backlog = 50

// NewHub returns a Hub for the lab of this project.
func NewHub(project string) *Hub {
	return &Hub{project: project, reader: NewReader(), browsers: map[*browser]bool{}, trouble: map[string]trouble{}, state: State{Project: project}}
}

// Log takes one line of `docker compose logs`.
func (h *Hub) Log(text string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	line, ok := ParseLine(text)
	if !ok {
		if text != "" && !strange.MatchString(text) {
			h.trouble["a line"] = trouble{fmt.Sprintf("a line of the logs could not be read: %.80q", harmless(text)), now.Add(oddLineFor)}
			h.describe()
		}
		return
	}
	serial, ended := h.reader.svids[line.Service].Serial, h.reader.ended[line.Service]
	h.publish(h.reader.Read(line), now)
	if h.reader.svids[line.Service].Serial != serial || h.reader.ended[line.Service] != ended {
		h.changed = now
		h.describe()
	}
}

// Screen takes one line of what a scenario has on its screen, which was written at that time.
func (h *Hub) Screen(text string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed, rows := h.screen.Read(text, at, h.reader)
	h.publish(rows, at)
	if changed {
		h.changed = at
		h.describe()
	}
}

// ScenarioEnds takes the word that no scenario runs. One that has not told its result was killed.
func (h *Hub) ScenarioEnds(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.screen.Now != nil && h.screen.Now.Ended == "" {
		h.screen.Read("end interrupted", now, h.reader)
		h.describe()
	}
}

// Know takes the answers of the engine and of SPIRE.
func (h *Hub) Know(known Facts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.facts = known
	h.reader.Know(known)
	h.describe()
}

// Trouble takes what the console cannot read, and why. Without a text it can read that again.
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

// Expire forgets what has been shown long enough.
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
	state := h.facts.Describe(h.reader.svids, h.reader.ended)
	state.Project, state.Scenario = h.project, h.screen.Now
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

// store keeps the latest form of the row. Most rows that change are among the last.
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

// join makes a browser, which is given all that there is.
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

// update is what is sent to a browser at once.
type update struct {
	Rows   []Row     `json:"rows,omitempty"`
	Missed int       `json:"missed,omitempty"` // rows that were not sent, since the last update
	State  *State    `json:"state,omitempty"`
	Trace  *Trace    `json:"trace,omitempty"`
	Now    time.Time `json:"now"` // the engine's clock
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
	b.rows, b.missed, b.limit, b.state, b.trace = nil, 0, backlog, false, false
	return u
}

// Wants tells whether it is time to ask for facts again, when they were asked for at that time: every two
// seconds while something happens, every ten while all is quiet.
func (h *Hub) Wants(asked, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	quiet := now.Sub(h.changed) > 15*time.Second && len(h.state.Down) == 0
	if quiet {
		return now.Sub(asked) >= 10*time.Second
	}
	return now.Sub(asked) >= 2*time.Second
}
