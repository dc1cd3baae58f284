package console

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// Facts is what the engine and SPIRE's own CLI say of the lab. What got no answer is nil, and Unknown says why.
type Facts struct {
	Containers   []facts.Container
	Entries      []facts.Entry
	Agents       []facts.Agent
	Authorities  *facts.Authorities
	Observations []*observation.Observation // of those users whose workload answered

	// Unknown has a sentence for each question that got no answer, by the question.
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

// user returns the user of a service's container by name, or nothing.
func (f Facts) user(service string) string {
	for _, container := range f.Containers {
		if container.Service == service && strings.Trim(container.User, "0123456789:") != "" {
			return container.User
		}
	}
	return ""
}

// down returns the services among these that do not run.
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

// Why compares the selectors that the agent found for a process with those of each registration entry.
type Why struct {
	User      string     `json:"user,omitempty"`
	Selectors []string   `json:"selectors"` // of the process
	Entries   []WhyEntry `json:"entries"`   // the nearest first
}

// WhyEntry is one entry, and why the process does not get its SPIFFE ID.
type WhyEntry struct {
	ID          string   `json:"id"`
	SPIFFEID    string   `json:"spiffeID"`
	Parent      string   `json:"parent"`
	Undelivered bool     `json:"undelivered"` // the host's agent does not get the entry: it has another parent
	Selectors   []string `json:"selectors"`
	Missing     []string `json:"missing"` // those that the process does not have
}

// lacks is how much keeps the entry from the process.
func (e WhyEntry) lacks() int {
	if e.Undelivered {
		return len(e.Missing) + 1
	}
	return len(e.Missing)
}

// Why explains which entries the process with these selectors matches, and which not. An entry counts if
// the host's agent gets it and the process has each of its selectors (SPIRE 1.15.3, doc/spire_agent.md and
// pkg/server/authorizedentries).
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
			continue // of agents, and of no process
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

// serverPath is the path of the parent of aliases: an agent with the selectors of such an entry gets the entries below its SPIFFE ID.
const serverPath = "/spire/server"

// parents are the SPIFFE IDs whose entries the SPIRE server sends to the host's agent: the agent's own ID,
// its aliases, and the SPIFFE IDs of all entries below these.
func (f Facts) parents() map[string]bool {
	// Before it attests, this one is known: the lab's server sets agent_spiffe_id_as_selector.
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
	SignedBy string    `json:"signedBy,omitempty"` // the CA's key
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

// Side is whom the program of one user trusts, by trust domain.
type Side struct {
	User    string              `json:"user"`
	Bundles map[string][]string `json:"bundles"`
	Signed  string              `json:"signed,omitempty"` // the CA that has signed its SVID
}

// State is all of the page but the rows.
type State struct {
	Project  string    `json:"project"`
	Known    bool      `json:"known"` // whether the containers are known
	Down     []string  `json:"down"`  // services that the lab needs and that do not run
	Problems []string  `json:"problems,omitempty"`
	Scenario *Scenario `json:"scenario,omitempty"`
	Who      []Who     `json:"who"`
	Agents   []Agent   `json:"agents"`
	Why      []Why     `json:"why"` // the users of the host that have programs running
	Trust    Trust     `json:"trust"`
}

// Agent is one that has attested.
type Agent struct {
	ID      string    `json:"id"`
	Banned  bool      `json:"banned"`
	Expires time.Time `json:"expires"`
}

// shown is the order in which containers are shown: from the client to the SPIRE server.
var shown = []string{lab.Node, lab.Client, lab.Server, lab.SPIREAgent, lab.SPIREServer}

// needed are the services without which the lab serves nobody for long.
var needed = []string{lab.SPIREServer, lab.SPIREAgent, lab.Server, lab.Client}

// Describe puts together what the facts and the programs' own lines say; a service that has ended since the
// facts were asked for does not run.
func (f Facts) Describe(svids map[string]SVID, ended map[string]bool) State {
	known := f.Containers
	f.Containers = nil
	for _, c := range known {
		if ended[c.Service] && c.Status == "running" {
			c.Status = "exited"
		}
		f.Containers = append(f.Containers, c)
	}
	state := State{Known: known != nil, Problems: f.problems()}
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
			state.Why = append(state.Why, *f.Why([]string{"unix:user:" + w.User}))
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
