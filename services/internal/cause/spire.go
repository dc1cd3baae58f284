package cause

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

const wiped = "scripts/scenarios/server-wiped.md"

var serverCauses = []Cause{
	{
		Code:   "LAB041",
		Sees:   "`spire-server` is not running; `no children to pick from`, `connection refused` in the agent's log",
		Means:  "the SPIRE server is stopped",
		Do:     "docker compose up --detach",
		Lesson: outages,
		Needs:  []string{"containers"},
		look:   (*view).serverStopped,
	},
	{
		Code:   "LAB042",
		Sees:   "`spire-server` is `Restarting`",
		Means:  "the SPIRE server keeps exiting",
		Do:     "read the last error of the SPIRE server (docker compose logs spire-server), and check the configuration with \"spire-server validate\"",
		Lesson: outages,
		Needs:  []string{"containers"},
		look:   (*view).serverCrashes,
	},
	{
		Code:   "LAB043",
		Sees:   "`bootstrap: no answer from the SPIRE server`",
		Means:  "the SPIRE server runs, but it does not answer its CLI",
		Do:     "wait some seconds after the SPIRE server has started, then read the log: docker compose logs spire-server",
		Lesson: outages,
		Needs:  []string{"entries"},
		look:   (*view).serverSilent,
	},
	{
		Code:   "LAB044",
		Sees:   "`bootstrap: '` ... `failed with exit status`",
		Means:  "bootstrap failed, so the host is not provisioned, or an entry is missing",
		Do:     "fix the error in the log (docker compose logs bootstrap). Then run: docker compose up --detach",
		Lesson: wiped,
		Needs:  []string{"containers"},
		look:   (*view).bootstrapFailed,
	},
	{
		Code:   "LAB045",
		Sees:   "`shutting down for rebootstrapping` many times",
		Means:  "the SPIRE server lost its data or uses a different volume, so it has a new CA and does not know the host's agent",
		Do:     "first look for the old volume (docker volume ls) or a backup. Only if the data is lost, let bootstrap provision the host again: docker compose up --detach",
		Lesson: wiped,
		Needs:  []string{"entries", "agents", "bundle", "file-bundle.pem"},
		look:   (*view).serverLostData,
	},
	{
		Code:   "LAB046",
		Sees:   "no `bootstrap: done`",
		Means:  "bootstrap has not finished, so there are no entries yet",
		Do:     "docker compose up --detach",
		Lesson: wiped,
		Needs:  []string{"entries"},
		look:   (*view).noBootstrap,
	},
}

func (l *view) serverStopped() *evidence {
	c := l.Service("spire-server")
	if how, byHand := ended(c); l.Section("containers").OK() && !runs(c) && byHand {
		return &evidence{seen: "spire-server: " + how, expected: "the SPIRE server runs"}
	}
	return nil
}

func (l *view) serverCrashes() *evidence {
	c := l.Service("spire-server")
	if how, byHand := ended(c); c != nil && !runs(c) && !byHand {
		return &evidence{seen: how + because(l.lastError("spire-server")), expected: "the SPIRE server runs"}
	}
	return nil
}

func (l *view) serverSilent() *evidence {
	s := l.Section("entries")
	if c := l.Service("spire-server"); runs(c) && (s.Answered() && !s.OK() && !l.starting(c) || l.silent("entries")) {
		seen := s.Last()
		if s.Late() {
			seen = s.Status
		}
		return &evidence{seen: "spire-server entry show: " + seen, expected: "a list of entries"}
	}
	return nil
}

func (l *view) bootstrapFailed() *evidence {
	if c := l.Service("bootstrap"); c != nil && c.Status == "exited" && c.ExitStatus != 0 && !stoppedByHand(c) {
		return &evidence{seen: fmt.Sprintf("bootstrap exited with status %d%s", c.ExitStatus, because(l.lastError("bootstrap"))), expected: "bootstrap: done"}
	}
	return nil
}

