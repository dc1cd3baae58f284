package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/testimony"
)

// spireCLI is how one types what is said after it.
const spireCLI = "docker compose exec spire-server /opt/spire/bin/spire-server "

const bootstrapAgain = "docker compose run --rm bootstrap puts the lab's entries back as they were"

// The registration entries, against what each program is.
var entryChecks = []check{
	{"LAB061", "`no identity issued`, or an SVID of somebody else", "a program runs as another user than its entry is for",
		"compose.yaml: user:, and docker compose up --detach", "scripts/scenarios/unregistered.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				c := l.Service(w.service)
				if c == nil || len(l.Users) == 0 {
					continue
				}
				if is := l.UserOf(c); is.Name != w.user {
					return &evidence{
						finding: w.service + " runs as another user than its entry is for",
						seen:    fmt.Sprintf("%s runs as %s", w.service, named(is)), expected: w.user,
						do: fmt.Sprintf("give it user: %s (compose.yaml), and docker compose up --detach %s", w.user, w.service),
					}
				}
			}
			return nil
		}},
	{"LAB062", "`no identity issued`, for every user", "no entry names the host: its agent gets no entry at all",
		bootstrapAgain, "scripts/scenarios/wrong-parent.md",
		func(l *lab) *evidence {
			if !l.Section("entries").OK() || len(l.hosts()) > 1 {
				return nil
			}
			for _, e := range l.Entries {
				if e.SPIFFEID.String() == hostID {
					return &evidence{
						seen:     fmt.Sprintf("the entry for %s has the parent %s and the selectors %s", hostID, e.ParentID, list(e)),
						expected: fmt.Sprintf("the parent %s and the selector spiffe_id:%s", aliasOf, agentID),
					}
				}
			}
			return &evidence{seen: "no entry for " + hostID, expected: fmt.Sprintf("one for the agent %s", agentID)}
		}},
	{"LAB063", "`no identity issued`", "a program has no entry",
		bootstrapAgain, "scripts/scenarios/unregistered.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				if c := l.Service(w.service); c != nil && l.Section("entries").OK() && len(l.entriesOf(w.id)) == 0 && len(l.matching(c)) == 0 {
					return &evidence{
						finding:  w.service + " has no entry",
						seen:     fmt.Sprintf("no entry for %s, and none whose selectors %s has: %s", w.id, w.service, l.has(c)),
						expected: fmt.Sprintf("one for it, with unix:user:%s", w.user),
						do:       fmt.Sprintf(spireCLI+"entry create -parentID %s -spiffeID %s -selector unix:user:%s", hostID, w.id, w.user),
					}
				}
			}
			return nil
		}},
	{"LAB064", "`unexpected ID`", "an entry gives a program another SPIFFE ID than its peer expects",
		"spire-server entry update, with the right -spiffeID", "scripts/scenarios/bad-server-id.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				c := l.Service(w.service)
				if c == nil || len(l.entriesOf(w.id)) > 0 {
					continue
				}
				if is := l.matching(c); len(is) > 0 {
					return &evidence{
						finding: fmt.Sprintf("the entry of %s gives it another SPIFFE ID than its peer expects", w.service),
						seen:    fmt.Sprintf("%s (entry %s)", is[0].SPIFFEID, is[0].ID), expected: w.id,
						do: fmt.Sprintf(spireCLI+"entry update -entryID %s -parentID %s -spiffeID %s%s", is[0].ID, is[0].ParentID, w.id, flags(is[0])),
					}
				}
			}
			return nil
		}},
	{"LAB065", "`no identity issued`, with an entry that has the right selectors", "an entry has another parent than this host: it is delivered elsewhere",
		"spire-server entry update, with -parentID " + hostID, "scripts/scenarios/wrong-parent.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				e := l.nearest(w)
				if e == nil || slices.Contains(l.hosts(), e.ParentID.String()) {
					continue
				}
				return &evidence{
					finding: fmt.Sprintf("the entry of %s has another parent than this host: it is delivered elsewhere", w.service),
					seen:    fmt.Sprintf("parent %s (entry %s)", e.ParentID, e.ID), expected: hostID,
					do: fmt.Sprintf(spireCLI+"entry update -entryID %s -parentID %s -spiffeID %s%s", e.ID, hostID, w.id, flags(*e)),
				}
			}
			return nil
		}},
	{"LAB066", "`no identity issued`, since the programs were built anew", "an entry is pinned to a program's hash, and the program is another one now",
		"sha256sum of the program that runs: spire-server entry update, with that -selector unix:sha256:", "scripts/scenarios/stolen-user.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				e := l.nearest(w)
				if e == nil {
					continue
				}
				has, _ := l.Selectors(l.Service(w.service))
				for _, s := range e.Selectors {
					want, pinned := strings.CutPrefix(s.String(), "unix:sha256:")
					is := withPrefix(has, "unix:sha256:")
					if pinned && is != "" && is != want {
						return &evidence{
							finding: fmt.Sprintf("the entry of %s is pinned to a program's hash, and the program is another one now", w.service),
							seen:    fmt.Sprintf("%s: unix:sha256:%s", l.Service(w.service).Program(), is), expected: fmt.Sprintf("unix:sha256:%s (entry %s)", want, e.ID),
						}
					}
				}
			}
			return nil
		}},
	{"LAB067", "`no identity issued`, with an entry that looks right", "an entry wants a selector that the program does not have",
		"spire-server entry update, with selectors that the program has: all of them must match", "scripts/scenarios/wrong-selector.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				e := l.nearest(w)
				if e == nil {
					continue
				}
				has, seen := l.Selectors(l.Service(w.service))
				var missing []string
				for _, s := range e.Selectors {
					if l.lacks(has, s) {
						missing = append(missing, s.String())
					}
				}
				by := "it has"
				if seen {
					by = "the agent saw"
				}
				return &evidence{
					finding:  fmt.Sprintf("the entry of %s wants what %s does not have: %s", w.service, w.service, strings.Join(missing, ", ")),
					seen:     fmt.Sprintf("%s %s", by, shown(has)),
					expected: fmt.Sprintf("all of %s (entry %s)", list(*e), e.ID),
					do:       fmt.Sprintf(spireCLI+"entry update -entryID %s -parentID %s -spiffeID %s -selector unix:user:%s", e.ID, hostID, w.id, w.user),
				}
			}
			return nil
		}},
	{"LAB068", "`unexpected ID`, although the entry is right", "two entries match one program, and it takes the first SVID",
		"spire-server entry delete -entryID of the one that should not be", "scripts/scenarios/wrong-selector.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				t := l.Witnesses[w.user]
				if t == nil || len(t.SVIDs) < 2 || t.SVIDs[0].ID == w.id {
					continue
				}
				var ids []string
				for _, s := range t.SVIDs {
					ids = append(ids, s.ID)
				}
				e := evidence{
					finding: fmt.Sprintf("several entries match %s, and the program takes the first SVID", w.service),
					seen:    fmt.Sprintf("%s gets, in this order: %s", w.user, strings.Join(ids, ", ")), expected: w.id + " alone",
				}
				for _, other := range l.matching(l.Service(w.service)) {
					if other.SPIFFEID.String() != w.id {
						e.do = spireCLI + "entry delete -entryID " + other.ID
					}
				}
				return &e
			}
			return nil
		}},
	{"LAB069", "`no identity issued`, although `make entries` is right", "the agent has not got the entry: it cannot hear of anything new from the SPIRE server",
		"docker compose logs spire-agent; docker compose restart spire-agent", outages,
		func(l *lab) *evidence {
			for _, w := range workloads {
				if !l.undelivered(w) || !l.waited() {
					continue
				}
				t, c := l.Witnesses[w.user], l.Service(w.service)
				return &evidence{
					seen:     fmt.Sprintf("%s: %s%s", w.user, t.Endpoint.Error, because(l.lastError("spire-agent"))),
					expected: fmt.Sprintf("an SVID by the entry %s", l.matching(c)[0].ID),
				}
			}
			return nil
		}},
}

