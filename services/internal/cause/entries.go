package cause

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// createMissing is the remedy for entries that are not there. One that differs bootstrap leaves as it is.
const createMissing = "docker compose run --rm bootstrap creates the entries of the lab that are missing"

// repeat is what the remedies by entry update say in general.
const repeat = " with spire-server entry update. Repeat every other field, because an update resets each field that is not given"

// The registration entries, against what each program is.
var entryCauses = []Cause{
	{
		Code:   "LAB061",
		Sees:   "`no identity issued`, or a wrong SVID",
		Means:  "a program runs as a different user from the one that its entry names",
		Do:     "correct user: in compose.yaml, then docker compose up --detach",
		Lesson: "scripts/scenarios/unregistered.md",
		Needs:  []string{"file-passwd"},
		Stays:  true,
		look:   (*view).wrongUser,
	},
	{
		Code:   "LAB062",
		Sees:   "`no identity issued`, for every user",
		Means:  "no entry names this host, so its agent gets no entry",
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
		Do:     "correct -parentID" + repeat + ". If the entry belongs to another host, leave it and create one for this host",
		Lesson: "scripts/scenarios/wrong-parent.md",
		Needs:  []string{"entries", "agents"},
		look:   (*view).wrongParent,
	},
	{
		Code:   "LAB066",
		Sees:   "`no identity issued` after the programs were rebuilt",
		Means:  "an entry requires the SHA-256 hash of a different program file",
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
		Do:     separate + " with spire-server entry delete",
		Lesson: "scripts/scenarios/two-identities.md",
		Needs:  []string{"observer-server-workload", "observer-client-workload"},
		look:   (*view).wrongDefaultSVID,
	},
	{
		Code:   "LAB069",
		Sees:   "`no identity issued`, although `make entries` is right",
		Means:  "the agent has not received the entry from the SPIRE server",
		Do:     "docker compose logs spire-agent shows why the agent does not reach the SPIRE server. Once it does, it gets the entry within seconds. Do not restart it before that, because it would lose the SVIDs that it still serves",
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
				finding: w.service + " runs as a different user from the one that its entry names",
				seen:    fmt.Sprintf("%s runs as %s", w.service, named(is)), expected: w.user,
				do: fmt.Sprintf("set user: %s in compose.yaml, then docker compose up --detach %s", w.user, w.service),
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
	e := evidence{seen: "no entry for " + lab.HostID, expected: fmt.Sprintf("one with the parent %s and the selector spiffe_id:%s", aliasOf, lab.AgentID)}
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
		e.seen = fmt.Sprintf("the entry %s names this host %s", is.ID, is.SPIFFEID)
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
				seen:     fmt.Sprintf("no entry for %s, and none whose selectors %s has: %s", w.id, w.service, l.has(c)),
				expected: fmt.Sprintf("one for it, with unix:user:%s", w.user),
			}
			if is := l.byID(w.service); is != nil {
				e.finding = fmt.Sprintf("%s has no entry: the entry with the ID %s is for %s", w.service, is.ID, is.SPIFFEID)
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
				finding: fmt.Sprintf("the entry of %s has the wrong SPIFFE ID", w.service),
				seen:    fmt.Sprintf("%s (entry %s)", is[i].SPIFFEID, is[i].ID), expected: w.id,
				run: update(right),
			}
		}
		e := evidence{
			finding: fmt.Sprintf("%s has no entry of its own, only one for a different SPIFFE ID", w.service),
			seen:    fmt.Sprintf("%s (entry %s)", is[0].SPIFFEID, is[0].ID), expected: w.id,
		}
		e.do, e.run = l.creating(w.entry())
		e.do += fmt.Sprintf(" and leave the entry %s, which may belong to another workload", is[0].ID)
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
			finding: fmt.Sprintf("the entry of %s has the wrong parent, so this host's agent does not get it", w.service),
			seen:    fmt.Sprintf("parent %s (entry %s)", is.ParentID, is.ID), expected: lab.HostID,
		}
		if w.owns(*is) {
			right := *is
			right.ParentID = parsed(lab.HostID)
			e.run = update(right)
			return &e
		}
		e.finding = fmt.Sprintf("%s has no entry on this host, only one that belongs to another host", w.service)
		e.do, e.run = l.creating(w.entry())
		e.do += fmt.Sprintf(" and leave the entry %s, because that host's %s needs it", is.ID, w.service)
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
					finding: fmt.Sprintf("the entry of %s requires the SHA-256 hash of a different program file", w.service),
					seen:    fmt.Sprintf("%s: unix:sha256:%s", l.Service(w.service).Program(), is), expected: fmt.Sprintf("unix:sha256:%s (entry %s)", want, e.ID),
					do: "find out why the program changed. If it was rebuilt on purpose, give the entry its new hash", run: update(right),
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
		by := "it has"
		if seen {
			by = "the agent saw"
		}
		e := evidence{
			finding:  fmt.Sprintf("the entry of %s requires %s, which %s does not have", w.service, strings.Join(missing, ", "), w.service),
			seen:     fmt.Sprintf("%s %s", by, shown(has)),
			expected: fmt.Sprintf("all of %s (entry %s)", list(*is), is.ID),
		}
		if other := l.othersBy(*is, w); other != "" && !w.owns(*is) {
			e.finding = fmt.Sprintf("%s has no entry of its own, only one that gives its SPIFFE ID to %s", w.service, other)
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
			finding: fmt.Sprintf("several entries match %s, and the one whose entry ID sorts first gives it the wrong default SVID", w.service),
			seen:    fmt.Sprintf("%s gets, in this order: %s", w.user, strings.Join(ids, ", ")), expected: w.id + " alone",
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
			expected: fmt.Sprintf("an SVID by the entry %s", l.matching(c)[0].ID),
		}
	}
	return nil
}