func (l *view) serverLostData() *evidence {
	if !l.otherCA() || slices.ContainsFunc(l.Agents, func(a facts.Agent) bool { return a.ID.String() == lab.AgentID }) {
		return nil
	}
	e := evidence{
		seen:     fmt.Sprintf("the SPIRE server has %d entries, no agent for the host, and a CA from %s; the host trusts a CA from %s", len(l.Entries), day(l.Bundle), day(l.HostBundle)),
		expected: "the CA that the host trusts",
	}
	if c := l.Service("spire-server"); c != nil {
		own := l.Host.Project + "_spire-server-data"
		if disk := volume(c.Mount(serverDir)); disk != own {
			e.finding = "the SPIRE server uses the wrong volume, so it has a new CA and does not know the host's agent"
			e.seen += fmt.Sprintf("; the SPIRE server has %s mounted at %s", disk, serverDir)
			e.expected = "the volume " + own
			e.do = "do not run bootstrap, because it would provision the host for the new CA. "
			if l.Host.Override == "" {
				e.do += "Unset SPIRE_SERVER_DISK"
			} else {
				e.do += "If spire-server has the key \"volumes\" in " + l.Host.Override + ", correct that key. Otherwise unset SPIRE_SERVER_DISK"
			}
			e.do += ". Then give the SPIRE server its volume back: docker compose up --detach --no-deps spire-server"
		}
	}
	return &e
}

func (l *view) noBootstrap() *evidence {
	c := l.Service("bootstrap")
	if l.Section("entries").OK() && len(l.Entries) == 0 && (c == nil || c.Status == "created" || c.Status == "running" && !l.starting(c)) {
		how, _ := ended(c)
		if runs(c) {
			how = "it still runs"
		}
		return &evidence{seen: "no entries; bootstrap: " + how, expected: "bootstrap: done"}
	}
	return nil
}

var agentCauses = []Cause{
	{
		Code:   "LAB047",
		Sees:   "`join token was not provided`, `join token does not exist or has already been used` in the agent's log",
		Means:  "agent.conf makes the agent attest with a join token, which is valid for only one attestation",
		Do:     "remove join_token and NodeAttestor \"join_token\" from spire/agent/agent.conf, and keep NodeAttestor \"x509pop\" (\"git diff spire\" shows what changed). Then run: make up",
		Lesson: "scripts/scenarios/join-token.md",
		Needs:  []string{"file-agent.conf"},
		Stays:  true,
		look:   (*view).joinToken,
	},
	{
		Code:  "LAB048",
		Sees:  "`create UDS listener`, `unable to change UDS permissions` in the agent's log",
		Means: "the agent cannot create the socket of the Workload API, because the mounted file system does not support sockets",
		Do: "mount a Docker volume or a folder of a Linux file system at " + socketDir + " (key \"volumes\" in " + composeFile + "). Then run \"make up\". " +
			"A folder that Docker Desktop shares with Windows or macOS, or a network folder, often does not support sockets",
		Lesson: "scripts/scenarios/agent-restart.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).noSocket,
	},
	{
		Code:   "LAB051",
		Sees:   "`the socket does not exist; likely cause: the agent is not running`",
		Means:  "the agent is stopped",
		Do:     "docker compose up --detach",
		Lesson: "scripts/scenarios/agent-outage.md",
		Needs:  []string{"containers"},
		look:   (*view).agentStopped,
	},
	{
		Code:   "LAB052",
		Sees:   "`agent is banned`",
		Means:  "the SPIRE server has banned the host's agent",
		Do:     askFirst + " with \"spire-server agent evict\"",
		Lesson: "scripts/scenarios/ban.md",
		Needs:  []string{"agents"},
		look:   (*view).agentBanned,
	},
	{
		Code:   "LAB053",
		Sees:   "`unable to load keypair`, `unable to parse trust bundle`",
		Means:  "the host has no credential, or only a part of it, so its agent cannot attest",
		Do:     "let bootstrap mint a new credential. Run: docker compose up --detach",
		Lesson: "scripts/scenarios/join-token.md",
		Needs:  []string{"credential"},
		look:   (*view).noCredential,
	},
	{
		Code:   "LAB054",
		Sees:   "`certificate signed by unknown authority` in the agent's log",
		Means:  "the host's trust bundle does not contain the SPIRE server's CA, so the agent refuses the SPIRE server",
		Do:     "check that the SPIRE server uses the volume spire-server-data. Then let bootstrap write the bundle again (docker compose up --detach), and restart the agent: docker compose restart spire-agent",
		Lesson: wiped,
		Needs:  []string{"bundle", "file-bundle.pem"},
		look:   (*view).hostTrustsOtherCA,
	},
	{
		Code:   "LAB055",
		Sees:   "`no children to pick from`, `no such host`, `connection refused` in the agent's log",
		Means:  "agent.conf has the wrong address, port or trust domain of the SPIRE server",
		Do:     "correct spire/agent/agent.conf (\"git diff spire\" shows what changed). Then run: make up",
		Lesson: outages,
		Needs:  []string{"file-agent.conf", "file-server.conf"},
		Stays:  true,
		look:   (*view).agentAsksOther,
	},
	{
		Code:   "LAB056",
		Sees:   "`name resolver error`, `no children to pick from` in the agent's log",
		Means:  "the agent and the SPIRE server share no network",
		Do:     "recreate both containers: " + newContainers(lab.SPIREServer, lab.SPIREAgent),
		Lesson: outages,
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).agentApart,
	},
	{
		Code:   "LAB057",
		Sees:   "`/exe: permission denied`",
		Means:  "the agent may not read the program files of processes, so it cannot attest any workload",
		Do:     "set cap_add: [SYS_PTRACE] for spire-agent in " + composeFile + ". Then run: make up",
		Lesson: "scripts/scenarios/stolen-user.md",
		Needs:  []string{"file-agent.conf"},
		Stays:  true,
		look:   (*view).agentCannotSee,
	},
	{
		Code:   "LAB058",
		Sees:   "`spire-agent` is `Restarting`, `Agent crashed`",
		Means:  "the agent cannot attest, so it never joins the trust domain",
		Do:     "read the last error in the agent's log: docker compose logs spire-agent",
		Lesson: "scripts/scenarios/agent-restart.md",
		Needs:  []string{"agents"},
		look:   (*view).agentCannotAttest,
	},
	{
		Code:   "LAB059",
		Sees:   "`connection refused` or no answer from the Workload API",
		Means:  "the agent runs, but it does not answer on the socket of the Workload API",
		Do:     "read the agent's log (docker compose logs spire-agent), then restart the agent: docker compose restart spire-agent",
		Lesson: "scripts/scenarios/agent-restart.md",
		Needs:  []string{"observer-server-workload", "observer-client-workload"},
		look:   (*view).agentSilent,
	},
}

