package cause

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// createMissing is the remedy for missing entries. bootstrap does not change an existing entry that differs from the entry that bootstrap
// would create.
const createMissing = "create the missing entries of the lab: docker compose run --rm bootstrap"

// repeat is the end of the general remedies that use `entry update`.
const repeat = " with \"spire-server entry update\". Repeat all other fields of the entry, because an update resets each field that is not given"

// The registration entries, compared with the selectors of each program.
var entryCauses = []Cause{
	{
		Code:   "LAB061",
		Sees:   "`no identity issued`, or a wrong SVID",
		Means:  "a program does not run as the user that its entry names",
		Do:     "correct the key \"user\" in " + composeFile + ". Then run: docker compose up --detach",
		Lesson: "scripts/scenarios/unregistered.md",
		Needs:  []string{"file-passwd"},
		Stays:  true,
		look:   (*view).wrongUser,
	},
	{
		Code:   "LAB062",
		Sees:   "`no identity issued`, for every user",
		Means:  "no entry names this host, so this host's agent gets no entries",
		Do:     createMissing,
		Lesson: "scripts/scenarios/wrong-parent.md",
		Needs:  []string{"entries", "agents"},
		look:   (*view).noHostEntry,
	},
	{
		Code:   "LAB063",
		Sees:   "`no identity issued`",
		Means:  "a program has no entry",
		Do:     createMissing,
		Lesson: "scripts/scenarios/unregistered.md",
		Needs:  []string{"entries", "agents"},
		look:   (*view).noEntry,
	},
	{
		Code:   "LAB064",
		Sees:   "`unexpected ID`",
		Means:  "a program's entry has the wrong SPIFFE ID",
		Do:     "correct -spiffeID" + repeat,
		Lesson: "scripts/scenarios/bad-server-id.md",
		Needs:  []string{"entries", "agents"},
		look:   (*view).wrongSPIFFEID,
	},
	{
		Code:   "LAB065",
		Sees:   "`no identity issued`, with an entry that has the right selectors",
		Means:  "an entry has the wrong parent, so this host's agent does not get it",
		Do:     "correct -parentID" + repeat + ". If the entry belongs to another host, leave it, and create an entry for this host",
		Lesson: "scripts/scenarios/wrong-parent.md",
		Needs:  []string{"entries", "agents"},
		look:   (*view).wrongParent,
	},
	{
		Code:   "LAB066",
		Sees:   "`no identity issued` after the programs were rebuilt",
		Means:  "an entry requires a SHA-256 hash that the program file does not have",
		Do:     "find out why the program changed. If it was rebuilt on purpose, correct -selector unix:sha256:" + repeat,
		Lesson: "scripts/scenarios/stolen-user.md",
		Needs:  []string{"entries", "observer-server-workload", "observer-client-workload"},
		look:   (*view).wrongHash,
	},
	{
		Code:   "LAB067",
		Sees:   "`no identity issued`, with an entry that looks right",
		Means:  "an entry requires a selector that the program does not have",
		Do:     "correct the wrong -selector" + repeat,
		Lesson: "scripts/scenarios/wrong-selector.md",
		Needs:  []string{"entries", "observer-server-workload", "observer-client-workload"},
		look:   (*view).wrongSelector,
	},
	{
		Code:   "LAB068",
		Sees:   "`unexpected ID`, although the entry is right",
		Means:  "several entries match one program, and its default SVID is the wrong one",
		Do:     separate + " with \"spire-server entry delete\"",
		Lesson: "scripts/scenarios/two-identities.md",
		Needs:  []string{"observer-server-workload", "observer-client-workload"},
		look:   (*view).wrongDefaultSVID,
	},
	{
		Code:   "LAB069",
		Sees:   "`no identity issued`, although `make entries` shows the right entry",
		Means:  "the agent has not received the entry from the SPIRE server",
		Do:     "find out why the agent does not reach the SPIRE server (docker compose logs spire-agent). Once the agent reaches the SPIRE server, it gets the entry. Until then, do not restart the agent, because it would lose the SVIDs that it still serves",
		Lesson: outages,
		Needs:  []string{"entries", "observer-server-workload", "observer-client-workload"},
		look:   (*view).notDelivered,
	},
}

