package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
)

const wiped = "scripts/scenarios/server-wiped.md"

var serverChecks = []check{
	{"LAB041", "`spire-server` is not running", "the SPIRE server is stopped",
		"docker compose up --detach", outages,
		func(l *lab) *evidence {
			c := l.Service("spire-server")
			if how, byHand := ended(c); l.Section("containers").OK() && !runs(c) && byHand {
				return &evidence{seen: "spire-server: " + how, expected: "it runs"}
			}
			return nil
		}},
	{"LAB042", "`spire-server` is `Restarting`", "the SPIRE server ends by itself",
		"docker compose logs spire-server: its last error says why; spire-server validate checks its configuration", outages,
		func(l *lab) *evidence {
			c := l.Service("spire-server")
			if how, byHand := ended(c); c != nil && !runs(c) && !byHand {
				return &evidence{seen: how + because(l.lastError("spire-server")), expected: "it runs"}
			}
			return nil
		}},
	{"LAB043", "`bootstrap: no answer from the SPIRE server`", "the SPIRE server runs and does not answer its own CLI",
		"docker compose logs spire-server; it answers some seconds after its start", outages,
		func(l *lab) *evidence {
			s := l.Section("entries")
			if c := l.Service("spire-server"); runs(c) && (s.Answered() && !s.OK() && !l.starting(c) || l.silent("entries")) {
				seen := s.Last()
				if s.Late() {
					seen = s.Status
				}
				return &evidence{seen: "spire-server entry show: " + seen, expected: "a list of entries"}
			}
			return nil
		}},
	{"LAB044", "`bootstrap: '` ... `failed with exit status`", "bootstrap failed, so the host is not provisioned, or an entry is missing",
		"docker compose logs bootstrap shows the command that failed, and its error. Remove the cause, then docker compose up --detach", wiped,
		func(l *lab) *evidence {
			if c := l.Service("bootstrap"); c != nil && c.Status == "exited" && c.ExitStatus != 0 && !stoppedByHand(c) {
				return &evidence{seen: fmt.Sprintf("bootstrap exited with status %d%s", c.ExitStatus, because(l.lastError("bootstrap"))), expected: "bootstrap: done"}
			}
			return nil
		}},
	{"LAB045", "`shutting down for rebootstrapping`, again and again", "the SPIRE server has lost its data, or runs on a different disk, so its CA is new, and it has no agents and no entries",
		"look for its old disk (docker volume ls) or a backup first. Only if the data are lost, let bootstrap provision the host again: docker compose up --detach", wiped,
		func(l *lab) *evidence {
			if !l.otherCA() || slices.ContainsFunc(l.Agents, func(a facts.Agent) bool { return a.ID.String() == agentID }) {
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
		}},
	{"LAB046", "no `bootstrap: done`", "bootstrap has not run, so there is no host and no entry yet",
		"docker compose up --detach", wiped,
		func(l *lab) *evidence {
			c := l.Service("bootstrap")
			if l.Section("entries").OK() && len(l.Entries) == 0 && (c == nil || c.Status == "created" || c.Status == "running" && !l.starting(c)) {
				how, _ := ended(c)
				if runs(c) {
					how = "it still runs"
				}
				return &evidence{seen: "no entry at all; bootstrap: " + how, expected: "bootstrap: done"}
			}
			return nil
		}},
}

var agentChecks = []check{
	{"LAB051", "`is the agent running`, `the socket does not exist`", "the agent is stopped",
		"docker compose up --detach", "scripts/scenarios/agent-outage.md",
		func(l *lab) *evidence {
			c := l.Service("spire-agent")
			if how, byHand := ended(c); l.Section("containers").OK() && !runs(c) && byHand {
				return &evidence{seen: "spire-agent: " + how, expected: "it runs"}
			}
			return nil
		}},
	{"LAB052", "`agent is banned`", "the SPIRE server has banned the host's agent",
		askFirst + " with spire-server agent evict", "scripts/scenarios/ban.md",
		func(l *lab) *evidence {
			for _, a := range l.Agents {
				if a.ID.String() == agentID && a.Banned {
					return &evidence{seen: agentID + " is banned", expected: "it is not banned", do: askFirst, run: []string{"agent", "evict", "-spiffeID", agentID}}
				}
			}
			return nil
		}},
	{"LAB053", "`unable to load keypair`, `unable to parse trust bundle`", "the host has no credential, or only a part of it, so its agent cannot attest",
		"docker compose up --detach runs bootstrap, which mints a new one", "scripts/scenarios/join-token.md",
		func(l *lab) *evidence {
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
		}},
	{"LAB054", "`certificate signed by unknown authority` in the agent's log", "the host's trust bundle does not contain the SPIRE server's CA, so the agent refuses the SPIRE server",
		"check that the SPIRE server runs on its own disk. Then docker compose up --detach, where bootstrap writes the bundle again, and docker compose restart spire-agent", wiped,
		func(l *lab) *evidence {
			if l.otherCA() {
				return &evidence{
					seen:     fmt.Sprintf("bundle.pem has the CA %s", short(l.HostBundle[0].Key)),
					expected: fmt.Sprintf("one of the SPIRE server's: %s", keys(l.Bundle)),
				}
			}
			return nil
		}},
	{"LAB055", "`no such host`, `connection refused` in the agent's log", "the agent is configured for a different SPIRE server",
		"correct spire/agent/agent.conf (git diff spire), then make up", outages,
		func(l *lab) *evidence {
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
		}},
	{"LAB056", "`name resolver error` in the agent's log", "the agent and the SPIRE server share no network",
		"docker compose up --detach --force-recreate spire-server spire-agent", outages,
		func(l *lab) *evidence { return l.apart("spire-agent", "spire-server") }},
	{"LAB057", "`/exe: permission denied`", "the agent may not look at the programs' files: it cannot attest any process",
		"compose.yaml: cap_add: [SYS_PTRACE] for spire-agent; then make up", "scripts/scenarios/stolen-user.md",
		func(l *lab) *evidence {
			c := l.Service("spire-agent")
			if l.Setting("agent.conf", "discover_workload_path") == "true" && c != nil && !c.Privileged &&
				!slices.ContainsFunc(c.CapAdd, func(name string) bool { return strings.TrimPrefix(name, "CAP_") == "SYS_PTRACE" }) {
				return &evidence{seen: fmt.Sprintf("spire-agent has the capabilities %v", c.CapAdd), expected: "SYS_PTRACE, for discover_workload_path"}
			}
			return nil
		}},
	{"LAB058", "`spire-agent` is `Restarting`, `Agent crashed`", "the agent cannot attest, so it never joins the trust domain",
		"docker compose logs spire-agent: its last error says why", "scripts/scenarios/agent-restart.md",
		func(l *lab) *evidence {
			c := l.Service("spire-agent")
			how, byHand := ended(c)
			switch {
			case c == nil:
				return nil
			case !runs(c) && !byHand:
			case l.Section("agents").OK() && !slices.ContainsFunc(l.Agents, func(a facts.Agent) bool { return a.ID.String() == agentID }) && !l.starting(c):
				how = "the SPIRE server knows no agent " + agentID
			default:
				return nil
			}
			return &evidence{seen: how + because(l.lastError("spire-agent")), expected: "Node attestation was successful"}
		}},
	{"LAB059", "`connection refused` or no answer from the Workload API", "the agent runs, and does not answer on its socket",
		"docker compose logs spire-agent; docker compose restart spire-agent", "scripts/scenarios/agent-restart.md",
		func(l *lab) *evidence {
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
		}},
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
func (l *lab) starting(c *facts.Container) bool {
	return c != nil && !l.Clock.IsZero() && l.Clock.Sub(c.StartedAt) < settle
}

func stoppedByHand(c *facts.Container) bool {
	_, byHand := ended(c)
	return byHand
}

// otherCA tells whether nothing that the SPIRE server trusts is in the host's file of the bundle.
func (l *lab) otherCA() bool {
	if len(l.Bundle) == 0 || len(l.HostBundle) == 0 {
		return false
	}
	return !slices.ContainsFunc(l.Bundle, func(own facts.Root) bool {
		return slices.ContainsFunc(l.HostBundle, func(r facts.Root) bool { return r.Key == own.Key })
	})
}

// apart is evidence that two services have no network in common.
func (l *lab) apart(a, b string) *evidence {
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
