package console

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// Facts are the answers of the engine and of SPIRE's CLI about the lab. A field without an answer is nil.
type Facts struct {
	Containers   []facts.Container
	Entries      []facts.Entry
	Agents       []facts.Agent
	Authorities  *facts.Authorities
	Observations []*observation.Observation // from the workloads that answered

	// Unknown has the reason for each question that got no answer, by the question.
	Unknown map[string]string
}

func (f Facts) service(address string) string {
	for _, container := range f.Containers {
		for _, known := range container.Networks {
			if known.Address == address && address != "" {
				return container.Service
			}
		}
	}
	return ""
}

// user returns the name of the user that a service's container runs as, or nothing.
func (f Facts) user(service string) string {
	for _, container := range f.Containers {
		if container.Service == service && strings.Trim(container.User, "0123456789:") != "" {
			return container.User
		}
	}
	return ""
}

// status returns the status of a service's container, or nothing.
func (f Facts) status(service string) string {
	for _, container := range f.Containers {
		if container.Service == service {
			return container.Status
		}
	}
	return ""
}

// gone reports whether a service has no container that could answer. A paused container does not count as gone, because it may answer when
// it resumes.
func (f Facts) gone(service string) bool {
	status := f.status(service)
	return f.Containers != nil && (status == "" || status == "created" || status == "exited" || status == "dead")
}

// down returns the services of this list that are not running.
func (f Facts) down(services ...string) []string {
	var missing []string
	for _, service := range services {
		running := false
		for _, container := range f.Containers {
			running = running || container.Service == service && container.Status == "running"
		}
		if !running {
			missing = append(missing, service)
		}
	}
	return missing
}

// Why compares the selectors that the agent found for a process with the selectors of each registration entry.
type Why struct {
	User      string     `json:"user,omitempty"`
	Selectors []string   `json:"selectors"` // of the process
	Entries   []WhyEntry `json:"entries"`   // the best match first
}

// WhyEntry is one entry, and what keeps the process from getting the SPIFFE ID of this entry.
type WhyEntry struct {
	ID          string   `json:"id"`
	SPIFFEID    string   `json:"spiffeID"`
	Parent      string   `json:"parent"`
	Undelivered bool     `json:"undelivered"` // the host's agent does not get the entry, because of the parent
	Selectors   []string `json:"selectors"`
	Missing     []string `json:"missing"` // the selectors that the process does not have
}

func (e WhyEntry) lacks() int {
	if e.Undelivered {
		return len(e.Missing) + 1
	}
	return len(e.Missing)
}

// Why explains which entries the process with these selectors matches. An entry matches if the host's agent gets the entry and the process
// has all selectors of the entry (SPIRE 1.15.3, doc/spire_agent.md and pkg/server/authorizedentries).
func (f Facts) Why(selectors []string) *Why {
	why := &Why{}
	has := map[string]bool{}
	for _, s := range selectors {
		if s == "" {
			continue
		}
		has[s] = true
		why.Selectors = append(why.Selectors, s)
		if user, ok := strings.CutPrefix(s, "unix:user:"); ok {
			why.User = user
		}
	}
	if f.Entries == nil || f.Agents == nil {
		return why
	}
	parents := f.parents()
	for _, entry := range f.Entries {
		if entry.ParentID.Path == serverPath || len(entry.Selectors) == 0 || entry.Selectors[0].Type == "spiffe_id" {
			continue // an entry for an agent, not for a process
		}
		e := WhyEntry{ID: entry.ID, SPIFFEID: entry.SPIFFEID.String(), Parent: entry.ParentID.String(), Undelivered: !parents[entry.ParentID.String()]}
		for _, s := range entry.Selectors {
			e.Selectors = append(e.Selectors, s.String())
			if !has[s.String()] {
				e.Missing = append(e.Missing, s.String())
			}
		}
		why.Entries = append(why.Entries, e)
	}
	sort.SliceStable(why.Entries, func(i, j int) bool { return why.Entries[i].lacks() < why.Entries[j].lacks() })
	return why
}

// serverPath is the parent's path in every alias entry. An agent that has the selectors of an alias gets the entries whose parent is the
// alias's SPIFFE ID.
const serverPath = "/spire/server"

// parents returns the parents whose entries the SPIRE server sends to the host's agent: the agent's ID, its aliases, and the SPIFFE IDs of
// all descendant entries.
func (f Facts) parents() map[string]bool {
	// The agent's own ID is a selector, because server.conf sets agent_spiffe_id_as_selector. So this selector is known before the agent
	// attests.
	has := map[string]bool{"spiffe_id:" + lab.AgentID: true}
	for _, agent := range f.Agents {
		if agent.ID.String() == lab.AgentID {
			for _, s := range agent.Selectors {
				has[s.String()] = true
			}
		}
	}
	parents := map[string]bool{lab.AgentID: true}
	for _, entry := range f.Entries {
		alias := entry.ParentID.Path == serverPath
		for _, s := range entry.Selectors {
			alias = alias && has[s.String()]
		}
		if alias {
			parents[entry.SPIFFEID.String()] = true
		}
	}
	for before := 0; before < len(parents); {
		before = len(parents)
		for _, entry := range f.Entries {
			if parents[entry.ParentID.String()] {
				parents[entry.SPIFFEID.String()] = true
			}
		}
	}
	return parents
}

// SVID is one X.509-SVID that a program holds.
type SVID struct {
	ID       string    `json:"id"`
	Serial   string    `json:"serial"`
	Expires  time.Time `json:"expires"`
	Since    time.Time `json:"since"`
	SignedBy string    `json:"signedBy,omitempty"` // the ID of the CA's key
}