func (l *view) wrongUser() *evidence {
	return l.eachProgram(func(w workload, c *facts.Container) *evidence {
		if len(l.Users) == 0 {
			return nil
		}
		if is := l.UserOf(c); is.Name != w.user {
			return &evidence{
				finding: w.service + " does not run as the user that its entry names",
				seen:    fmt.Sprintf("%s runs as %s", w.service, named(is)), expected: w.user,
				do: fmt.Sprintf("set user: %s in %s. Then run: docker compose up --detach %s", w.user, composeFile, w.service),
			}
		}
		return nil
	})
}

func (l *view) noHostEntry() *evidence {
	if !l.Section("entries").OK() || slices.Contains(l.hosts(), lab.HostID) || !slices.ContainsFunc(workloads, func(w workload) bool { return !l.reaches(w.id) }) {
		return nil
	}
	own := hostEntry()
	e := evidence{seen: "no entry for " + lab.HostID, expected: fmt.Sprintf("an entry with the parent %s and the selector spiffe_id:%s", aliasOf, lab.AgentID)}
	for _, other := range l.entriesOf(lab.HostID) {
		e.seen = fmt.Sprintf("the entry %s for %s has the parent %s and the selectors %s", other.ID, lab.HostID, other.ParentID, list(other))
	}
	is := l.byID(own.ID)
	switch {
	case is != nil && is.SPIFFEID == own.SPIFFEID:
		right := *is
		right.ParentID = own.ParentID
		right.Selectors = slices.DeleteFunc(slices.Clone(is.Selectors), func(s facts.Selector) bool { return l.lacks(l.attested(), s) })
		if !slices.Contains(right.Selectors, own.Selectors[0]) {
			right.Selectors = append(right.Selectors, own.Selectors[0])
		}
		e.seen = fmt.Sprintf("the entry %s for %s has the parent %s and the selectors %s", is.ID, lab.HostID, is.ParentID, list(*is))
		e.run = update(right)
	case is != nil && is.ParentID == own.ParentID && l.fits(*is, l.attested()):
		right := *is
		right.SPIFFEID = own.SPIFFEID
		e.seen = fmt.Sprintf("the entry %s gives this host the SPIFFE ID %s", is.ID, is.SPIFFEID)
		e.run = update(right)
	default:
		e.do, e.run = l.creating(own)
	}
	return &e
}

func (l *view) noEntry() *evidence {
	return l.eachProgram(func(w workload, c *facts.Container) *evidence {
		if l.Section("entries").OK() && len(l.entriesOf(w.id)) == 0 && len(l.matching(c)) == 0 {
			e := evidence{
				finding:  w.service + " has no entry",
				seen:     fmt.Sprintf("no entry for %s, and no entry that matches the selectors of %s: %s", w.id, w.service, l.has(c)),
				expected: fmt.Sprintf("an entry with the selector unix:user:%s", w.user),
			}
			if is := l.byID(w.service); is != nil {
				e.finding = fmt.Sprintf("%s has no entry, because the entry with the ID %s is for %s", w.service, is.ID, is.SPIFFEID)
			}
			e.do, e.run = l.creating(w.entry())
			return &e
		}
		return nil
	})
}

func (l *view) wrongSPIFFEID() *evidence {
	return l.eachProgram(func(w workload, c *facts.Container) *evidence {
		if l.reaches(w.id) || slices.ContainsFunc(l.entriesOf(w.id), w.owns) {
			return nil
		}
		is := l.matching(c)
		if len(is) == 0 {
			return nil
		}
		if i := slices.IndexFunc(is, w.owns); i >= 0 {
			right := is[i]
			right.SPIFFEID = parsed(w.id)
			return &evidence{
				finding: fmt.Sprintf("the entry for %s has the wrong SPIFFE ID", w.service),
				seen:    fmt.Sprintf("%s (entry %s)", is[i].SPIFFEID, is[i].ID), expected: w.id,
				run: update(right),
			}
		}
		e := evidence{
			finding: fmt.Sprintf("%s matches only entries for other SPIFFE IDs", w.service),
			seen:    fmt.Sprintf("%s (entry %s)", is[0].SPIFFEID, is[0].ID), expected: w.id,
		}
		e.do, e.run = l.creating(w.entry())
		e.do = fmt.Sprintf("leave the entry %s, which may belong to another workload, and %s", is[0].ID, e.do)
		return &e
	})
}