func (l *view) agentStopped() *evidence {
	c := l.Service("spire-agent")
	if how, byHand := ended(c); l.Section("containers").OK() && !runs(c) && byHand {
		return &evidence{seen: "spire-agent: " + how, expected: "the agent runs"}
	}
	return nil
}

func (l *view) agentBanned() *evidence {
	for _, a := range l.Agents {
		if a.ID.String() == lab.AgentID && a.Banned {
			return &evidence{seen: lab.AgentID + " is banned", expected: "the agent is not banned", do: askFirst, run: []string{"agent", "evict", "-spiffeID", lab.AgentID}}
		}
	}
	return nil
}

func (l *view) noCredential() *evidence {
	const all = "svid.pem, key.pem and bundle.pem"
	if s := l.Section("credential"); s.Answered() && !s.OK() {
		return &evidence{seen: "/run/host-credential: " + s.Last(), expected: all, do: l.stored(lab.SPIREAgent, credentialDir, "host-credential", "")}
	} else if !s.OK() {
		return nil
	}
	for _, file := range []string{"svid.pem", "key.pem", "bundle.pem"} {
		if !slices.Contains(l.Credential, file) {
			seen := "/run/host-credential is empty"
			if there := strings.Join(l.Credential, ", "); there != "" {
				seen = "/run/host-credential has " + there + ", but no " + file
			}
			return &evidence{seen: seen, expected: all, do: l.stored(lab.SPIREAgent, credentialDir, "host-credential", "")}
		}
	}
	return nil
}

// hostBundle is the file that bootstrap writes. It has the CA certificates with which the agent verifies the SPIRE server.
const hostBundle = credentialDir + "/bundle.pem"

func (l *view) hostTrustsOtherCA() *evidence {
	if e := l.otherBundle(); e != nil {
		return e
	}
	if l.otherCA() {
		return &evidence{
			seen:     fmt.Sprintf("bundle.pem has the CA %s", short(l.HostBundle[0].Key)),
			expected: "a CA of the SPIRE server: " + keys(l.Bundle),
			do:       l.stored(lab.SPIREAgent, credentialDir, "host-credential", ""),
		}
	}
	return nil
}

