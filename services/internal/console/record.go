package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// format identifies a recording. It is in the first line.
const format = "spiffe-lab console 1"

// event is one line of a recording: what the console learned at one time. Only the time and one other field are set.
type event struct {
	Format string    `json:"recording,omitempty"`
	At     time.Time `json:"at,omitzero"`      // by the engine's clock
	Log    string    `json:"log,omitempty"`    // a line of `docker compose logs`
	Screen string    `json:"screen,omitempty"` // a line of a scenario's screen
	Idle   bool      `json:"idle,omitempty"`   // no scenario runs
	Facts  parts     `json:"facts,omitempty"`  // the parts of the facts that have changed
}

// parts are the fields of Facts by their names, without values that are empty or that the page does not use.
type parts map[string]json.RawMessage

// recorder writes down what a Hub receives.
type recorder struct {
	out     *json.Encoder
	known   parts
	command string // the latest on the screen; it is written when its output makes a row
	idle    bool   // whether the latest event is that no scenario runs
	broken  error
}

func (r *recorder) write(e event) {
	if r.broken == nil {
		r.broken = r.out.Encode(e)
	}
}

// facts writes the parts that have changed.
func (r *recorder) facts(known Facts, at time.Time) {
	changed := parts{}
	now := known.parts()
	for name, part := range now {
		if !bytes.Equal(part, r.known[name]) {
			changed[name] = part
		}
	}
	if r.known = now; len(changed) > 0 {
		r.write(event{At: at, Facts: changed})
	}
}

// screen writes only those lines of a scenario's screen that the page shows. All other output of programs may be long or secret.
func (r *recorder) screen(text string, at time.Time, rows bool) {
	r.idle = false
	switch word, _, _ := strings.Cut(text, " "); {
	case word == "command":
		r.command = text
	case word != "said":
		r.write(event{At: at, Screen: text})
	case rows:
		if r.command != "" {
			r.write(event{At: at, Screen: r.command})
		}
		r.command = ""
		r.write(event{At: at, Screen: text})
	}
}

// noScenario writes the event that no scenario runs, but only once until the next scenario.
func (r *recorder) noScenario(at time.Time) {
	if !r.idle {
		r.write(event{At: at, Idle: true})
	}
	r.idle = true
}

// parts returns the parts of the facts that the page uses.
func (f Facts) parts() parts {
	used := Facts{Entries: slices.Clone(f.Entries), Agents: f.Agents, Authorities: f.Authorities, Unknown: f.Unknown}
	if f.Containers != nil {
		used.Containers = []facts.Container{}
	}
	for _, c := range f.Containers {
		one := facts.Container{Service: c.Service, User: c.User, Status: c.Status, Networks: map[string]facts.Network{}}
		for name, network := range c.Networks {
			one.Networks[name] = facts.Network{Address: network.Address}
		}
		used.Containers = append(used.Containers, one)
	}
	slices.SortStableFunc(used.Containers, func(a, b facts.Container) int { return strings.Compare(a.Service, b.Service) })
	for _, o := range f.Observations {
		one := &observation.Observation{User: o.User, UID: o.UID, GID: o.GID, Program: o.Program, Programs: o.Programs, SVIDs: o.SVIDs}
		for _, bundle := range o.Bundles {
			few := observation.Bundle{TrustDomain: bundle.TrustDomain}
			for _, authority := range bundle.Authorities {
				few.Authorities = append(few.Authorities, observation.Certificate{Key: authority.Key})
			}
			one.Bundles = append(one.Bundles, few)
		}
		used.Observations = append(used.Observations, one)
	}
	all := parts{}
	for name, value := range map[string]any{"containers": used.Containers, "entries": used.Entries, "agents": used.Agents,
		"authorities": used.Authorities, "observations": used.Observations, "unknown": used.Unknown} {
		all[name] = lean(value)
	}
	return all
}

// lean returns the value as JSON, without empty values.
func lean(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	var plain any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&plain) != nil {
		return nil
	}
	if plain = withoutEmpty(plain); plain == nil {
		return text // the value itself is empty
	}
	text, _ = json.Marshal(plain)
	return text
}

func withoutEmpty(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, part := range v {
			if v[name] = withoutEmpty(part); v[name] == nil {
				delete(v, name)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = withoutEmpty(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	case string:
		if v == "" || v == "0001-01-01T00:00:00Z" {
			return nil
		}
	case json.Number:
		if v == "0" {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return value
}

// The method together makes Facts from the parts.
func (p parts) together() (Facts, error) {
	var f Facts
	var errs []error
	for name, into := range map[string]any{"containers": &f.Containers, "entries": &f.Entries, "agents": &f.Agents,
		"authorities": &f.Authorities, "observations": &f.Observations, "unknown": &f.Unknown} {
		if text, ok := p[name]; ok {
			if err := json.Unmarshal(text, into); err != nil {
				errs = append(errs, fmt.Errorf("the %s: %w", name, err))
			}
		}
	}
	return f, errors.Join(errs...)
}

// Record makes the hub write down the current facts and SVIDs, and then everything that it receives. The writer out must not have any
// content yet.
func (h *Hub) Record(out io.Writer, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &recorder{out: json.NewEncoder(out), known: parts{}, idle: true}
	r.out.SetEscapeHTML(false)
	r.write(event{Format: format, At: now})
	r.facts(h.facts, now)
	for _, service := range slices.Sorted(maps.Keys(h.held)) {
		r.write(event{At: now, Log: h.held[service]})
	}
	h.recorder = r
}

// createRecording makes the file for a recording.
func createRecording(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, &engine.Problem{What: "the file " + name + " already exists, and a recording does not replace a file", Remedy: "give --record a new name"}
	case err != nil:
		return nil, &engine.Problem{What: "the recording cannot be written: " + err.Error(), Remedy: "give --record a file in a folder that you may write to"}
	}
	return file, nil
}

// longestEvent is the maximum length of a recording's line, in bytes.
const longestEvent = 4 << 20

func readRecording(name string) ([]event, error) {
	wrong := func(what string) error {
		return &engine.Problem{What: name + " is not a recording of the console: " + what, Remedy: "make one with scripts/lab console --record FILE"}
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, &engine.Problem{What: "the recording cannot be read: " + err.Error(), Remedy: "make one with scripts/lab console --record FILE"}
	}
	defer file.Close()
	var events []event
	scan := bufio.NewScanner(file)
	scan.Buffer(nil, longestEvent)
	known := parts{}
	for line := 1; scan.Scan(); line++ {
		var e event
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil {
			if line > 1 && !scan.Scan() {
				break // the console was killed while it wrote the last line
			}
			return nil, wrong(fmt.Sprintf("line %d: %v", line, err))
		}
		if line == 1 && e.Format != format {
			return nil, wrong(fmt.Sprintf("its first line does not say %q", format))
		}
		maps.Copy(known, e.Facts)
		if _, err := known.together(); err != nil {
			return nil, wrong(fmt.Sprintf("line %d: %v", line, err))
		}
		events = append(events, e)
	}
	if scan.Err() != nil {
		return nil, wrong(scan.Err().Error())
	}
	if len(events) < 2 {
		return nil, wrong("it has no event")
	}
	return events[1:], nil
}