func (l *view) wrongParent() *evidence {
	for _, w := range workloads {
		is := l.nearest(w)
		if is == nil || slices.Contains(l.hosts(), is.ParentID.String()) {
			continue
		}
		e := evidence{
			finding: fmt.Sprintf("the entry for %s has the wrong parent, so this host's agent does not get it", w.service),
			seen:    fmt.Sprintf("parent %s (entry %s)", is.ParentID, is.ID), expected: lab.HostID,
		}
		if w.owns(*is) {
			right := *is
			right.ParentID = parsed(lab.HostID)
			e.run = update(right)
			return &e
		}
		e.finding = fmt.Sprintf("%s has no entry on this host, because every entry for its SPIFFE ID has a different parent", w.service)
		e.do, e.run = l.creating(w.entry())
		e.do = fmt.Sprintf("leave the entry %s, which the %s of another host may need, and %s", is.ID, w.service, e.do)
		return &e
	}
	return nil
}

func (l *view) wrongHash() *evidence {
	for _, w := range workloads {
		e := l.nearest(w)
		if e == nil {
			continue
		}
		has, _ := l.Selectors(l.Service(w.service))
		for i, s := range e.Selectors {
			want, pinned := strings.CutPrefix(s.String(), "unix:sha256:")
			is := withPrefix(has, "unix:sha256:")
			if pinned && is != "" && is != want {
				right := *e
				right.Selectors = slices.Clone(e.Selectors)
				right.Selectors[i].Value = "sha256:" + is
				return &evidence{
					finding: fmt.Sprintf("the entry for %s requires a SHA-256 hash that the program file of %s does not have", w.service, w.service),
					seen:    fmt.Sprintf("%s: unix:sha256:%s", l.Service(w.service).Program(), is), expected: fmt.Sprintf("unix:sha256:%s (entry %s)", want, e.ID),
					do: "find out why the program changed. If it was rebuilt on purpose, give the entry the new hash", run: update(right),
				}
			}
		}
	}
	return nil
}

func (l *view) wrongSelector() *evidence {
	for _, w := range workloads {
		is := l.nearest(w)
		if is == nil {
			continue
		}
		has, seen := l.Selectors(l.Service(w.service))
		var missing []string
		for _, s := range is.Selectors {
			if l.lacks(has, s) {
				missing = append(missing, s.String())
			}
		}
		by := w.service + " has"
		if seen {
			by = "the agent saw"
		}
		e := evidence{
			finding:  fmt.Sprintf("the entry for %s requires %s, which %s does not have", w.service, strings.Join(missing, ", "), w.service),
			seen:     fmt.Sprintf("%s %s", by, shown(has)),
			expected: fmt.Sprintf("all selectors of the entry %s: %s", is.ID, list(*is)),
		}
		if other := l.othersBy(*is, w); other != "" && !w.owns(*is) {
			e.finding = fmt.Sprintf("%s has no entry, because the entry for its SPIFFE ID matches %s instead", w.service, other)
			e.do, e.run = l.creating(w.entry())
			return &e
		}
		right := *is
		right.Selectors = l.corrected(*is, w)
		e.do, e.run = "correct "+strings.Join(missing, ", ")+" and keep the other selectors", update(right)
		return &e
	}
	return nil
}

func (l *view) wrongDefaultSVID() *evidence {
	return l.eachObserved(func(w workload, t *observation.Observation) *evidence {
		if len(t.SVIDs) < 2 || t.SVIDs[0].ID == w.id {
			return nil
		}
		var ids []string
		for _, s := range t.SVIDs {
			ids = append(ids, s.ID)
		}
		e := evidence{
			finding: fmt.Sprintf("several entries match %s, and the entry whose ID sorts first gives it the wrong default SVID", w.service),
			seen:    fmt.Sprintf("%s gets, in this order: %s", w.user, strings.Join(ids, ", ")), expected: "only " + w.id,
		}
		if others := l.othersOf(w); len(others) > 0 {
			e.do, e.run = separate, remove(others[0])
		}
		return &e
	})
}