// otherBundle is evidence that the agent does not read the file hostBundle, but a different bundle file, and refuses the SPIRE server.
func (l *view) otherBundle() *evidence {
	c := l.Service(lab.SPIREAgent)
	if c == nil {
		return nil
	}
	file, by, do := c.Flag("trustBundle"), "-trustBundle", fmt.Sprintf("correct -trustBundle of spire-agent in %s. Then run: docker compose up --detach spire-agent", composeFile)
	if file == "" {
		file, by, do = l.Setting("agent.conf", "trust_bundle_path"), "trust_bundle_path", l.built(lab.SPIREAgent, "correct trust_bundle_path in spire/agent/agent.conf (\"git diff spire\" shows what changed). Then run: make up")
	}
	if file == "" || path.Clean(file) == hostBundle {
		return nil
	}
	for _, line := range slices.Backward(l.Log(lab.SPIREAgent)) {
		switch {
		case strings.Contains(line.Text, "Node attestation was successful"):
			return nil
		case strings.Contains(line.Text, "certificate signed by unknown authority"):
			return &evidence{finding: "the agent reads the wrong trust bundle, which lacks the SPIRE server's CA, so the agent refuses the SPIRE server",
				seen: fmt.Sprintf("%s of spire-agent is %s, and the agent logs %s", by, file, sifted(line.Text)), expected: hostBundle + ", which bootstrap writes", do: do}
		}
	}
	return nil
}

func (l *view) agentAsksOther() *evidence {
	if !l.Section("file-agent.conf").OK() || !l.Section("file-server.conf").OK() {
		return nil
	}
	for _, s := range []struct{ of, want, where string }{
		{"server_address", "spire-server", "the SPIRE server's name"},
		{"server_port", l.Setting("server.conf", "bind_port"), "bind_port of server.conf"},
		{"trust_domain", l.Setting("server.conf", "trust_domain"), "trust_domain of server.conf"},
	} {
		if is := l.Setting("agent.conf", s.of); is != s.want && s.want != "" {
			return &evidence{seen: fmt.Sprintf("agent.conf: %s = %q", s.of, is), expected: fmt.Sprintf("%q, %s", s.want, s.where), do: l.built(lab.SPIREAgent, "")}
		}
	}
	return nil
}

func (l *view) agentApart() *evidence { return l.apart(lab.SPIREAgent, lab.SPIREServer) }

func (l *view) agentCannotSee() *evidence {
	c := l.Service("spire-agent")
	if l.Setting("agent.conf", "discover_workload_path") == "true" && c != nil && !c.Privileged &&
		!slices.ContainsFunc(c.CapAdd, func(name string) bool { return strings.TrimPrefix(name, "CAP_") == "SYS_PTRACE" }) {
		return &evidence{seen: fmt.Sprintf("spire-agent has the capabilities %v", c.CapAdd), expected: "SYS_PTRACE, which discover_workload_path needs"}
	}
	return nil
}

func (l *view) agentCannotAttest() *evidence {
	c := l.Service("spire-agent")
	how, byHand := ended(c)
	switch {
	case c == nil:
		return nil
	case !runs(c) && !byHand:
	case l.Section("agents").OK() && !slices.ContainsFunc(l.Agents, func(a facts.Agent) bool { return a.ID.String() == lab.AgentID }) && !l.starting(c):
		how = "the SPIRE server has no agent " + lab.AgentID
	default:
		return nil
	}
	return &evidence{seen: how + because(l.lastError("spire-agent")), expected: "Node attestation was successful"}
}

func (l *view) agentSilent() *evidence {
	agent := l.Service("spire-agent")
	if !runs(agent) || l.starting(agent) {
		return nil
	}
	for _, w := range workloads {
		t, c := l.Observations[w.user], l.Service(w.service)
		if t == nil || c == nil || t.Endpoint.Error == "" {
			continue
		}
		if path, _ := asked(c); path != l.offered() || !same(agent.Mount(socketDir), c.Mount(socketDir)) {
			continue // wrongSocket or noSharedSocket finds this
		}
		silent := late(t.Endpoint.Error) || t.Endpoint.Code == "DeadlineExceeded"
		if t.Endpoint.NoSocket || t.Endpoint.Code == "Unavailable" && !silent || silent && l.hangs() {
			return &evidence{seen: fmt.Sprintf("%s at %s: %s%s", w.user, t.Endpoint.Address, t.Endpoint.Error, because(l.lastError("spire-agent"))), expected: "the agent returns an SVID, or \"no identity issued\""}
		}
	}
	return nil
}

