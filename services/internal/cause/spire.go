package cause

import (
	"fmt"
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
		Do:     "read the last error in docker compose logs spire-server; spire-server validate checks its configuration",
		Lesson: outages,
		Needs:  []string{"containers"},
		look:   (*view).serverCrashes,
	},
	{
		Code:   "LAB043",
		Sees:   "`bootstrap: no answer from the SPIRE server`",
		Means:  "the SPIRE server runs and does not answer its own CLI",
		Do:     "wait some seconds after its start; then read docker compose logs spire-server",
		Lesson: outages,
		Needs:  []string{"entries"},
		look:   (*view).serverSilent,
	},
	{
		Code:   "LAB044",
		Sees:   "`bootstrap: '` ... `failed with exit status`",
		Means:  "bootstrap failed, so the host is not provisioned, or an entry is missing",
		Do:     "docker compose logs bootstrap shows the command that failed, and its error. Remove the cause, then docker compose up --detach",
		Lesson: wiped,
		Needs:  []string{"containers"},
		look:   (*view).bootstrapFailed,
	},
	{
		Code:   "LAB045",
		Sees:   "`shutting down for rebootstrapping`, again and again",
		Means:  "the SPIRE server has lost its data, or runs on a different disk, so its CA is new, and it has no agents and no entries",
		Do:     "look for its old disk (docker volume ls) or a backup first. Only if the data are lost, let bootstrap provision the host again: docker compose up --detach",
		Lesson: wiped,
		Needs:  []string{"entries", "agents", "bundle", "file-bundle.pem"},
		look:   (*view).serverLostData,
	},
	{
		Code:   "LAB046",
		Sees:   "no `bootstrap: done`",
		Means:  "bootstrap has not run, so there is no host and no entry yet",
		Do:     "docker compose up --detach",
		Lesson: wiped,
		Needs:  []string{"entries"},
		look:   (*view).noBootstrap,
	},
}

func (l *view) serverStopped() *evidence {
	c := l.Service("spire-server")
	if how, byHand := ended(c); l.Section("containers").OK() && !runs(c) && byHand {
		return &evidence{seen: "spire-server: " + how, expected: "it runs"}
	}
	return nil
}