// hosts are the IDs by which entries may name this host as their parent: its agent's, and every alias of it.
func (l *lab) hosts() []string {
	ids := []string{agentID}
	var has []string
	for _, a := range l.Agents {
		if a.ID.String() == agentID {
			for _, s := range a.Selectors {
				has = append(has, s.String())
			}
		}
	}
	if has == nil {
		has = []string{"spiffe_id:" + agentID} // as it will be once it attests
	}
	for _, e := range l.Entries {
		if e.ParentID.String() == aliasOf && l.fits(e, has) {
			ids = append(ids, e.SPIFFEID.String())
		}
	}
	return ids
}

// lacks tells whether a program is known not to have a selector. Without an answer about the users or the
// programs, what depends on it is not known.
func (l *lab) lacks(has []string, s facts.Selector) bool {
	if slices.Contains(has, s.String()) {
		return false
	}
	kind, _, _ := strings.Cut(s.Value, ":")
	switch kind {
	case "uid", "user", "gid", "supplementary_gid":
		return len(l.Users) > 0 || withPrefix(has, "unix:"+kind+":") != ""
	case "sha256":
		return withPrefix(has, "unix:sha256:") != ""
	}
	return true
}

func (l *lab) fits(e facts.Entry, has []string) bool {
	return len(e.Selectors) > 0 && !slices.ContainsFunc(e.Selectors, func(s facts.Selector) bool { return l.lacks(has, s) })
}

