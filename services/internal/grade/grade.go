// Package grade decides whether a fault has been fixed. It compares three snapshots of one lab: before the fault, right after its
// injection, and now. The last snapshot also has the results of test requests.
//
// The package judges the state of the lab, not the commands that led to this state. It checks which clients are served and refused, which
// parts of the lab have more access than before, and which data is lost. A verdict describes a visible effect, but never the cause. So it
// does not name the changes that the fault itself made.
package grade

import (
	"cmp"
	"maps"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// Snapshots are the three snapshots of one lab.
type Snapshots struct {
	Before, Broken, Now *facts.Facts
	Trials              Trials // the test requests, in the lab as it is now
}

// Trials are the results of the test requests, and the server's log. The results show who is served and who is refused.
type Trials struct {
	Running   Trial                    // the health of the running client: was its latest request served?
	Client    Trial                    // a client that starts now
	BadID     Trial                    // the same program with the server's SVID
	Impostor  Trial                    // a client that accepts only a SPIFFE ID that no server has
	Root      *observation.Observation // the observation as root, a user without an entry; nil if there is none
	ServerLog string                   // the server's log during the test requests
}

// Trial is the result of one test request.
type Trial struct {
	Asked  bool
	Status int
	Text   string // the output
}

// Verdict has a sentence for each thing that is still wrong. It is empty if the fault is fixed.
type Verdict struct {
	Wrong   []string
	Unknown []string // questions that got no answer in time
}

// Fixed reports whether nothing is wrong.
func (v Verdict) Fixed() bool { return len(v.Wrong)+len(v.Unknown) == 0 }

// Unanswered returns those questions of a report that got no answer in time, or that docker itself failed to ask. The message that a
// container is not running counts as an answer.
func Unanswered(f *facts.Facts) []string {
	unknown := f.Late()
	for _, section := range f.Sections() {
		if why, ok := strings.CutPrefix(section.Status, facts.CannotTell); ok && !strings.Contains(why, "Error response from daemon") {
			unknown = append(unknown, section.Question+" ("+why+")")
		}
	}
	return unknown
}

// comparison compares the lab now with the lab before the fault.
type comparison struct {
	Snapshots
	kept  *facts.Facts // has the data that must not be lost
	found []Difference
}

func (c *comparison) add(kind Kind, subject, before, now string) {
	d := Difference{kind, subject, before, now}
	if !slices.Contains(c.found, d) {
		c.found = append(c.found, d)
	}
}

// compare returns the differences between two snapshots, except differences of who is served and who is refused. The parameter kept is the
// report with the data that must not be lost.
func compare(before, kept, now *facts.Facts) []Difference {
	c := &comparison{Snapshots: Snapshots{Before: before, Now: now}, kept: kept}
	c.parties()
	c.identities()
	c.entries()
	c.containers()
	c.programs()
	c.beside()
	c.settings()
	c.survival()
	return c.found
}

// Judge compares the lab now with the lab before the fault. If lost is true, Judge does not require the data that the fault itself has
// deleted.
func Judge(s Snapshots, lost bool) Verdict {
	if unknown := Unanswered(s.Now); len(unknown) > 0 {
		return Verdict{Unknown: unknown}
	}
	c := &comparison{Snapshots: s}
	c.refusals(c.service())
	c.names()
	c.trust()
	c.lifetimes()
	kept := s.Before
	if lost {
		kept = s.Broken
	}
	// The grader does not name the changes that the fault itself made, because they are the cause. A difference counts as the fault's own
	// change only if the setting still has the value that it had right after the injection. If a learner has given the setting a third value,
	// the verdict names the difference.
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
				c.found = append(c.found, d) // once the rest is right, the verdict may name the lost data
			}
		}
	}
	var verdict Verdict
	say := func(text string) {
		if !slices.Contains(verdict.Wrong, text) {
			verdict.Wrong = append(verdict.Wrong, text)
		}
	}
	for _, d := range c.found {
		say(d.String())
	}
	if len(c.found) == 0 {
		for _, d := range hidden {
			say(d.hint())
		}
	}
	return verdict
}

func (t Trial) served() bool {
	return t.Asked && t.Status == 0 && strings.Contains(t.Text, "Success!!!")
}

// said is the last line that a program printed.
func (t Trial) said() string {
	lines := strings.Split(strings.TrimSpace(t.Text), "\n")
	last := lines[len(lines)-1]
	const most = 500 // an error of gRPC has its reason at the end
	if len(last) > most {
		last = last[:most] + "..."
	}
	return last
}

// service: the lab's server serves the running client, and a client that starts now.
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