// separate is what to do about a second entry for one program, which may be another workload of that user.
const separate = "ask who needs the other entry, and give it narrower selectors, or its program a different user, " +
	"or each entry a -hint by which the program chooses (workloadapi.WithDefaultX509SVIDPicker). Only if nobody needs it, delete it"

// owns tells whether an entry has the ID that the lab gives to the workload's own. An entry with a different ID may
// belong to somebody else: no remedy takes it away from them.
func (w workload) owns(e facts.Entry) bool { return e.ID == w.service }

func (l *view) byID(id string) *facts.Entry {
	for i := range l.Entries {
		if l.Entries[i].ID == id {
			return &l.Entries[i]
		}
	}
	return nil
}

// creating is the remedy that creates an entry of the lab. Where a different entry has its ID, the SPIRE server
// generates one.
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
		return []string{"spiffe_id:" + lab.AgentID} // as it will be once it attests
	}
	return has
}

// hosts are the parents whose entries this host's agent gets: its own SPIFFE ID, every alias of it, and the SPIFFE ID
// of each entry that it gets by them. An agent gets all descendants, so whoever may register below a workload's
// SPIFFE ID registers on its host (SPIRE, pkg/server/cache/entrycache, FullEntryCache.crawl).
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

// othersOf are the entries by which a workload gets SVIDs that are not its own. The default SVID is that of the entry
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

// othersBy is a user of this host, other than the workload's, to whom an entry gives SVIDs; empty if there is none.
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

// corrected are the selectors of an entry, as the workload's program has them: a wrong value is replaced by the
// right one, so that the entry stays as narrow as it is. One of them always names the user.
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

// lacks tells whether a program is known not to have a selector. Without an answer about the users or the
// programs, what depends on it is not known.
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

// matching are the entries of this host by which a container's program gets an SVID.
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

// foreign is more than an entry has selectors.
const foreign = 1 << 20

// nearest is the entry for the workload's ID that comes closest to what the program is, if by none of them it
// gets its SVID; nil if by one it does, or if there is none. An entry of another host comes last.
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

// pinned tells whether the workload's entry names its program: then the observer, another program of the
// same user, rightly gets nothing.
func (l *view) pinned(w workload) bool {
	return slices.ContainsFunc(l.entriesOf(w.id), func(e facts.Entry) bool {
		return slices.ContainsFunc(e.Selectors, func(s facts.Selector) bool {
			return strings.HasPrefix(s.Value, "path:") || strings.HasPrefix(s.Value, "sha256:")
		})
	})
}

// undelivered tells whether the agent denies a workload what an entry gives it: the entry may be on its way.
func (l *view) undelivered(w workload) bool {
	t, c := l.Observations[w.user], l.Service(w.service)
	return t != nil && t.Endpoint.Code == "PermissionDenied" && !l.pinned(w) && c != nil && len(l.matching(c)) > 0
}

func (l *view) has(c *facts.Container) string {
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
		return "uid " + u.UID + ", which the host does not know"
	case u.UID == "":
		return u.Name + ", which the host does not know"
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
