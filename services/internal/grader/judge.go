package grader

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// The two identities of the lab, and the users that have them.
const (
	clientID   = "spiffe://example.org/client"
	serverID   = "spiffe://example.org/server"
	clientUser = "client-workload"
	serverUser = "server-workload"
)

// verdict is what is still wrong, in a learner's words; mended where nothing is.
type verdict struct {
	wrong   []string
	unknown []string // what was asked and did not answer in time
}

// comparison is of the lab as it is with the lab as it was.
type comparison struct {
	before, broken, now *facts.Facts
	kept                *facts.Facts // what must have survived
	wrong               []string
}

func (c *comparison) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(c.wrong, text) {
		c.wrong = append(c.wrong, text)
	}
}

// structure is what differs, apart from who is served and who is refused.
func structure(before, kept, now *facts.Facts) []string {
	c := &comparison{before: before, kept: kept, now: now}
	c.parties()
	c.identities()
	c.entries()
	c.containers()
	c.settings()
	c.survival()
	return c.wrong
}

func judge(s snapshots, lost bool) verdict {
	if late := s.now.Late(); len(late) > 0 {
		return verdict{unknown: late}
	}
	c := &comparison{before: s.before, broken: s.broken, now: s.now}
	c.refusals(c.service())
	c.names()
	c.trust()
	kept := s.before
	if lost {
		kept = s.broken
	}
	// What the fault has changed is its cause, which is not for the grader to tell.
	cause := structure(s.before, kept, s.broken)
	var hidden []string
	for _, text := range structure(s.before, kept, s.now) {
		if slices.Contains(cause, text) {
			hidden = append(hidden, text)
		} else {
			c.add("%s", text)
		}
	}
	if len(hidden) > 0 && len(c.wrong) == 0 {
		// What is lost is no secret once the rest is right.
		c.kept = kept
		c.survival()
	}
	if len(hidden) > 0 && len(c.wrong) == 0 {
		c.add("what can be seen from here is right, and yet the lab is not as it was before")
	}
	return verdict{wrong: c.wrong}
}

// trial is how a command that was tried out in the lab ended.
type trial struct {
	asked  bool
	status string
	text   string
}

func (t trial) served() bool { return t.status == "0" && strings.Contains(t.text, "Success!!!") }

func (c *comparison) trial(name string) trial {
	s := c.now.Section("trial-" + name)
	return trial{s.Answered(), s.Status, strings.Join(append(slices.Clone(s.Lines), s.Errors...), "\n")}
}

// said is the last line of what a program said.
func (t trial) said() string {
	lines := strings.Split(strings.TrimSpace(t.text), "\n")
	last := lines[len(lines)-1]
	if len(last) > 200 {
		last = last[:200] + "..."
	}
	if last == "" {
		return ""
	}
	return "; it says: " + last
}

// service: is the client served, the one that runs as well as one that starts now, and by the lab's server?
func (c *comparison) service() bool {
	fresh, running := c.trial("client"), c.trial("running")
	switch {
	case !fresh.asked:
		c.add("the client is not served: nothing of it runs")
		return false
	case !fresh.served() && running.status != "0":
		c.add("the client is not served%s", fresh.said())
		return false
	case !fresh.served():
		c.add("the client that runs is served still, but one that starts now is not%s", fresh.said())
		return false
	case running.status != "0":
		c.add("a client that starts now is served, but the one that runs is not%s", running.said())
		return false
	}
	log := c.trial("server-log").text
	names := received.FindAllStringSubmatch(log, -1)
	for _, name := range names {
		if name[1] != clientID {
			c.add("the client is served, but under another name than its own: %s", name[1])
		}
	}
	if len(names) == 0 {
		c.add("the client is served, but not by the lab's server")
	}
	return true
}

// parties: each of the two is told to speak with the other.
func (c *comparison) parties() {
	server, client := c.now.Service("server"), c.now.Service("client")
	if server == nil || client == nil {
		return // said by containers
	}
	if id := server.Flag("client-id"); id != "" && id != clientID {
		c.add("the server serves %s, and that is not the client", id)
	}
	if id := client.Flag("server-id"); id != "" && id != serverID {
		c.add("the client takes %s for its server", id)
	}
}