// askFirst is the beginning of the remedy for a ban, because a person has decided on the ban.
const askFirst = "ask who banned the agent, why, and whether the host and its key are safe. If the host or its key is not safe, keep the ban. If both are safe, end the ban by deleting the agent's record"

// credentialDir is where the host's credential is mounted.
const credentialDir = "/run/host-credential"

// serverDir is where the SPIRE server has its data.
const serverDir = "/var/lib/spire/server"

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// starting tells whether a container has started so recently that it may not answer yet.
func (l *view) starting(c *facts.Container) bool {
	return c != nil && !l.Clock.IsZero() && l.Clock.Sub(c.StartedAt) < settle
}

func stoppedByHand(c *facts.Container) bool {
	_, byHand := ended(c)
	return byHand
}

// otherCA tells whether the host's bundle file has no CA certificate of the SPIRE server's trust bundle.
func (l *view) otherCA() bool {
	if len(l.Bundle) == 0 || len(l.HostBundle) == 0 {
		return false
	}
	return !slices.ContainsFunc(l.Bundle, func(own facts.Root) bool {
		return slices.ContainsFunc(l.HostBundle, func(r facts.Root) bool { return r.Key == own.Key })
	})
}

// apart is evidence that two services have no network in common.
func (l *view) apart(a, b string) *evidence {
	from, to := l.Service(a), l.Service(b)
	if !runs(from) || !runs(to) {
		return nil
	}
	for name := range from.Networks {
		if _, ok := to.Networks[name]; ok {
			return nil
		}
	}
	return &evidence{seen: fmt.Sprintf("%s is on %s, and %s is on %s", a, on(from), b, on(to)), expected: "both are on the same network", do: l.reconnect(b, a)}
}

func on(c *facts.Container) string {
	names := make([]string, 0, len(c.Networks))
	for name := range c.Networks {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "no network"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func day(roots []facts.Root) string {
	return roots[len(roots)-1].NotBefore.Format("2006-01-02 15:04:05")
}

// short is the beginning of a key ID, enough to distinguish it from another key ID.
func short(key string) string { return key[:min(len(key), 12)] + "..." }

func keys(roots []facts.Root) string {
	var all []string
	for _, r := range roots {
		all = append(all, short(r.Key))
	}
	return strings.Join(all, ", ")
}

var joinTokenPlugin = regexp.MustCompile(`^\s*NodeAttestor\s+"join_token"`)

// joinToken looks in agent.conf for a join token, or for its node attestor. If agent.conf sets a join token, the agent uses no other node
// attestor (SPIRE, pkg/agent/agent.go).
func (l *view) joinToken() *evidence {
	for _, line := range l.Section("file-agent.conf").Lines {
		if joinTokenPlugin.MatchString(line) {
			return &evidence{seen: "agent.conf has " + strings.Trim(line, " \t{") + logged(l.lastError(lab.SPIREAgent)), expected: `NodeAttestor "x509pop"`, do: l.built(lab.SPIREAgent, "")}
		}
	}
	if l.Setting("agent.conf", "join_token") != "" {
		return &evidence{seen: "agent.conf sets join_token" + logged(l.lastError(lab.SPIREAgent)), expected: `only NodeAttestor "x509pop"`, do: l.built(lab.SPIREAgent, "")}
	}
	return nil
}

// noSocket is evidence that the agent cannot create its socket.
func (l *view) noSocket() *evidence {
	c := l.Service(lab.SPIREAgent)
	if c == nil {
		return nil
	}
	failed := l.lastError(lab.SPIREAgent)
	if !strings.Contains(failed, "UDS") && !strings.Contains(failed, "listen unix") {
		return nil
	}
	missing := l.eachObserved(func(_ workload, t *observation.Observation) *evidence {
		if t.Endpoint.NoSocket {
			return &evidence{}
		}
		return nil
	})
	if runs(c) && missing == nil {
		return nil // the error is from an earlier start
	}
	return &evidence{seen: "spire-agent: " + failed, expected: "a socket in " + volume(c.Mount(socketDir))}
}

// logged returns the agent's error as the last part of a finding. There is no colon before the error, because a colon after join_token
// would make the error look like the token.
func logged(failure string) string {
	if failure == "" {
		return ""
	}
	return ", and the agent logs " + failure
}