// matching are the entries of this host by which a container's program gets an SVID.
func (l *lab) matching(c *facts.Container) []facts.Entry {
	has, _ := l.Selectors(c)
	return l.matchingSelectors(has)
}

func (l *lab) matchingSelectors(has []string) []facts.Entry {
	hosts := l.hosts()
	var all []facts.Entry
	for _, e := range l.Entries {
		if slices.Contains(hosts, e.ParentID.String()) && l.fits(e, has) {
			all = append(all, e)
		}
	}
	return all
}

func (l *lab) entriesOf(id string) []facts.Entry {
	var all []facts.Entry
	for _, e := range l.Entries {
		if e.SPIFFEID.String() == id {
			all = append(all, e)
		}
	}
	return all
}

// nearest is the entry for the workload's ID that comes closest to what the program is, if by none of them it
// gets its SVID; nil if by one it does, or if there is none.
func (l *lab) nearest(w workload) *facts.Entry {
	c := l.Service(w.service)
	if c == nil {
		return nil
	}
	if t := l.Witnesses[w.user]; t != nil && slices.ContainsFunc(t.SVIDs, func(s testimony.Certificate) bool { return s.ID == w.id }) {
		return nil
	}
	has, _ := l.Selectors(c)
	hosts := l.hosts()
	var best *facts.Entry
	least := 0
	for _, e := range l.entriesOf(w.id) {
		wrong := 0
		for _, s := range e.Selectors {
			if l.lacks(has, s) {
				wrong++
			}
		}
		if !slices.Contains(hosts, e.ParentID.String()) {
			wrong++
		}
		if wrong == 0 {
			return nil
		}
		if best == nil || wrong < least {
			best, least = &e, wrong
		}
	}
	return best
}

// pinned tells whether the workload's entry names its program: then the witness, another program of the
// same user, rightly gets nothing.
func (l *lab) pinned(w workload) bool {
	return slices.ContainsFunc(l.entriesOf(w.id), func(e facts.Entry) bool {
		return slices.ContainsFunc(e.Selectors, func(s facts.Selector) bool {
			return strings.HasPrefix(s.Value, "path:") || strings.HasPrefix(s.Value, "sha256:")
		})
	})
}

// undelivered tells whether the agent denies a workload what an entry gives it: the entry may be on its way.
func (l *lab) undelivered(w workload) bool {
	t, c := l.Witnesses[w.user], l.Service(w.service)
	return t != nil && t.Endpoint.Code == "PermissionDenied" && !l.pinned(w) && c != nil && len(l.matching(c)) > 0
}

func (l *lab) has(c *facts.Container) string {
	has, _ := l.Selectors(c)
	return shown(has)
}

// shown are selectors as they are told: of a hash the beginning.
func shown(selectors []string) string {
	var all []string
	for _, s := range selectors {
		if sum, ok := strings.CutPrefix(s, "unix:sha256:"); ok {
			s = "unix:sha256:" + short(sum)
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

func named(u facts.User) string {
	switch {
	case u.Name == "":
		return "uid " + u.UID + ", whom the host does not know"
	case u.UID == "":
		return u.Name + ", whom the host does not know"
	}
	return u.Name + " (uid " + u.UID + ")"
}

func list(e facts.Entry) string {
	var all []string
	for _, s := range e.Selectors {
		all = append(all, s.String())
	}
	return strings.Join(all, ", ")
}

// flags are an entry's selectors, and whom it federates with, as flags of the CLI: an update takes away
// what it does not say.
func flags(e facts.Entry) string {
	text := ""
	for _, s := range e.Selectors {
		text += " -selector " + s.String()
	}
	for _, other := range e.FederatesWith {
		text += " -federatesWith spiffe://" + strings.TrimPrefix(other, "spiffe://")
	}
	return text
}

func withPrefix(all []string, prefix string) string {
	for _, s := range all {
		if value, ok := strings.CutPrefix(s, prefix); ok {
			return value
		}
	}
	return ""
}