func (l *view) serverCrashes() *evidence {
	c := l.Service("spire-server")
	if how, byHand := ended(c); c != nil && !runs(c) && !byHand {
		return &evidence{seen: how + because(l.lastError("spire-server")), expected: "it runs"}
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
		seen:     fmt.Sprintf("%d entries, no agent of the host; the server's CA is of %s, the host trusts one of %s", len(l.Entries), day(l.Bundle), day(l.HostBundle)),
		expected: "the CA that the host was provisioned with",
	}
	if c := l.Service("spire-server"); c != nil {
		own := l.Host.Project + "_spire-server-data"
		if disk := volume(c.Mount(serverDir)); disk != own {
			e.finding = "the SPIRE server runs on the wrong disk, so its CA is new, and it has no agents and no entries"
			e.seen += fmt.Sprintf("; on %s it has %s", serverDir, disk)
			e.expected = "its own disk, " + own
			e.do = "do not run bootstrap, because it would provision the host for the new CA. Unset SPIRE_SERVER_DISK; then docker compose up --detach --no-deps spire-server gives the SPIRE server its own disk back"
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
		return &evidence{seen: "no entry at all; bootstrap: " + how, expected: "bootstrap: done"}
	}
	return nil
}

var agentCauses = []Cause{
	{
		Code:   "LAB047",
		Sees:   "`join token was not provided`, `join token does not exist or has already been used` in the agent's log",
		Means:  "agent.conf has the agent attest with a join token, which is valid for one attestation",
		Do:     "remove join_token and NodeAttestor \"join_token\" from spire/agent/agent.conf, and keep NodeAttestor \"x509pop\" (git diff spire); then make up",
		Lesson: "scripts/scenarios/join-token.md",
		Needs:  []string{"file-agent.conf"},
		Stays:  true,
		look:   (*view).joinToken,
	},
	{
		Code:  "LAB048",
		Sees:  "`create UDS listener`, `unable to change UDS permissions` in the agent's log",
		Means: "the agent cannot create the socket of the Workload API, because the file system that is mounted there holds no sockets",
		Do: "mount a volume of Docker or a folder of a Linux file system on " + socketDir + " (git diff compose.yaml); then make up. " +
			"A folder that Docker Desktop shares with Windows or macOS, or one on a network, often holds no sockets",
		Lesson: "scripts/scenarios/agent-restart.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).noSocket,
	},
	{
		Code:   "LAB051",
		Sees:   "`is the agent running`, `the socket does not exist`",
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
		Do:     askFirst + " with spire-server agent evict",
		Lesson: "scripts/scenarios/ban.md",
		Needs:  []string{"agents"},
		look:   (*view).agentBanned,
	},
	{
		Code:   "LAB053",
		Sees:   "`unable to load keypair`, `unable to parse trust bundle`",
		Means:  "the host has no credential, or only a part of it, so its agent cannot attest",
		Do:     "docker compose up --detach runs bootstrap, which mints a new one",
		Lesson: "scripts/scenarios/join-token.md",
		Needs:  []string{"credential"},
		look:   (*view).noCredential,
	},
	{
		Code:   "LAB054",
		Sees:   "`certificate signed by unknown authority` in the agent's log",
		Means:  "the host's trust bundle does not contain the SPIRE server's CA, so the agent refuses the SPIRE server",
		Do:     "check that the SPIRE server runs on its own disk. Then docker compose up --detach, where bootstrap writes the bundle again, and docker compose restart spire-agent",
		Lesson: wiped,
		Needs:  []string{"bundle", "file-bundle.pem"},
		look:   (*view).hostTrustsOtherCA,
	},
	{
		Code:   "LAB055",
		Sees:   "`no children to pick from`, `no such host`, `connection refused` in the agent's log",
		Means:  "the agent is configured for a different SPIRE server",
		Do:     "correct spire/agent/agent.conf (git diff spire), then make up",
		Lesson: outages,
		Needs:  []string{"file-agent.conf", "file-server.conf"},
		Stays:  true,
		look:   (*view).agentAsksOther,
	},
	{
		Code:   "LAB056",
		Sees:   "`name resolver error`, `no children to pick from` in the agent's log",
		Means:  "the agent and the SPIRE server share no network",
		Do:     "docker compose up --detach --force-recreate spire-server spire-agent",
		Lesson: outages,
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).agentApart,
	},
	{
		Code:   "LAB057",
		Sees:   "`/exe: permission denied`",
		Means:  "the agent may not read the program files of processes, so it cannot attest any workload",
		Do:     "set cap_add: [SYS_PTRACE] for spire-agent in compose.yaml; then make up",
		Lesson: "scripts/scenarios/stolen-user.md",
		Needs:  []string{"file-agent.conf"},
		Stays:  true,
		look:   (*view).agentCannotSee,
	},
	{
		Code:   "LAB058",
		Sees:   "`spire-agent` is `Restarting`, `Agent crashed`",
		Means:  "the agent cannot attest, so it never joins the trust domain",
		Do:     "read the last error in docker compose logs spire-agent",
		Lesson: "scripts/scenarios/agent-restart.md",
		Needs:  []string{"agents"},
		look:   (*view).agentCannotAttest,
	},
	{
		Code:   "LAB059",
		Sees:   "`connection refused` or no answer from the Workload API",
		Means:  "the agent runs, but it does not answer on the socket of the Workload API",
		Do:     "read docker compose logs spire-agent; then docker compose restart spire-agent",
		Lesson: "scripts/scenarios/agent-restart.md",
		Needs:  []string{"observer-server-workload", "observer-client-workload"},
		look:   (*view).agentSilent,
	},
}

func (l *view) agentStopped() *evidence {
	c := l.Service("spire-agent")
	if how, byHand := ended(c); l.Section("containers").OK() && !runs(c) && byHand {
		return &evidence{seen: "spire-agent: " + how, expected: "it runs"}
	}
	return nil
}

func (l *view) agentBanned() *evidence {
	for _, a := range l.Agents {
		if a.ID.String() == lab.AgentID && a.Banned {
			return &evidence{seen: lab.AgentID + " is banned", expected: "it is not banned", do: askFirst, run: []string{"agent", "evict", "-spiffeID", lab.AgentID}}
		}
	}
	return nil
}

func (l *view) noCredential() *evidence {
	const all = "svid.pem, key.pem and bundle.pem"
	if s := l.Section("credential"); s.Answered() && !s.OK() {
		return &evidence{seen: "/run/host-credential: " + s.Last(), expected: all}
	} else if !s.OK() {
		return nil
	}
	for _, file := range []string{"svid.pem", "key.pem", "bundle.pem"} {
		if !slices.Contains(l.Credential, file) {
			there := strings.Join(l.Credential, ", ")
			if there == "" {
				there = "nothing"
			}
			return &evidence{seen: "there is no " + file + " in /run/host-credential, but " + there, expected: all}
		}
	}
	return nil
}