// names: who asks for the server reaches it, be it as the client was told to ask, or as everybody else asks.
func (c *comparison) names() {
	server := c.now.Service("server")
	if server == nil {
		return
	}
	for _, observer := range []*observation.Observation{c.now.Observations[clientUser], c.root()} {
		if observer == nil {
			continue
		}
		for _, address := range observer.Addresses {
			parsed := net.ParseIP(address)
			own := slices.ContainsFunc(slices.Collect(maps.Values(server.Networks)), func(n facts.Network) bool { return n.Address == address })
			if parsed != nil && parsed.To4() != nil && !own {
				c.add("whoever asks for the server may meet somebody else")
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
	if badID := c.trial("bad-id"); badID.asked {
		log := c.trial("server-log")
		switch {
		case badID.served():
			c.add("%s so is everybody else of the trust domain: server-workload is served as well", but)
		case !served:
		case badID.status == "3" && c.narrow(serverID):
			// Only the server's own program has that identity.
		case badID.status == "3":
			c.add("server-workload gets no identity%s", badID.said())
		case badID.status != "4" || !strings.Contains(badID.text, "remote error: tls: bad certificate"):
			c.add("%s server-workload, which must be refused as %s, is not%s", but, serverID, badID.said())
		case !strings.Contains(log.text, `unexpected ID "`+serverID+`"`):
			c.add("%s its log does not say that it refused %s", but, serverID)
		}
	}
	for _, other := range []struct {
		user     string
		observer *observation.Observation
	}{{"guest-workload", c.now.Observations["guest-workload"]}, {"root", c.root()}} {
		if other.observer == nil {
			continue
		}
		for _, svid := range other.observer.SVIDs {
			if svid.ID == clientID {
				c.add("%s so is everybody else: %s gets the client's identity", but, other.user)
			} else {
				c.add("%s gets an identity, %s", other.user, svid.ID)
			}
		}
	}
	// The client that runs is one of the same program.
	impostor := c.trial("impostor")
	if impostor.asked && served {
		switch {
		case impostor.served():
			c.add("the client is served, but takes an answer from any server")
		case impostor.status != "4" || !strings.Contains(impostor.text, `unexpected ID "`+serverID+`"`):
			c.add("the client is served, but does not say why it refuses a server with another SPIFFE ID%s", impostor.said())
		}
	}
	if server := c.now.Observations[serverUser]; server != nil {
		for _, r := range server.Requests {
			if !r.WithSVID && r.Status != 0 {
				c.add("the server serves whoever shows no certificate")
			}
		}
	}
	switch given, seen := tickets(c.now); {
	case given:
		c.add("the client is served, but with a ticket for next time: go-spiffe does not verify a resumed connection")
	case !seen && served:
		if had, _ := tickets(c.broken); had {
			c.add("what the server gives to whoever comes back cannot be seen any more")
		}
	}
}

// tickets: does the server give session tickets, and can that be seen at all?
func tickets(f *facts.Facts) (given, seen bool) {
	if client := f.Observations[clientUser]; client != nil {
		for _, r := range client.Requests {
			if r.Peer != nil && r.Peer.ID == serverID {
				given = given || r.Tickets > 0
				seen = seen || r.Status != 0
			}
		}
	}
	return given, seen
}

// narrow tells whether an entry names the program beside the user.
func (c *comparison) narrow(id string) bool {
	return slices.ContainsFunc(c.now.Entries, func(e facts.Entry) bool {
		return e.SPIFFEID.String() == id && slices.ContainsFunc(e.Selectors, func(s facts.Selector) bool {
			return strings.HasPrefix(s.Value, "path:") || strings.HasPrefix(s.Value, "sha256:")
		})
	})
}

// root is what root, who has no entry, sees.
func (c *comparison) root() *observation.Observation {
	s := c.now.Section("trial-root")
	var t observation.Observation
	if !s.OK() || len(s.Lines) == 0 || json.Unmarshal([]byte(s.Lines[0]), &t) != nil {
		return nil
	}
	return &t
}

// trust: each program can verify the trust domains that it could, and no others.
func (c *comparison) trust() {
	for _, user := range []string{clientUser, serverUser} {
		was, now := c.before.Observations[user], c.now.Observations[user]
		if was == nil || now == nil || len(now.SVIDs) == 0 {
			continue
		}
		for _, b := range was.Bundles {
			if !slices.ContainsFunc(now.Bundles, func(n observation.Bundle) bool { return n.TrustDomain == b.TrustDomain }) {
				c.add("%s cannot verify anybody of %s", user, b.TrustDomain)
			}
		}
		for _, n := range now.Bundles {
			if !slices.ContainsFunc(was.Bundles, func(b observation.Bundle) bool { return n.TrustDomain == b.TrustDomain }) {
				c.add("%s believes the SVIDs of another trust domain: %s", user, n.TrustDomain)
			}
		}
	}
}

// identities: each of the two users has its own, and no other.
func (c *comparison) identities() {
	for _, own := range []struct{ user, id string }{{clientUser, clientID}, {serverUser, serverID}} {
		observer := c.now.Observations[own.user]
		if observer == nil {
			c.add("%s cannot be asked who it is: its program does not run", own.user)
			continue
		}
		var has bool
		for _, svid := range observer.SVIDs {
			if svid.ID == own.id {
				has = true
			} else {
				c.add("%s is somebody else too: %s", own.user, svid.ID)
			}
		}
		if !has && !c.narrow(own.id) {
			c.add("%s does not get the identity %s", own.user, own.id)
		}
	}
}

func (c *comparison) entries() {
	if !c.now.Section("entries").OK() {
		return // said by survival
	}
	for _, e := range c.now.Entries {
		id := e.SPIFFEID.String()
		var known, covered, lives bool
		for _, b := range c.before.Entries {
			if b.SPIFFEID != e.SPIFFEID {
				continue
			}
			known = true
			if c.sameHost(b.ParentID, e.ParentID) && c.asksForAll(strs(b.Selectors), strs(e.Selectors)) &&
				within(e.FederatesWith, b.FederatesWith) && (b.Admin || !e.Admin) && (b.Downstream || !e.Downstream) {
				covered = true
				lives = lives || b.TTL == e.TTL
			}
		}
		switch {
		case !known:
			c.add("there is an entry for an identity that there was not: %s", id)
		case !covered:
			c.add("more can be %s than before: an entry for it asks for less, or for something else", id)
		case !lives:
			c.add("SVIDs of %s do not live as long as before", id)
		}
	}
}

// sameHost tells whether two parents are one: the host may be named by its own ID or by its agent's.
func (c *comparison) sameHost(was, now facts.ID) bool {
	return was == now || was.Path == "/host" && slices.ContainsFunc(c.before.Agents, func(a facts.Agent) bool { return a.ID == now })
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
			return isPin && slices.ContainsFunc(slices.Collect(maps.Values(c.now.Observations)), func(t *observation.Observation) bool {
				return t.Programs["/opt/spiffe-lab/bin/client"] == sum
			})
		})
	})
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
	for i := range c.before.Containers {
		was := &c.before.Containers[i]
		if c.before.Service(was.Service) != was {
			continue // of somebody else, or of a moment
		}
		now := c.now.Service(was.Service)
		lasting := was.Status == "running"
		switch {
		case now == nil && lasting:
			c.add("%s is not there", was.Service)
		case now == nil:
		case lasting && now.Status != "running":
			c.add("%s does not run", was.Service)
		}
		if now == nil {
			continue
		}
		if now.User != was.User {
			c.add("%s runs as %s, not as %s", was.Service, orRoot(now.User), orRoot(was.User))
		}
		switch sees := mode(c.now, now); {
		case sees == mode(c.before, was):
		case sees == "host":
			c.add("%s sees every process of the machine", was.Service)
		default:
			c.add("%s sees other processes than before", was.Service)
		}
		if now.Privileged && !was.Privileged || !within(now.CapAdd, was.CapAdd) || !within(was.CapDrop, now.CapDrop) || was.ReadOnly && !now.ReadOnly {
			c.add("%s may do more on its machine than before", was.Service)
		}
		for _, m := range now.Mounts {
			if old := was.Mount(m.At); old == nil || m.Writable && !old.Writable || m.Type != old.Type || m.Name != old.Name {
				c.add("%s has other files than before at %s", was.Service, m.At)
			}
		}
		for name := range now.Networks {
			if _, ok := was.Networks[name]; !ok {
				c.add("%s is on another network than before", was.Service)
			}
		}
	}
	for i := range c.now.Containers {
		other := &c.now.Containers[i]
		if other.Status != "running" || other.OneOff == "True" && other.Project == c.now.Host.Project {
			continue
		}
		if slices.ContainsFunc(c.before.Containers, func(b facts.Container) bool { return b.Name == other.Name }) {
			continue
		}
		for _, network := range other.Networks {
			for _, alias := range network.Aliases {
				if (alias == "server" || alias == "spire-server") && c.now.Service(alias) != other {
					c.add("the name %s leads to more than one place", alias)
				}
			}
		}
	}
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
	for _, file := range []struct{ name, what, service string }{
		{"server.conf", "the SPIRE server's configuration is not what it was", "spire-server"},
		{"agent.conf", "the agent's configuration is not what it was", "spire-agent"},
		{"passwd", "the host's users are not those that it had", "spire-agent"},
	} {
		was, now := c.before.Section("file-"+file.name), c.now.Section("file-"+file.name)
		if was.OK() && now.OK() && !slices.Equal(meaning(was.Lines), meaning(now.Lines)) {
			c.add("%s", file.what)
		}
	}
	for _, service := range []string{"spire-server", "spire-agent"} {
		was, now := c.before.Service(service), c.now.Service(service)
		if was != nil && now != nil && !slices.Equal(was.Command, now.Command) {
			c.add("%s is started in another way than before", service)
		}
	}
}

