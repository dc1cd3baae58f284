package console

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"
)

// Facts is what the engine and SPIRE's own CLI say of the lab, as scripts/console.sh asks them. What got no
// answer is nil.
type Facts struct {
	Containers   []Container  `json:"containers"`
	Entries      *entries     `json:"entries"`
	Agents       *agents      `json:"agents"`
	Authorities  *authorities `json:"authorities"`
	Observations []*observer  `json:"observations"`
}

// Container is one of the lab's.
type Container struct {
	Service   string   `json:"service"`
	User      string   `json:"user"`
	Status    string   `json:"status"` // running, paused, exited, ...
	Addresses []string `json:"addresses"`
}

type spiffeID struct {
	TrustDomain string `json:"trust_domain"`
	Path        string `json:"path"`
}

func (id spiffeID) String() string { return "spiffe://" + id.TrustDomain + id.Path }

type selector struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func (s selector) String() string { return s.Type + ":" + s.Value }

type entries struct {
	Entries []struct {
		ID        string     `json:"id"`
		SPIFFEID  spiffeID   `json:"spiffe_id"`
		ParentID  spiffeID   `json:"parent_id"`
		Selectors []selector `json:"selectors"`
	} `json:"entries"`
}

type agents struct {
	Agents []struct {
		ID        spiffeID    `json:"id"`
		Selectors []selector  `json:"selectors"`
		Banned    bool        `json:"banned"`
		ExpiresAt json.Number `json:"x509svid_expires_at"`
	} `json:"agents"`
}

type authority struct {
	ID        string      `json:"authority_id"`
	ExpiresAt json.Number `json:"expires_at"`
}

type authorities struct {
	Active   *authority `json:"active"`
	Prepared *authority `json:"prepared"`
	Old      *authority `json:"old"`
}

// observer is what host observer prints: what one user of the host gets from the Workload API.
type observer struct {
	User  string `json:"user"`
	SVIDs []struct {
		ID       string    `json:"id"`
		Serial   string    `json:"serial"`
		NotAfter time.Time `json:"notAfter"`
		SignedBy string    `json:"signedBy"`
	} `json:"svids"`
	Bundles []struct {
		TrustDomain string `json:"trustDomain"`
		Authorities []struct {
			Key string `json:"key"`
		} `json:"authorities"`
	} `json:"bundles"`
}

// ParseFacts reads one JSON object.
func ParseFacts(text []byte) (Facts, error) {
	var facts Facts
	if err := json.Unmarshal(text, &facts); err != nil {
		return Facts{}, fmt.Errorf("facts: %w", err)
	}
	return facts, nil
}

func (f Facts) service(address string) string {
	for _, container := range f.Containers {
		for _, known := range container.Addresses {
			if known == address {
				return container.Service
			}
		}
	}
	return ""
}

func (f Facts) user(service string) string {
	for _, container := range f.Containers {
		if container.Service == service {
			return container.User
		}
	}
	return ""
}

// away is the services among these that do not run.
func (f Facts) away(services ...string) []string {
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
	for _, entry := range f.Entries.Entries {
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

const (
	// hostAgent is the agent of the lab's host. Its name is in the host's certificate.
	hostAgent = "spiffe://example.org/spire/agent/x509pop/host"
	// serverPath is the path of the parent of aliases: an agent with the selectors of such an entry gets
	// the entries below its SPIFFE ID.
	serverPath = "/spire/server"
)

// parents are the SPIFFE IDs whose entries the SPIRE server sends to the host's agent: the agent's own ID,
// its aliases, and the SPIFFE IDs of all entries below these.
func (f Facts) parents() map[string]bool {
	// Before it attests, this one is known: the lab's server sets agent_spiffe_id_as_selector.
	has := map[string]bool{"spiffe_id:" + hostAgent: true}
	for _, agent := range f.Agents.Agents {
		if agent.ID.String() == hostAgent {
			for _, s := range agent.Selectors {
				has[s.String()] = true
			}
		}
	}
	parents := map[string]bool{hostAgent: true}
	for _, entry := range f.Entries.Entries {
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
		for _, entry := range f.Entries.Entries {
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
	Known    bool      `json:"known"` // have there been facts yet?
	Away     []string  `json:"away"`
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

// shown is the order in which containers are shown: as a story, not by name.
var shown = []string{"node", "client", "server", "spire-agent", "spire-server"}

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
	state := State{Known: known != nil, Away: f.away("spire-server", "spire-agent", "server", "client")}
	signed := map[string]string{}
	for _, w := range f.Observations {
		if w == nil {
			continue
		}
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
	containers := append([]Container(nil), f.Containers...)
	sort.SliceStable(containers, func(i, j int) bool { return order[containers[i].Service] < order[containers[j].Service] })
	for _, c := range containers {
		if c.Service == "bootstrap" {
			continue
		}
		who := Who{Service: c.Service, User: c.User, Status: c.Status}
		if svid, ok := svids[c.Service]; ok && c.Status == "running" {
			svid.SignedBy = signed[svid.Serial]
			who.SVID = &svid
		}
		state.Who = append(state.Who, who)
	}
	if f.Agents != nil {
		for _, a := range f.Agents.Agents {
			state.Agents = append(state.Agents, Agent{ID: a.ID.String(), Banned: a.Banned, Expires: unix(a.ExpiresAt)})
		}
	}
	if f.Authorities != nil {
		for _, known := range []struct {
			state string
			*authority
		}{{"active", f.Authorities.Active}, {"prepared", f.Authorities.Prepared}, {"old", f.Authorities.Old}} {
			if known.authority != nil && known.ID != "" {
				state.Trust.Authorities = append(state.Trust.Authorities, Authority{ID: known.ID, State: known.state, Expires: unix(known.ExpiresAt)})
			}
		}
	}
	return state
}

func unix(seconds json.Number) time.Time {
	n, err := seconds.Int64()
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
