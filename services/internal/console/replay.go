package console

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

// Replay is the position of the page in a recording.
type Replay struct {
	Name    string `json:"name"`
	Step    int    `json:"step"` // of Steps
	Steps   int    `json:"steps"`
	Playing bool   `json:"playing"` // without a key or button
}

// player passes the events of a recording to a hub.
type player struct {
	name   string
	hub    *Hub
	events []event
	stops  []int // the number of events before the end of each step
	asked  chan string

	mu      sync.Mutex
	at      int // the number of events that the hub has received
	now     time.Time
	known   parts
	playing bool
}

const longestPause = 2 * time.Second

// The constant together is the maximum time between two lines of one step.
const together = 300 * time.Millisecond

func newPlayer(name string, hub *Hub, events []event) *player {
	p := &player{name: filepath.Base(name), hub: hub, events: events, asked: make(chan string), known: parts{}}
	p.stops = stops(events)
	p.seek(0)
	return p
}

func feed(hub *Hub, e event, known parts) {
	switch {
	case e.Log != "":
		hub.Log(e.Log, e.At)
	case e.Screen != "":
		hub.Screen(e.Screen, e.At)
	case e.Idle:
		hub.ScenarioEnds(e.At)
	case e.Facts != nil:
		maps.Copy(known, e.Facts)
		if now, err := known.together(); err == nil { // readRecording has checked this
			hub.Know(now, e.At)
		}
	}
	hub.Expire(e.At)
}

// stops returns the ends of the steps. The first step shows the beginning of the recording. Each later step shows a change in the diagram.
func stops(events []event) []int {
	hub, known := NewHub(""), parts{}
	var ends []int
	var last time.Time
	shown := map[string]string{}
	changed := map[string]bool{}
	end := func(at int) {
		if len(changed) > 0 && (len(ends) == 0 || ends[len(ends)-1] != at) {
			ends = append(ends, at)
		}
		clear(changed)
	}
	for i, e := range events {
		word, _, _ := strings.Cut(e.Screen, " ")
		screen := word == "begin" || word == "step" || word == "end"
		began := e.At.After(events[0].At)
		if screen {
			end(i)
		}
		feed(hub, e, known)
		now := hub.shows()
		var news []string
		for what, how := range now {
			if shown[what] != how {
				news = append(news, what)
			}
		}
		for what := range shown {
			if _, ok := now[what]; !ok {
				news = append(news, what)
			}
		}
		shown = now
		again := false
		for _, what := range news {
			again = again || changed[what]
		}
		if len(news) > 0 && len(changed) > 0 && began && (e.At.Sub(last) > together || again && e.Facts == nil && e.Screen == "") {
			end(i)
		}
		for _, what := range news {
			changed[what] = true
		}
		if len(news) > 0 {
			last = e.At
		}
		if screen {
			end(i + 1)
		}
	}
	changed["the end"] = true
	end(len(events))
	return ends
}

// shows returns what each part of the page shows to a viewer.
func (h *Hub) shows() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]string{}
	picture := h.painter.picture(h.state, h.reader)
	for _, arrow := range picture.Arrows {
		how := fmt.Sprint(arrow.Verdict, arrow.Refuser, arrow.Label, arrow.Dashed)
		if arrow.Verdict == Refused || arrow.Kind == kindIdentity {
			how += fmt.Sprint(arrow.Row)
		} else if arrow.Kind == kindSPIRE {
			how += arrow.Sentence
		}
		all[arrow.ID] = how
	}
	for _, box := range picture.Boxes {
		all["box "+box.Cell] = fmt.Sprint(box.Name, box.Who, box.ID, box.Stopped, box.CAs, box.Trusts)
	}
	if h.screen.Now != nil {
		all["scenario"] = h.screen.Now.Step + h.screen.Now.Ended
	}
	return all
}

// reset drops everything that the hub has received. Its browsers stay connected.
func (h *Hub) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := NewHub(h.project)
	h.reader, h.painter, h.screen, h.facts, h.rows, h.trouble, h.held = fresh.reader, fresh.painter, fresh.screen, fresh.facts, nil, fresh.trouble, fresh.held
	for b := range h.browsers {
		b.rows, b.missed, b.limit, b.fresh, b.latest = nil, 0, keep+backlog, true, nil
	}
}

func (p *player) seek(step int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to := p.stops[max(0, min(step, len(p.stops)-1))]
	if to < p.at {
		p.hub.reset()
		p.at, p.known = 0, parts{}
	}
	for p.at < to {
		p.advance()
	}
	p.tell()
}

// advance gives the hub the next event.
func (p *player) advance() {
	e := p.events[p.at]
	p.now = e.At
	feed(p.hub, e, p.known)
	p.at++
}

// step is the number of the step whose end was shown last.
func (p *player) step() int {
	step := 0
	for i, end := range p.stops {
		if end <= p.at {
			step = i
		}
	}
	return step
}

// tell shows the position in the recording.
func (p *player) tell() {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	p.hub.replay = &Replay{Name: p.name, Step: p.step() + 1, Steps: len(p.stops), Playing: p.playing}
	p.hub.describe()
}

// clock is the time of the recording.
func (p *player) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// do does what a button or key asks for: next, back, play, or the number of a step.
func (p *player) do(what string) {
	p.mu.Lock()
	step := p.step()
	p.playing = what == "play" && !p.playing && p.at < len(p.events)
	p.tell()
	p.mu.Unlock()
	switch number, err := strconv.Atoi(what); {
	case what == "next":
		p.seek(step + 1)
	case what == "back" && p.at > p.stops[step]:
		p.seek(step)
	case what == "back":
		p.seek(step - 1)
	case err == nil:
		p.seek(number - 1)
	}
}

// run does what the page asks for, until ctx ends.
func (p *player) run(ctx context.Context) {
	for {
		var due <-chan time.Time
		if p.playing {
			due = time.After(max(0, min(longestPause, p.events[p.at].At.Sub(p.now))))
		}
		select {
		case <-ctx.Done():
			return
		case what := <-p.asked:
			p.do(what)
		case <-due:
			p.mu.Lock()
			p.advance()
			p.playing = p.at < len(p.events)
			p.tell()
			p.mu.Unlock()
		}
	}
}

// move handles a page's request for a step.
func (p *player) move(w http.ResponseWriter, r *http.Request) {
	to := r.PathValue("to")
	if _, err := strconv.Atoi(to); err != nil && to != "next" && to != "back" && to != "play" {
		http.Error(w, "want next, back, play, or the number of a step", http.StatusBadRequest)
		return
	}
	select {
	case p.asked <- to:
		w.WriteHeader(http.StatusAccepted)
	case <-r.Context().Done():
	}
}

// replay shows a recording until ctx ends. It needs no lab, and no engine.
func replay(ctx context.Context, l *launch.Launcher, options Options) error {
	events, err := readRecording(options.Replay)
	if err != nil {
		return err
	}
	port := 0 // any free port
	if options.Port != "0" {
		if port, err = portOf(options); err != nil {
			return err
		}
	}
	listener, err := listenOn(port)
	if err != nil {
		return err
	}
	defer listener.Close()
	hub := NewHub("recording")
	page, err := NewPage(hub, rand.Text(), os.DirFS(filepath.Join(l.Dir, "scripts", "scenarios")))
	if err != nil {
		return err
	}
	p := newPlayer(options.Replay, hub, events)
	page.clock = p.clock
	page.asked = nil
	page.mux.HandleFunc("POST /replay/{to}", page.guarded(p.move))
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() { p.run(ctx) })
	return serve(ctx, l, listener, page, &parts, "the recording "+options.Replay, options.Open)
}