func (l *view) notDelivered() *evidence {
	for _, w := range workloads {
		if !l.undelivered(w) || !l.waited() {
			continue
		}
		t, c := l.Observations[w.user], l.Service(w.service)
		return &evidence{
			seen:     fmt.Sprintf("%s: %s%s", w.user, t.Endpoint.Error, because(l.lastError("spire-agent"))),
			expected: fmt.Sprintf("an SVID from the entry %s", l.matching(c)[0].ID),
		}
	}
	return nil
}

// separate is the remedy for a second entry that matches a program. The second entry may be meant for another workload of the program's
// user.
const separate = "find out which workload needs the entry for the other SPIFFE ID. Give that entry narrower selectors, or run that workload as a different user. " +
	"Or give each entry a -hint, by which the program picks its SVID (workloadapi.WithDefaultX509SVIDPicker). Only if no workload needs the entry for the other SPIFFE ID, delete it"

// owns tells whether an entry has the ID that the lab gives to the workload's entry. An entry with a different ID may
// belong to somebody else, so no remedy changes it.
func (w workload) owns(e facts.Entry) bool { return e.ID == w.service }

func (l *view) byID(id string) *facts.Entry {
	for i := range l.Entries {
		if l.Entries[i].ID == id {
			return &l.Entries[i]
		}
	}
	return nil
}

// creating is the remedy that creates an entry of the lab. If a different entry already has the ID of this entry, the SPIRE server
// generates a new ID.
func (l *view) creating(own facts.Entry) (do string, run []string) {
	do = fmt.Sprintf("create the entry for %s", own.SPIFFEID)
	if l.byID(own.ID) != nil {
		do += fmt.Sprintf(" with a generated ID (the ID %s is taken)", own.ID)
		own.ID = ""
	}
	return do, create(own)
}

// attested are the selectors of this host's agent.
func (l *view) attested() []string {
	var has []string
	for _, a := range l.Agents {
		if a.ID.String() == lab.AgentID {
			for _, s := range a.Selectors {
				has = append(has, s.String())
			}
		}
	}
	if has == nil {
		return []string{"spiffe_id:" + lab.AgentID} // the agent will have this selector once it attests
	}
	return has
}

