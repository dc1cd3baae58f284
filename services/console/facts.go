package main

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
	Containers  []Container  `json:"containers"`
	Entries     *entries     `json:"entries"`
	Agents      *agents      `json:"agents"`
	Authorities *authorities `json:"authorities"`
	Witnesses   []*witness   `json:"witnesses"`
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

// witness is what services/witness prints: what one user of the host gets from the Workload API.
type witness struct {
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

// Why compares what the agent saw of a process with what each registration entry of its host wants.
type Why struct {
	User      string     `json:"user,omitempty"`
	Selectors []string   `json:"selectors"` // of the process
	Entries   []WhyEntry `json:"entries"`   // those that come nearest first
}

// WhyEntry is one entry, and which of its selectors the process does not have.
type WhyEntry struct {
	ID        string   `json:"id"`
	SPIFFEID  string   `json:"spiffeID"`
	Selectors []string `json:"selectors"`
	Missing   []string `json:"missing"`
}

// Why explains which entries the process with these selectors matches, and which not. An entry matches if
// the process has each of its selectors (SPIRE: "Working with SVIDs", registration entries).
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
	if f.Entries == nil {
		return why
	}
	for _, entry := range f.Entries.Entries {
		if strings.HasPrefix(entry.ParentID.Path, "/spire/server") || len(entry.Selectors) == 0 || entry.Selectors[0].Type == "spiffe_id" {
			continue // a host's name, and no workload's
		}
		e := WhyEntry{ID: entry.ID, SPIFFEID: entry.SPIFFEID.String()}
		for _, s := range entry.Selectors {
			e.Selectors = append(e.Selectors, s.String())
			if !has[s.String()] {
				e.Missing = append(e.Missing, s.String())
			}
		}
		why.Entries = append(why.Entries, e)
	}
	sort.SliceStable(why.Entries, func(i, j int) bool {
		return len(why.Entries[i].Missing) < len(why.Entries[j].Missing)
	})
	return why
}

// SVID is one X.509-SVID that a program holds.
type SVID struct {
	ID       string    `json:"id"`
	Serial   string    `json:"serial"`
	Expires  time.Time `json:"expires"`
	Since    time.Time `json:"since"`
	SignedBy string    `json:"signedBy,omitempty"` // the CA's key
}

// Who is one container, as the page's second part shows it.
type Who struct {
	Service string `json:"service"`
	User    string `json:"user,omitempty"`
	Status  string `json:"status"`
	SVID    *SVID  `json:"svid,omitempty"`
}

// Trust is what the page's fourth part shows.
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
	for _, w := range f.Witnesses {
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