func (l *view) hostTrustsOtherCA() *evidence {
	if l.otherCA() {
		return &evidence{
			seen:     fmt.Sprintf("bundle.pem has the CA %s", short(l.HostBundle[0].Key)),
			expected: fmt.Sprintf("one of the SPIRE server's: %s", keys(l.Bundle)),
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
			return &evidence{seen: fmt.Sprintf("agent.conf: %s = %q", s.of, is), expected: fmt.Sprintf("%q, %s", s.want, s.where)}
		}
	}
	return nil
}

func (l *view) agentApart() *evidence { return l.apart("spire-agent", "spire-server") }

func (l *view) agentCannotSee() *evidence {
	c := l.Service("spire-agent")
	if l.Setting("agent.conf", "discover_workload_path") == "true" && c != nil && !c.Privileged &&
		!slices.ContainsFunc(c.CapAdd, func(name string) bool { return strings.TrimPrefix(name, "CAP_") == "SYS_PTRACE" }) {
		return &evidence{seen: fmt.Sprintf("spire-agent has the capabilities %v", c.CapAdd), expected: "SYS_PTRACE, for discover_workload_path"}
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
		how = "the SPIRE server knows no agent " + lab.AgentID
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
			continue // which has a finding of its own
		}
		silent := late(t.Endpoint.Error) || t.Endpoint.Code == "DeadlineExceeded"
		if t.Endpoint.NoSocket || t.Endpoint.Code == "Unavailable" && !silent || silent && l.hangs() {
			return &evidence{seen: fmt.Sprintf("%s at %s: %s%s", w.user, t.Endpoint.Address, t.Endpoint.Error, because(l.lastError("spire-agent"))), expected: "the agent gives an SVID, or says that there is none"}
		}
	}
	return nil
}

// askFirst is what to do about a ban, because somebody has decided on it.
const askFirst = "ask who banned the agent, why, and whether the host and its key are safe. If they are not, keep the ban. If they are, remove the record that is the ban"

// serverDir is where the SPIRE server has its data.
const serverDir = "/var/lib/spire/server"

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// starting tells whether a container has started so short a time ago that it need not answer yet.
func (l *view) starting(c *facts.Container) bool {
	return c != nil && !l.Clock.IsZero() && l.Clock.Sub(c.StartedAt) < settle
}

func stoppedByHand(c *facts.Container) bool {
	_, byHand := ended(c)
	return byHand
}

// otherCA tells whether nothing that the SPIRE server trusts is in the host's file of the bundle.
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
	return &evidence{seen: fmt.Sprintf("%s is on %s, %s on %s", a, on(from), b, on(to)), expected: "a network of both"}
}

func on(c *facts.Container) string {
	names := make([]string, 0, len(c.Networks))
	for name := range c.Networks {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func day(roots []facts.Root) string {
	return roots[len(roots)-1].NotBefore.Format("2006-01-02 15:04:05")
}

// short is the beginning of a key ID, enough to tell it from another.
func short(key string) string { return key[:min(len(key), 12)] + "..." }

func keys(roots []facts.Root) string {
	var all []string
	for _, r := range roots {
		all = append(all, short(r.Key))
	}
	return strings.Join(all, ", ")
}

var joinTokenPlugin = regexp.MustCompile(`^\s*NodeAttestor\s+"join_token"`)

// joinToken looks into agent.conf. A join token there takes the place of every other node attestor (SPIRE, pkg/agent/agent.go).
func (l *view) joinToken() *evidence {
	for _, line := range l.Section("file-agent.conf").Lines {
		if joinTokenPlugin.MatchString(line) {
			return &evidence{seen: "agent.conf has " + strings.Trim(line, " \t{") + logged(l.lastError(lab.SPIREAgent)), expected: `NodeAttestor "x509pop"`}
		}
	}
	if l.Setting("agent.conf", "join_token") != "" {
		return &evidence{seen: "agent.conf sets join_token" + logged(l.lastError(lab.SPIREAgent)), expected: `NodeAttestor "x509pop" alone`}
	}
	return nil
}

// noSocket is evidence that the agent cannot listen where it should.
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
		return nil // it was so before
	}
	return &evidence{seen: "spire-agent: " + failed, expected: "a socket in " + volume(c.Mount(socketDir))}
}

// logged is what the agent logs. A colon after join_token would make it look like the token, which no error shows.
func logged(failure string) string {
	if failure == "" {
		return ""
	}
	return ", and the agent logs " + failure
}