// hosts are the parents whose entries this host's agent gets: the agent's SPIFFE ID, every alias of the agent, and the SPIFFE IDs of the
// entries that the agent gets. The agent gets entries at every depth: the SPIFFE ID of each entry that it gets can be the parent of further
// entries. So anyone who may create entries whose parent is a workload's SPIFFE ID can create entries for the workload's host (SPIRE,
// pkg/server/cache/entrycache, FullEntryCache.crawl).
func (l *view) hosts() []string {
	ids := []string{lab.AgentID}
	for _, e := range l.Entries {
		if e.ParentID.String() == aliasOf && l.fits(e, l.attested()) {
			ids = append(ids, e.SPIFFEID.String())
		}
	}
	for i := 0; i < len(ids); i++ {
		for _, e := range l.Entries {
			if id := e.SPIFFEID.String(); e.ParentID.String() == ids[i] && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// reaches tells whether this host's agent gets an entry for a SPIFFE ID.
func (l *view) reaches(id string) bool {
	hosts := l.hosts()
	return slices.ContainsFunc(l.entriesOf(id), func(e facts.Entry) bool { return slices.Contains(hosts, e.ParentID.String()) })
}

// othersOf are the entries by which a workload gets SVIDs for other SPIFFE IDs. The default SVID comes from the entry
// whose ID sorts first (SPIRE, pkg/agent/manager/cache, sortIdentities).
func (l *view) othersOf(w workload) []facts.Entry {
	c := l.Service(w.service)
	if c == nil {
		return nil
	}
	others := slices.DeleteFunc(l.matching(c), func(e facts.Entry) bool { return e.SPIFFEID.String() == w.id })
	slices.SortFunc(others, func(a, b facts.Entry) int { return strings.Compare(a.ID, b.ID) })
	return others
}

// othersBy is another user of this host that gets SVIDs by an entry of the workload. The text is empty if there is no such user.
func (l *view) othersBy(e facts.Entry, w workload) string {
	for _, u := range l.Users {
		for _, program := range workloads {
			c := l.Service(program.service)
			if u.Name == w.user || c == nil {
				continue
			}
			as := *c
			as.User = u.Name
			if l.fits(e, l.Derived(&as)) {
				return u.Name
			}
		}
	}
	return ""
}

// corrected are the selectors of an entry, with the values of the workload's program. A wrong value is replaced, not removed, so that the
// entry stays as narrow as before. One selector always names the user.
func (l *view) corrected(e facts.Entry, w workload) []facts.Selector {
	has, _ := l.Selectors(l.Service(w.service))
	var right []facts.Selector
	user := false
	for _, s := range e.Selectors {
		kind, _, _ := strings.Cut(s.Value, ":")
		if l.lacks(has, s) {
			value := withPrefix(has, "unix:"+kind+":")
			if s.Type != "unix" || strings.HasPrefix(kind, "supplementary") || value == "" {
				continue
			}
			s.Value = kind + ":" + value
		}
		user = user || s.Type == "unix" && (kind == "user" || kind == "uid")
		if !slices.Contains(right, s) {
			right = append(right, s)
		}
	}
	if !user {
		right = append(right, w.entry().Selectors...)
	}
	return right
}

// lacks tells whether a program is known not to have a selector. If there is no answer about the users, or about the program files, lacks
// is false for a selector that depends on this answer.
func (l *view) lacks(has []string, s facts.Selector) bool {
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

func (l *view) fits(e facts.Entry, has []string) bool {
	return len(e.Selectors) > 0 && !slices.ContainsFunc(e.Selectors, func(s facts.Selector) bool { return l.lacks(has, s) })
}

// matching are the entries of this host that match the program of a container.
func (l *view) matching(c *facts.Container) []facts.Entry {
	has, _ := l.Selectors(c)
	return l.matchingSelectors(has)
}

func (l *view) matchingSelectors(has []string) []facts.Entry {
	hosts := l.hosts()
	var all []facts.Entry
	for _, e := range l.Entries {
		if slices.Contains(hosts, e.ParentID.String()) && l.fits(e, has) {
			all = append(all, e)
		}
	}
	return all
}

func (l *view) entriesOf(id string) []facts.Entry {
	var all []facts.Entry
	for _, e := range l.Entries {
		if e.SPIFFEID.String() == id {
			all = append(all, e)
		}
	}
	return all
}

// foreign is added to the number of wrong selectors of another host's entry. It is larger than the number of selectors of any entry.
const foreign = 1 << 20

// nearest is the entry for the workload's SPIFFE ID that has the fewest wrong selectors. It is nil if the workload gets its SVID, or if
// there is no entry for this SPIFFE ID. An entry of a different host comes last.
func (l *view) nearest(w workload) *facts.Entry {
	c := l.Service(w.service)
	if c == nil {
		return nil
	}
	if t := l.Observations[w.user]; t != nil && slices.ContainsFunc(t.SVIDs, func(s observation.Certificate) bool { return s.ID == w.id }) {
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
			if !w.owns(e) {
				wrong += foreign
			}
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

// pinned tells whether the workload's entry names its program file. Then the observer, a different program of the
// same user, rightly gets no SVID.
func (l *view) pinned(w workload) bool {
	return slices.ContainsFunc(l.entriesOf(w.id), func(e facts.Entry) bool {
		return slices.ContainsFunc(e.Selectors, func(s facts.Selector) bool {
			return strings.HasPrefix(s.Value, "path:") || strings.HasPrefix(s.Value, "sha256:")
		})
	})
}

// undelivered tells whether the agent gives a workload no SVID although an entry matches. The agent may not have received that entry yet.
func (l *view) undelivered(w workload) bool {
	t, c := l.Observations[w.user], l.Service(w.service)
	return t != nil && t.Endpoint.Code == "PermissionDenied" && !l.pinned(w) && c != nil && len(l.matching(c)) > 0
}

func (l *view) has(c *facts.Container) string {
	has, _ := l.Selectors(c)
	return shown(has)
}

// shown are selectors as a finding shows them. Of each hash they have only the beginning.
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
		return "uid " + u.UID + ", which is not in the host's user database"
	case u.UID == "":
		return u.Name + ", which is not in the host's user database"
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

func withPrefix(all []string, prefix string) string {
	for _, s := range all {
		if value, ok := strings.CutPrefix(s, prefix); ok {
			return value
		}
	}
	return ""
}