// meaning is a file of settings without comments, empty lines, and how much is logged.
func meaning(lines []string) []string {
	var kept []string
	for _, line := range lines {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" || strings.HasPrefix(line, "#") || line == `log_level = "INFO"` || line == `log_level = "DEBUG"` {
			continue
		}
		kept = append(kept, line)
	}
	return kept
}

// survival: what the SPIRE server knew it still knows, and trusts nobody else.
func (c *comparison) survival() {
	if c.now.Service("spire-server") == nil || !c.now.Section("entries").OK() || !c.now.Section("bundle").OK() {
		c.add("the SPIRE server does not answer")
		return
	}
	for _, was := range c.kept.Bundle {
		if !slices.ContainsFunc(c.now.Bundle, func(r facts.Root) bool { return r.Key == was.Key }) {
			c.add("what the SPIRE server knew is lost: its CA is another one than before")
		}
	}
	for _, now := range c.now.Bundle {
		if !slices.ContainsFunc(c.kept.Bundle, func(r facts.Root) bool { return r.Key == now.Key }) {
			c.add("another CA is trusted than before")
		}
	}
	for _, e := range c.kept.Entries {
		if !slices.ContainsFunc(c.now.Entries, func(n facts.Entry) bool { return n.SPIFFEID == e.SPIFFEID && c.sameHost(e.ParentID, n.ParentID) }) &&
			slices.ContainsFunc(c.before.Entries, func(b facts.Entry) bool { return b.SPIFFEID == e.SPIFFEID && b.ParentID == e.ParentID }) {
			c.add("an entry is lost that somebody needs: %s", e.SPIFFEID)
		}
	}
	for _, domain := range c.now.Federated {
		if !slices.Contains(c.before.Federated, domain) {
			c.add("another trust domain is trusted than before: %s", domain)
		}
	}
	for _, domain := range c.before.Federated {
		if !slices.Contains(c.now.Federated, domain) {
			c.add("a trust domain is no longer trusted: %s", domain)
		}
	}
	for _, a := range c.now.Agents {
		if a.Banned && !slices.ContainsFunc(c.before.Agents, func(b facts.Agent) bool { return b.ID == a.ID && b.Banned }) {
			c.add("the host is not admitted: its agent is banned")
		}
		if !slices.ContainsFunc(c.before.Agents, func(b facts.Agent) bool { return b.ID == a.ID }) {
			c.add("there is an agent that there was not: %s", a.ID)
		}
	}
}