// parties: client and server are each configured with the right SPIFFE ID of the other side, and the client with the same URL as before.
func (c *comparison) parties() {
	server, client := c.Now.Service("server"), c.Now.Service("client")
	if server == nil || client == nil {
		return // the function containers reports that
	}
	if id := server.Flag("client-id"); id != "" && id != lab.ClientID {
		c.add(ServerServes, "", lab.ClientID, id)
	}
	if id := client.Flag("server-id"); id != "" && id != lab.ServerID {
		c.add(ClientTakes, "", lab.ServerID, id)
	}
	if old := c.Before.Service("client"); old != nil {
		if was, now := target(old), target(client); was != now {
			c.add(OtherURL, "", "https://"+was, "https://"+now)
		}
	}
}

// target is the host and the port that a client connects to.
func target(client *facts.Container) string {
	parsed, err := url.Parse(cmp.Or(client.Flag("url"), lab.ServerURL))
	if err != nil {
		return client.Flag("url")
	}
	return net.JoinHostPort(strings.ToLower(parsed.Hostname()), cmp.Or(parsed.Port(), "443"))
}

// names: the host in the client's URL and the name "server" both resolve to the container server.
func (c *comparison) names() {
	server := c.Now.Service("server")
	if server == nil {
		return
	}
	for _, asked := range []struct {
		name     string
		observer *observation.Observation
	}{{"the host in the client's URL", c.Now.Observations[lab.ClientUser]}, {`the name "server"`, c.Trials.Root}} {
		if asked.observer == nil {
			continue
		}
		for _, address := range asked.observer.Addresses {
			parsed := net.ParseIP(address)
			own := slices.ContainsFunc(slices.Collect(maps.Values(server.Networks)), func(n facts.Network) bool { return n.Address == address })
			if parsed != nil && parsed.To4() != nil && !own {
				c.add(NameElsewhere, asked.name, "", address)
			}
		}
	}
	// The observers may have got an address from /etc/hosts of their container. Other containers ask the engine's DNS server, which uses the
	// containers' aliases.
	for i := range c.Now.Containers {
		other := &c.Now.Containers[i]
		if other == server || other.Status != "running" {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(other.Networks)) {
			network := other.Networks[name]
			if _, shared := server.Networks[name]; shared && network.Address != "" && slices.Contains(network.Aliases, "server") {
				c.add(NameElsewhere, `the name "server"`, "", network.Address)
			}
		}
	}
}

// received is a request in the server's log.
var received = regexp.MustCompile(`Request received from "([^"]*)"`)

