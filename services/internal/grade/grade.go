// Package grade tells whether a fault has been fixed. It compares three snapshots of one lab: as it was before, as it was when it had just
// been broken, and as it is now, with what was tried out in it.
//
// It judges the state and not the way there: who is served and who is refused, what was opened wider, what was lost. It says what is still
// wrong as a learner can see it, and never why: of what differs from the lab as it was, that which the fault itself has changed is not named.
package grade

import (
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// Snapshots are of one lab.
type Snapshots struct {
	Before, Broken, Now *facts.Facts
	Trials              Trials // in the lab as it is now
}

// Trials are what was tried out: who is served, and who is refused.
type Trials struct {
	Running   Trial                    // is the latest request of the running client served?
	Client    Trial                    // a client that starts now
	BadID     Trial                    // the same program with the server's identity
	Impostor  Trial                    // a client that wants a server with another SPIFFE ID
	Root      *observation.Observation // what root, who has no entry, sees; nil if it could not be asked
	ServerLog string                   // what the server has logged meanwhile
}

// Trial is how a command that was tried out in the lab ended.
type Trial struct {
	Asked  bool
	Status int
	Text   string // what it printed
}

// Verdict is what is still wrong, in a learner's words; nothing where the fault is fixed.
type Verdict struct {
	Wrong   []string
	Unknown []string // what was asked and did not answer in time
}

// Fixed reports whether nothing is wrong.
func (v Verdict) Fixed() bool { return len(v.Wrong)+len(v.Unknown) == 0 }

// Unanswered returns what a report does not tell: what was not answered in time, and what docker itself failed to ask. That a container
// does not run is an answer.
func Unanswered(f *facts.Facts) []string {
	unknown := f.Late()
	for _, section := range f.Sections() {
		if why, ok := strings.CutPrefix(section.Status, facts.CannotTell); ok && !strings.Contains(why, "Error response from daemon") {
			unknown = append(unknown, section.Question+" ("+why+")")
		}
	}
	return unknown
}

// comparison is of the lab as it is with the lab as it was.
type comparison struct {
	Snapshots
	kept  *facts.Facts // what must have survived
	found []Difference
}

func (c *comparison) add(kind Kind, subject, before, now string) {
	d := Difference{kind, subject, before, now}
	if !slices.Contains(c.found, d) {
		c.found = append(c.found, d)
	}
}

// compare returns what differs between two snapshots, apart from who is served and who is refused. kept has what must have survived.
func compare(before, kept, now *facts.Facts) []Difference {
	c := &comparison{Snapshots: Snapshots{Before: before, Now: now}, kept: kept}
	c.parties()
	c.identities()
	c.entries()
	c.containers()
	c.settings()
	c.survival()
	return c.found
}

// Judge compares the lab as it is with the lab as it was. With lost, what the fault itself has lost need not have survived.
func Judge(s Snapshots, lost bool) Verdict {
	if unknown := Unanswered(s.Now); len(unknown) > 0 {
		return Verdict{Unknown: unknown}
	}
	c := &comparison{Snapshots: s}
	c.refusals(c.service())
	c.names()
	c.trust()
	kept := s.Before
	if lost {
		kept = s.Broken
	}
	// What the fault has changed is its cause, which is not for the grader to tell. A difference is the fault's own only if it is the same
	// in both values: who has changed the same thing in another way is told so.
	cause := compare(s.Before, kept, s.Broken)
	var hidden []Difference
	for _, d := range compare(s.Before, kept, s.Now) {
		if slices.Contains(cause, d) {
			hidden = append(hidden, d)
		} else {
			c.add(d.Kind, d.Subject, d.Before, d.Now)
		}
	}
	if len(c.found) == 0 {
		for _, d := range hidden {
			if d.Kind.lost() {
				c.found = append(c.found, d) // what is lost is no secret once the rest is right
			}
		}
	}
	if len(c.found) == 0 && len(hidden) > 0 {
		c.add(NotAsBefore, "", "", "")
	}
	var verdict Verdict
	for _, d := range c.found {
		if text := d.String(); !slices.Contains(verdict.Wrong, text) {
			verdict.Wrong = append(verdict.Wrong, text)
		}
	}
	return verdict
}

func (t Trial) served() bool {
	return t.Asked && t.Status == 0 && strings.Contains(t.Text, "Success!!!")
}

// said is the last line of what a program printed.
func (t Trial) said() string {
	lines := strings.Split(strings.TrimSpace(t.Text), "\n")
	last := lines[len(lines)-1]
	if len(last) > 200 {
		last = last[:200] + "..."
	}
	return last
}

// service: is the client served, the one that runs as well as one that starts now, and by the lab's server?
func (c *comparison) service() bool {
	fresh, running := c.Trials.Client, c.Trials.Running
	switch {
	case !fresh.Asked:
		c.add(NothingRuns, "", "", "")
		return false
	case !fresh.served() && running.Status != 0:
		c.add(NotServed, "", "", fresh.said())
		return false
	case !fresh.served():
		c.add(OnlyRunningServed, "", "", fresh.said())
		return false
	case running.Status != 0:
		c.add(OnlyNewServed, "", "", running.said())
		return false
	}
	names := received.FindAllStringSubmatch(c.Trials.ServerLog, -1)
	for _, name := range names {
		if name[1] != lab.ClientID {
			c.add(OtherName, "", lab.ClientID, name[1])
		}
	}
	if len(names) == 0 {
		c.add(OtherServer, "", "", "")
	}
	return true
}

// parties: each of the two is told to speak with the other.
func (c *comparison) parties() {
	server, client := c.Now.Service("server"), c.Now.Service("client")
	if server == nil || client == nil {
		return // said by containers
	}
	if id := server.Flag("client-id"); id != "" && id != lab.ClientID {
		c.add(ServerServes, "", lab.ClientID, id)
	}
	if id := client.Flag("server-id"); id != "" && id != lab.ServerID {
		c.add(ClientTakes, "", lab.ServerID, id)
	}
}

// names: who asks for the server reaches it, be it as the client was told to ask, or as everybody else asks.
func (c *comparison) names() {
	server := c.Now.Service("server")
	if server == nil {
		return
	}
	for _, observer := range []*observation.Observation{c.Now.Observations[lab.ClientUser], c.Trials.Root} {
		if observer == nil {
			continue
		}
		for _, address := range observer.Addresses {
			parsed := net.ParseIP(address)
			own := slices.ContainsFunc(slices.Collect(maps.Values(server.Networks)), func(n facts.Network) bool { return n.Address == address })
			if parsed != nil && parsed.To4() != nil && !own {
				c.add(NameElsewhere, "server", "", address)
			}
		}
	}
}

// received is a request in the server's log.
var received = regexp.MustCompile(`Request received from "([^"]*)"`)

// refusals: what must not work does not.
func (c *comparison) refusals(served bool) {
	but := "the client is not served, and"
	if served {
		but = "the client is served, but"
	}
	if badID := c.Trials.BadID; badID.Asked {
		switch {
		case badID.served():
			c.add(EverybodyServed, but, "", "")
		case !served:
		case badID.Status == 3 && c.narrow(lab.ServerID):
			// Only the server's own program has that identity.
		case badID.Status == 3:
			c.add(NoIdentity, lab.ServerUser, lab.ServerID, badID.said())
		case badID.Status != 4 || !strings.Contains(badID.Text, "remote error: tls: bad certificate"):
			c.add(NotRefused, but, "", badID.said())
		case !strings.Contains(c.Trials.ServerLog, `unexpected ID "`+lab.ServerID+`"`):
			c.add(RefusalNotLogged, but, "", "")
		}
	}
	for _, other := range []struct {
		user     string
		observer *observation.Observation
	}{{lab.GuestUser, c.Now.Observations[lab.GuestUser]}, {"root", c.Trials.Root}} {
		if other.observer == nil {
			continue
		}
		for _, svid := range other.observer.SVIDs {
			if svid.ID == lab.ClientID {
				c.add(AlsoClient, other.user, but, svid.ID)
			} else {
				c.add(GetsIdentity, other.user, "", svid.ID)
			}
		}
	}
	// The client that runs is one of the same program.
	impostor := c.Trials.Impostor
	if impostor.Asked && served {
		switch {
		case impostor.served():
			c.add(AnyServer, "", "", "")
		case impostor.Status != 4 || !strings.Contains(impostor.Text, `unexpected ID "`+lab.ServerID+`"`):
			c.add(SilentClient, "", "", impostor.said())
		}
	}
	if server := c.Now.Observations[lab.ServerUser]; server != nil {
		for _, r := range server.Requests {
			if !r.WithSVID && r.Status != 0 {
				c.add(NoCertificateServed, "", "", "")
			}
		}
	}
	switch given, seen := tickets(c.Now); {
	case given:
		c.add(Tickets, "", "", "")
	case !seen && served:
		if had, _ := tickets(c.Broken); had {
			c.add(TicketsUnseen, "", "", "")
		}
	}
}

// tickets: does the server give session tickets, and can that be seen at all?
func tickets(f *facts.Facts) (given, seen bool) {
	if client := f.Observations[lab.ClientUser]; client != nil {
		for _, r := range client.Requests {
			if r.Peer != nil && r.Peer.ID == lab.ServerID {
				given = given || r.Tickets > 0
				seen = seen || r.Status != 0
			}
		}
	}
	return given, seen
}

// narrow tells whether an entry names the program beside the user.
func (c *comparison) narrow(id string) bool {
	return slices.ContainsFunc(c.Now.Entries, func(e facts.Entry) bool {
		return e.SPIFFEID.String() == id && slices.ContainsFunc(e.Selectors, func(s facts.Selector) bool {
			return strings.HasPrefix(s.Value, "path:") || strings.HasPrefix(s.Value, "sha256:")
		})
	})
}

// trust: each program can verify the trust domains that it could, and no others.
func (c *comparison) trust() {
	for _, user := range []string{lab.ClientUser, lab.ServerUser} {
		was, now := c.Before.Observations[user], c.Now.Observations[user]
		if was == nil || now == nil || len(now.SVIDs) == 0 {
			continue
		}
		for _, b := range was.Bundles {
			if !slices.ContainsFunc(now.Bundles, func(n observation.Bundle) bool { return n.TrustDomain == b.TrustDomain }) {
				c.add(CannotVerify, user, b.TrustDomain, "")
			}
		}
		for _, n := range now.Bundles {
			if !slices.ContainsFunc(was.Bundles, func(b observation.Bundle) bool { return n.TrustDomain == b.TrustDomain }) {
				c.add(VerifiesMore, user, "", n.TrustDomain)
			}
		}
	}
}

// identities: each of the two users has its own, and no other.
func (c *comparison) identities() {
	for _, own := range []struct{ user, id string }{{lab.ClientUser, lab.ClientID}, {lab.ServerUser, lab.ServerID}} {
		observer := c.Now.Observations[own.user]
		if observer == nil {
			c.add(Unasked, own.user, "", "")
			continue
		}
		var has bool
		for _, svid := range observer.SVIDs {
			if svid.ID == own.id {
				has = true
			} else {
				c.add(SomebodyElse, own.user, own.id, svid.ID)
			}
		}
		if !has && !c.narrow(own.id) {
			c.add(LacksIdentity, own.user, own.id, "")
		}
	}
}

func (c *comparison) entries() {
	if !c.Now.Section("entries").OK() {
		return // said by survival
	}
	for _, e := range c.Now.Entries {
		id := e.SPIFFEID.String()
		var known, covered, lives bool
		var was, ttls []string
		for _, b := range c.Before.Entries {
			if b.SPIFFEID != e.SPIFFEID {
				continue
			}
			known = true
			was = append(was, describe(b))
			if c.sameHost(b.ParentID, e.ParentID) && c.asksForAll(strs(b.Selectors), strs(e.Selectors)) &&
				within(e.FederatesWith, b.FederatesWith) && (b.Admin || !e.Admin) && (b.Downstream || !e.Downstream) {
				covered = true
				ttls = append(ttls, strconv.Itoa(b.TTL))
				lives = lives || b.TTL == e.TTL
			}
		}
		switch {
		case !known:
			c.add(EntryNew, id, "", describe(e))
		case !covered:
			c.add(EntryWider, id, strings.Join(was, "; "), describe(e))
		case !lives:
			c.add(Lifetime, id, strings.Join(ttls, ", "), strconv.Itoa(e.TTL))
		}
	}
}

// sameHost tells whether two parents are one: the host may be named by its own ID or by its agent's.
func (c *comparison) sameHost(was, now facts.ID) bool {
	return was == now || was.Path == "/host" && slices.ContainsFunc(c.Before.Agents, func(a facts.Agent) bool { return a.ID == now })
}

// asksForAll tells whether an entry asks for what one asked for before. A program that is pinned by its content may
// be another one by now: then the pin must be that of a program that is there.
func (c *comparison) asksForAll(before, now []string) bool {
	const pin = "unix:sha256:"
	return !slices.ContainsFunc(before, func(b string) bool {
		if !strings.HasPrefix(b, pin) {
			return !slices.Contains(now, b)
		}
		return !slices.ContainsFunc(now, func(n string) bool {
			if n == b {
				return true
			}
			sum, isPin := strings.CutPrefix(n, pin)
			return isPin && slices.ContainsFunc(slices.Collect(maps.Values(c.Now.Observations)), func(t *observation.Observation) bool {
				return t.Programs["/opt/spiffe-lab/bin/client"] == sum
			})
		})
	})
}

// describe is what an entry gives, and to whom.
func describe(e facts.Entry) string {
	return strings.Join(slices.Concat([]string{e.SPIFFEID.String(), "parent " + e.ParentID.String()}, slices.Sorted(slices.Values(strs(e.Selectors))),
		[]string{"federates with " + strings.Join(slices.Sorted(slices.Values(e.FederatesWith)), " "), "admin " + strconv.FormatBool(e.Admin),
			"downstream " + strconv.FormatBool(e.Downstream), "TTL " + strconv.Itoa(e.TTL)}), ", ")
}

func strs(selectors []facts.Selector) []string {
	var s []string
	for _, selector := range selectors {
		s = append(s, selector.String())
	}
	return s
}

// within tells whether all of some is in all.
func within(some, all []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// containers: each service runs as it ran, and may do no more.
func (c *comparison) containers() {
	for i := range c.Before.Containers {
		was := &c.Before.Containers[i]
		if c.Before.Service(was.Service) != was {
			continue // of somebody else, or of a moment
		}
		now := c.Now.Service(was.Service)
		lasting := was.Status == "running"
		switch {
		case now == nil && lasting:
			c.add(Gone, was.Service, "", "")
		case now == nil:
		case lasting && now.Status != "running":
			c.add(NotRunning, was.Service, "", "")
		}
		if now == nil {
			continue
		}
		if now.User != was.User {
			c.add(RunsAs, was.Service, orRoot(was.User), orRoot(now.User))
		}
		if saw, sees := mode(c.Before, was), mode(c.Now, now); saw != sees {
			c.add(SeesProcesses, was.Service, saw, sees)
		}
		if now.Privileged && !was.Privileged || !within(now.CapAdd, was.CapAdd) || !within(was.CapDrop, now.CapDrop) || was.ReadOnly && !now.ReadOnly {
			c.add(MayDoMore, was.Service, rights(was), rights(now))
		}
		for _, m := range now.Mounts {
			if old := was.Mount(m.At); old == nil || m.Writable && !old.Writable || m.Type != old.Type || m.Name != old.Name {
				c.add(OtherFiles, was.Service+" "+m.At, mounted(old), mounted(&m))
			}
		}
		for name := range now.Networks {
			if _, ok := was.Networks[name]; !ok {
				c.add(OtherNetwork, was.Service, "", name)
			}
		}
	}
	for i := range c.Now.Containers {
		other := &c.Now.Containers[i]
		if other.Status != "running" || other.OneOff == "True" && other.Project == c.Now.Host.Project {
			continue
		}
		if slices.ContainsFunc(c.Before.Containers, func(b facts.Container) bool { return b.Name == other.Name }) {
			continue
		}
		for _, network := range other.Networks {
			for _, alias := range network.Aliases {
				if (alias == "server" || alias == "spire-server") && c.Now.Service(alias) != other {
					c.add(NameTwice, alias, "", other.Name)
				}
			}
		}
	}
}

// rights are what a container may do on its machine.
func rights(c *facts.Container) string {
	sorted := func(words []string) string { return strings.Join(slices.Sorted(slices.Values(words)), " ") }
	return "privileged " + strconv.FormatBool(c.Privileged) + ", adds " + sorted(c.CapAdd) + ", drops " + sorted(c.CapDrop) + ", read-only " + strconv.FormatBool(c.ReadOnly)
}

// mounted is what a container has at a path; empty if it has nothing of its own there.
func mounted(m *facts.Mount) string {
	if m == nil {
		return ""
	}
	return m.Type + " " + m.Name + ", writable " + strconv.FormatBool(m.Writable)
}

func orRoot(user string) string {
	if user == "" || strings.HasPrefix(user, "0") {
		return "root"
	}
	return user
}

// mode is a PID mode with the service's name for the container whose namespace is joined.
func mode(f *facts.Facts, c *facts.Container) string {
	id, ok := strings.CutPrefix(c.PIDMode, "container:")
	if !ok {
		return c.PIDMode
	}
	for _, other := range f.Containers {
		if other.ID == id {
			return "service:" + other.Service
		}
	}
	return c.PIDMode
}

// settings: SPIRE's configuration and the host's users are what they were; a log may say more.
func (c *comparison) settings() {
	for _, name := range []string{"server.conf", "agent.conf", "passwd"} {
		was, now := c.Before.Section("file-"+name), c.Now.Section("file-"+name)
		if before, after := meaning(was.Lines), meaning(now.Lines); was.OK() && now.OK() && before != after {
			c.add(Settings, name, before, after)
		}
	}
	for _, service := range []string{"spire-server", "spire-agent"} {
		was, now := c.Before.Service(service), c.Now.Service(service)
		if was != nil && now != nil && !slices.Equal(was.Command, now.Command) {
			c.add(StartedOtherwise, service, strings.Join(was.Command, " "), strings.Join(now.Command, " "))
		}
	}
}

// meaning is a file of settings without comments, empty lines, and how much is logged.
func meaning(lines []string) string {
	var kept []string
	for _, line := range lines {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" || strings.HasPrefix(line, "#") || line == `log_level = "INFO"` || line == `log_level = "DEBUG"` {
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}

// survival: what the SPIRE server knew it still knows, and trusts nobody else.
func (c *comparison) survival() {
	if c.Now.Service("spire-server") == nil || !c.Now.Section("entries").OK() || !c.Now.Section("bundle").OK() {
		c.add(SPIREServerSilent, "", "", "")
		return
	}
	for _, was := range c.kept.Bundle {
		if !slices.ContainsFunc(c.Now.Bundle, func(r facts.Root) bool { return r.Key == was.Key }) {
			c.add(CALost, was.Key, "", "")
		}
	}
	for _, now := range c.Now.Bundle {
		if !slices.ContainsFunc(c.kept.Bundle, func(r facts.Root) bool { return r.Key == now.Key }) {
			c.add(CAAdded, now.Key, "", "")
		}
	}
	for _, e := range c.kept.Entries {
		if !slices.ContainsFunc(c.Now.Entries, func(n facts.Entry) bool { return n.SPIFFEID == e.SPIFFEID && c.sameHost(e.ParentID, n.ParentID) }) &&
			slices.ContainsFunc(c.Before.Entries, func(b facts.Entry) bool { return b.SPIFFEID == e.SPIFFEID && b.ParentID == e.ParentID }) {
			c.add(EntryLost, e.SPIFFEID.String(), "", "")
		}
	}
	for _, domain := range c.Now.Federated {
		if !slices.Contains(c.Before.Federated, domain) {
			c.add(TrustAdded, domain, "", "")
		}
	}
	for _, domain := range c.Before.Federated {
		if !slices.Contains(c.Now.Federated, domain) {
			c.add(TrustLost, domain, "", "")
		}
	}
	for _, a := range c.Now.Agents {
		if a.Banned && !slices.ContainsFunc(c.Before.Agents, func(b facts.Agent) bool { return b.ID == a.ID && b.Banned }) {
			c.add(AgentBanned, a.ID.String(), "", "")
		}
		if !slices.ContainsFunc(c.Before.Agents, func(b facts.Agent) bool { return b.ID == a.ID }) {
			c.add(AgentNew, a.ID.String(), "", "")
		}
	}
}