// Who is one container, as the page's tab "Who" shows it.
type Who struct {
	Service string `json:"service"`
	User    string `json:"user,omitempty"`
	Status  string `json:"status"`
	SVID    *SVID  `json:"svid,omitempty"`
}

// Trust is what the page's tab "Trust" shows.
type Trust struct {
	Authorities []Authority `json:"authorities"` // of the SPIRE server
	Sides       []Side      `json:"sides"`
}

// Authority is one CA of the SPIRE server.
type Authority struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // active, prepared, old
	Expires time.Time `json:"expires"`
}

// Side has the trust bundles of one user's program, by trust domain.
type Side struct {
	User    string              `json:"user"`
	Bundles map[string][]string `json:"bundles"`
	Signed  string              `json:"signed,omitempty"` // the CA that signed the program's SVID
}

// State is the whole page without the rows.
type State struct {
	Project  string    `json:"project"`
	Known    bool      `json:"known"` // whether the containers are known
	Down     []string  `json:"down"`  // needed services that are not running
	Problems []string  `json:"problems,omitempty"`
	Scenario *Scenario `json:"scenario,omitempty"`
	Replay   *Replay   `json:"replay,omitempty"` // nil unless a recording is shown
	Who      []Who     `json:"who"`
	Agents   []Agent   `json:"agents"`
	Why      []Why     `json:"why"` // for each user of the host that runs a program
	Trust    Trust     `json:"trust"`
}

// Agent is a SPIRE agent that has attested.
type Agent struct {
	ID      string    `json:"id"`
	Banned  bool      `json:"banned"`
	Expires time.Time `json:"expires"`
}

// shown is the order of the containers on the page, from the host to the SPIRE server.
var shown = []string{lab.Node, lab.Client, lab.Server, lab.SPIREAgent, lab.SPIREServer}

// needed are the services without which requests fail, at the latest when an SVID expires.
var needed = []string{lab.SPIREServer, lab.SPIREAgent, lab.Server, lab.Client}

// Describe combines the facts with the SVIDs that the programs have logged.
func (f Facts) Describe(svids map[string]SVID) State {
	state := State{Known: f.Containers != nil, Problems: f.problems()}
	if state.Known {
		state.Down = f.down(needed...)
	}
	signed := map[string]string{}
	for _, w := range f.Observations {
		side := Side{User: w.User, Bundles: map[string][]string{}}
		for _, bundle := range w.Bundles {
			for _, authority := range bundle.Authorities {
				side.Bundles[bundle.TrustDomain] = append(side.Bundles[bundle.TrustDomain], authority.Key)
			}
		}
		for _, svid := range w.SVIDs {
			signed[svid.Serial] = svid.SignedBy
			if side.Signed == "" {
				side.Signed = svid.SignedBy
			}
		}
		state.Trust.Sides = append(state.Trust.Sides, side)
		if w.User != "" {
			state.Why = append(state.Why, *f.Why(selectorsOf(w)))
		}
	}
	order := map[string]int{}
	for i, service := range shown {
		order[service] = i - len(shown)
	}
	containers := slices.Clone(f.Containers)
	sort.SliceStable(containers, func(i, j int) bool { return order[containers[i].Service] < order[containers[j].Service] })
	for _, c := range containers {
		if c.Service == lab.Bootstrap {
			continue
		}
		who := Who{Service: c.Service, User: c.User, Status: c.Status}
		if svid, ok := svids[c.Service]; ok && c.Status == "running" {
			svid.SignedBy = signed[svid.Serial]
			who.SVID = &svid
		}
		state.Who = append(state.Who, who)
	}
	for _, a := range f.Agents {
		state.Agents = append(state.Agents, Agent{ID: a.ID.String(), Banned: a.Banned, Expires: time.Unix(a.ExpiresAt, 0).UTC()})
	}
	if f.Authorities != nil {
		for _, known := range []struct {
			state string
			*facts.Authority
		}{{"active", f.Authorities.Active}, {"prepared", f.Authorities.Prepared}, {"old", f.Authorities.Old}} {
			if known.Authority != nil && known.ID != "" {
				state.Trust.Authorities = append(state.Trust.Authorities, Authority{ID: known.ID, State: known.state, Expires: time.Unix(known.ExpiresAt, 0).UTC()})
			}
		}
	}
	return state
}

// selectorsOf returns the selectors that the agent finds for a workload. They come from the observer of the workload's user.
func selectorsOf(o *observation.Observation) []string {
	selectors := []string{"unix:user:" + o.User}
	if o.UID != 0 {
		selectors = append(selectors, fmt.Sprintf("unix:uid:%d", o.UID), fmt.Sprintf("unix:gid:%d", o.GID))
	}
	for path, sum := range o.Programs {
		if strings.HasSuffix(path, "/"+o.Program) {
			selectors = append(selectors, "unix:path:"+path, "unix:sha256:"+sum)
		}
	}
	return selectors
}

// problems returns a sentence for each reason why something is unknown.
func (f Facts) problems() []string {
	questions := map[string][]string{}
	for _, question := range slices.Sorted(maps.Keys(f.Unknown)) {
		reason := f.Unknown[question]
		questions[reason] = append(questions[reason], question)
	}
	var all []string
	for _, reason := range slices.Sorted(maps.Keys(questions)) {
		all = append(all, "cannot tell "+strings.Join(questions[reason], ", ")+": "+reason)
	}
	return all
}