// refusals: requests that must be refused are refused, and nobody gets an SVID of another user.
func (c *comparison) refusals(served bool) {
	but := "the client is not served, and"
	if served {
		but = "the client is served, but"
	}
	if badID := c.Trials.BadID; badID.Asked {
		switch {
		case badID.served() && served:
			c.add(EverybodyServed, "", "", "")
		case badID.served():
			c.add(OnlyOthersServed, "", "", "")
		case !served:
		case badID.Status == 3 && c.narrow(lab.ServerID):
			// Only the server's program gets the server's SVID, but this test request comes from the client's program.
		case badID.Status == 3:
			c.add(NoIdentity, lab.ServerUser, lab.ServerID, badID.said())
		case badID.Status != 4 || !strings.Contains(badID.Text, "remote error: tls: bad certificate"):
			c.add(NotRefused, but, "", badID.said())
		case !strings.Contains(c.Trials.ServerLog, `unexpected ID "`+lab.ServerID+`"`):
			c.add(RefusalNotLogged, but, "", "")
		}
	}
	for _, other := range []struct {
		user    string
		was, is *observation.Observation
	}{{lab.GuestUser, c.Before.Observations[lab.GuestUser], c.Now.Observations[lab.GuestUser]}, {"root", nil, c.Trials.Root}} {
		if other.is == nil {
			continue
		}
		for _, svid := range other.is.SVIDs {
			switch {
			case svid.ID == lab.ClientID:
				c.add(AlsoClient, other.user, but, svid.ID)
			case !gets(other.was, svid.ID):
				c.add(GetsIdentity, other.user, "", svid.ID)
			}
		}
	}
	// This test runs the same program as the running client, so the result shows whether the running client verifies the server.
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

// gets tells whether a user gets an SVID with this SPIFFE ID.
func gets(o *observation.Observation, id string) bool {
	return o != nil && slices.ContainsFunc(o.SVIDs, func(svid observation.Certificate) bool { return svid.ID == id })
}

// tickets tells whether the server issues session tickets. The second result tells whether any request could show a ticket.
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

// trust: each program can verify SVIDs of the same trust domains as before. A program that got no SVID before had no bundles either, so
// there is nothing to compare. The program's own trust domain never counts as a new trust domain.
func (c *comparison) trust() {
	for _, user := range []string{lab.ClientUser, lab.ServerUser} {
		was, now := c.Before.Observations[user], c.Now.Observations[user]
		if was == nil || now == nil || len(was.SVIDs) == 0 || len(now.SVIDs) == 0 {
			continue
		}
		for _, b := range was.Bundles {
			if !slices.ContainsFunc(now.Bundles, func(n observation.Bundle) bool { return n.TrustDomain == b.TrustDomain }) {
				c.add(CannotVerify, user, b.TrustDomain, "")
			}
		}
		for _, n := range now.Bundles {
			if n.TrustDomain != lab.TrustDomain && !slices.ContainsFunc(was.Bundles, func(b observation.Bundle) bool { return n.TrustDomain == b.TrustDomain }) {
				c.add(VerifiesMore, user, "", n.TrustDomain)
			}
		}
	}
}

// identities: client-workload and server-workload each get their own SVID. Neither user gets another SVID that is new for this user.
func (c *comparison) identities() {
	for _, own := range lab.Workloads {
		observer := c.Now.Observations[own.User]
		if observer == nil {
			c.add(Unasked, own.User, "", "")
			continue
		}
		for _, svid := range observer.SVIDs {
			if svid.ID != own.ID && !gets(c.Before.Observations[own.User], svid.ID) {
				c.add(SomebodyElse, own.User, own.ID, svid.ID)
			}
		}
		if !gets(observer, own.ID) && !c.narrow(own.ID) {
			c.add(LacksIdentity, own.User, own.ID, "")
		}
	}
}

// containers: each service runs as before, and has no more privileges than before.
func (c *comparison) containers() {
	for i := range c.Before.Containers {
		was := &c.Before.Containers[i]
		if c.Before.Service(was.Service) != was {
			continue // not a container of the lab, or one that runs one command and exits
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
		if !sameUser(c.Before.UserOf(was), c.Now.UserOf(now)) {
			c.add(RunsAs, was.Service, orRoot(was.User), orRoot(now.User))
		}
		if saw, sees := mode(c.Before, was), mode(c.Now, now); saw != sees {
			c.add(SeesProcesses, was.Service, saw, sees)
		}
		for _, right := range moreRights(was, now) {
			c.add(MayDoMore, was.Service, "", right)
		}
		for _, m := range now.Mounts {
			old := was.Mount(m.At)
			written := m
			written.Writable = true
			// A mount that is no longer writable gives no new access.
			if mounted(old) != mounted(&m) && mounted(old) != mounted(&written) {
				c.add(OtherFiles, was.Service+" "+m.At, mounted(old), mounted(&m))
			}
		}
		for _, m := range was.Mounts {
			if now.Mount(m.At) == nil {
				c.add(OtherFiles, was.Service+" "+m.At, mounted(&m), mounted(nil))
			}
		}
		c.variables(was, now)
		for _, name := range without(aliases(was), aliases(now)) {
			c.add(NameGone, was.Service+" "+name, "", "")
		}
		for _, name := range without(aliases(now), aliases(was)) {
			c.add(NameNew, was.Service+" "+name, "", "")
		}
		if was.StopTimeout != now.StopTimeout {
			c.add(StopTime, was.Service, strconv.Itoa(was.StopTimeout), strconv.Itoa(now.StopTimeout))
		}
		for _, name := range slices.Sorted(maps.Keys(now.Networks)) {
			if _, ok := was.Networks[name]; !ok && len(was.Networks) > 0 {
				c.add(OtherNetwork, was.Service, "", name)
			}
		}
	}
}

// socket is the variable that has the address of the Workload API. A flag of the programs can also have this address.
const socket = "SPIFFE_ENDPOINT_SOCKET"

// programs: the containers client and server each run the same program file as before. A new build of the same source has the same hash.
func (c *comparison) programs() {
	for _, w := range lab.Workloads {
		was, now := c.Before.Service(w.Service), c.Now.Service(w.Service)
		if was == nil || now == nil || was.Status != "running" || now.Status != "running" {
			continue // the observer may have been in another container
		}
		before, after := c.Before.Observations[w.User], c.Now.Observations[w.User]
		if before == nil || after == nil {
			continue
		}
		if hash, is := before.Programs[was.Program()], after.Programs[now.Program()]; hash != "" && is != "" && hash != is {
			c.add(OtherProgram, w.Service, hash, is)
		}
	}
}

// variables: a container has the same environment variables as before. For most of them a report has only the names.
func (c *comparison) variables(was, now *facts.Container) {
	if before, after := endpoint(was), endpoint(now); before != "" && after != before {
		c.add(OtherSocket, was.Service, before, cmp.Or(after, "no address"))
	}
	for _, name := range without(was.Environment, now.Environment) {
		if name != socket {
			c.add(VariableGone, was.Service+" "+name, "", "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was.Settings)) {
		if value, ok := now.Settings[name]; ok && name != socket && value != was.Settings[name] {
			c.add(VariableOther, was.Service+" "+name, quoted(was.Settings[name]), quoted(value))
		}
	}
}

// endpoint is the address of the Workload API that a container is configured with.
func endpoint(c *facts.Container) string {
	address := cmp.Or(c.Flag("socket"), c.Settings[socket])
	return strings.TrimPrefix(strings.TrimPrefix(address, "unix:"), "//")
}

func quoted(value string) string { return `"` + value + `"` }

// madeUp matches a name that begins with a container's ID. Normally this name is only the ID. While Compose replaces a container, the name
// is the ID and the container's name.
var madeUp = regexp.MustCompile(`^[0-9a-f]{12}(_|$)`)

// aliases are the names of a container on its networks, without those that the engine and Compose generate.
func aliases(c *facts.Container) []string {
	var names []string
	for _, network := range c.Networks {
		for _, alias := range network.Aliases {
			if alias != c.Name && !madeUp.MatchString(alias) && !slices.Contains(names, alias) {
				names = append(names, alias)
			}
		}
	}
	slices.Sort(names)
	return names
}

// moreRights are the privileges that a container has now but did not have before.
func moreRights(was, now *facts.Container) []string {
	var more []string
	if now.Privileged && !was.Privileged {
		more = append(more, "privileged")
	}
	for _, capability := range slices.Sorted(slices.Values(now.CapAdd)) {
		if !slices.Contains(was.CapAdd, capability) {
			more = append(more, "cap_add "+capability)
		}
	}
	for _, capability := range slices.Sorted(slices.Values(was.CapDrop)) {
		if !slices.Contains(now.CapDrop, capability) {
			more = append(more, "no cap_drop "+capability)
		}
	}
	if was.ReadOnly && !now.ReadOnly {
		more = append(more, "no read_only")
	}
	return more
}

// anonymous matches a name that the engine has generated for a volume.
var anonymous = regexp.MustCompile(`^[0-9a-f]{64}$`)

// mounted describes a mount: its type, its name or source, and its access.
func mounted(m *facts.Mount) string {
	if m == nil {
		return "nothing"
	}
	name := cmp.Or(m.Name, m.Source)
	if anonymous.MatchString(name) {
		name = "without a name"
	}
	access := "read-only"
	if m.Writable {
		access = "writable"
	}
	return m.Type + " " + name + ", " + access
}

// sameUser compares two users by number, or by name if a number is missing.
func sameUser(was, now facts.User) bool {
	if was.UID != "" && now.UID != "" {
		return was.UID == now.UID && was.GID == now.GID
	}
	return was.Name == now.Name
}

func orRoot(user string) string {
	if user == "" || strings.HasPrefix(user, "0") {
		return "root"
	}
	return user
}

// mode is the PID mode of the container c. If the container joins the namespace of another container, mode has the service of that container in place of its ID.
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

// settings: SPIRE's configuration and the host's users are the same as before, apart from the log level.
func (c *comparison) settings() {
	for _, name := range []string{"server.conf", "agent.conf", "passwd"} {
		was, now := c.Before.Section("file-"+name), c.Now.Section("file-"+name)
		if !was.OK() || !now.OK() {
			continue
		}
		before, after := meaning(was.Lines), meaning(now.Lines)
		for _, line := range without(after, before) {
			c.add(SettingNew, name, "", line)
		}
		for _, line := range without(before, after) {
			c.add(SettingGone, name, line, "")
		}
	}
	for _, service := range []string{"spire-server", "spire-agent"} {
		was, now := c.Before.Service(service), c.Now.Service(service)
		if was != nil && now != nil && !slices.Equal(was.Command, now.Command) && !maps.Equal(started(c.Before, was), started(c.Now, now)) {
			c.add(StartedOtherwise, service, strings.Join(was.Command, " "), strings.Join(now.Command, " "))
		}
	}
}

// repeated has, for each SPIRE program, the flags that override a setting of its configuration file.
var repeated = map[string]struct {
	file  string
	flags map[string]string
}{
	lab.SPIREServer: {"server.conf", map[string]string{"bindAddress": "bind_address", "serverPort": "bind_port", "trustDomain": "trust_domain", "dataDir": "data_dir", "socketPath": "socket_path", "logLevel": "log_level"}},
	lab.SPIREAgent: {"agent.conf", map[string]string{"trustBundle": "trust_bundle_path", "serverAddress": "server_address", "serverPort": "server_port", "trustDomain": "trust_domain",
		"dataDir": "data_dir", "socketPath": "socket_path", "logLevel": "log_level"}},
}

// started has each flag of a SPIRE program with its value. If a flag is not given, started has the value from the configuration file. So a
// flag that only repeats the file does not count as a difference. Arguments that cannot be read as flags are kept unchanged.
func started(f *facts.Facts, c *facts.Container) map[string]string {
	values := map[string]string{}
	for args := c.Command; len(args) > 0; {
		name, value, inline := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(args[0], "-"), "-"), "=")
		switch {
		case !strings.HasPrefix(args[0], "-") || name == "":
			values[""] = strings.Join(args, " ") // package flag stops here
			return values
		case inline:
			args = args[1:]
		case name == "expandEnv":
			value, args = "true", args[1:]
		case len(args) > 1:
			value, args = args[1], args[2:]
		default:
			args = args[1:]
		}
		if path.IsAbs(value) && !strings.Contains(value, "..") {
			value = path.Clean(value)
		}
		values[name] = value
	}
	program := repeated[c.Service]
	for flag, setting := range program.flags {
		if value := cmp.Or(values[flag], f.Setting(program.file, setting)); value != "" {
			values[flag] = value
		}
	}
	return values
}

// assignment is the sign between a setting and its value.
var assignment = regexp.MustCompile(`\s*=\s*`)

// meaning returns the lines of a configuration file, except comments, empty lines and the log level.
func meaning(lines []string) []string {
	var kept []string
	for _, line := range lines {
		line = assignment.ReplaceAllString(strings.Join(strings.Fields(line), " "), " = ")
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") || line == `log_level = "INFO"` || line == `log_level = "DEBUG"` {
			continue
		}
		kept = append(kept, line)
	}
	return kept
}

// without returns the lines that are in the first list more often than in the second list. A line that only opens or closes a block does
// not count as a setting.
func without(some, others []string) []string {
	others = slices.Clone(others)
	var more []string
	for _, line := range some {
		if i := slices.Index(others, line); i >= 0 {
			others = slices.Delete(others, i, i+1)
		} else if strings.Trim(line, "{} ") != "" {
			more = append(more, line)
		}
	}
	return more
}

// survival: the SPIRE server still has its CA, entries and bundles, and trusts no new CA, trust domain or agent.
func (c *comparison) survival() {
	if c.Now.Service("spire-server") == nil || !c.Now.Section("entries").OK() || !c.Now.Section("bundle").OK() {
		c.add(SPIREServerSilent, "", "", "")
		return
	}
	// A bundle that the earlier report lacks cannot be compared.
	if c.kept.Section("bundle").OK() {
		for _, key := range without(keys(c.kept.Bundle), keys(c.Now.Bundle)) {
			c.add(CALost, key, "", "")
		}
		for _, key := range without(keys(c.Now.Bundle), keys(c.kept.Bundle)) {
			c.add(CAAdded, key, "", "")
		}
	}
	for _, e := range c.kept.Entries {
		if c.under(c.Before.Entries, e) && !c.under(c.Now.Entries, e) && !c.moved(e) {
			c.add(EntryLost, e.SPIFFEID.String(), "", "")
		}
	}
	if c.Before.Section("bundles").OK() && c.Now.Section("bundles").OK() {
		for _, domain := range without(c.Now.Federated, c.Before.Federated) {
			c.add(TrustAdded, domain, "", "")
		}
		for _, domain := range without(c.Before.Federated, c.Now.Federated) {
			c.add(TrustLost, domain, "", "")
		}
		for _, domain := range slices.Sorted(maps.Keys(c.Now.Foreign)) {
			if slices.Contains(c.Before.Federated, domain) {
				if was, is := list(keys(c.Before.Foreign[domain])), list(keys(c.Now.Foreign[domain])); was != is {
					c.add(TrustChanged, domain, was, is)
				}
			}
		}
	}
	if !c.Before.Section("agents").OK() {
		return
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

func keys(roots []facts.Root) []string {
	var all []string
	for _, r := range roots {
		all = append(all, r.Key)
	}
	return all
}
