package cause

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

var containerCauses = []Cause{
	{
		Code:   lab.NotRunning,
		Sees:   "`the lab is not running`",
		Means:  "the lab is not started",
		Do:     "make up",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		look:   (*view).notRunning,
	},
	{
		Code:   "LAB032",
		Sees:   "`was interrupted`",
		Means:  "a scenario was interrupted, and its changes are not yet undone",
		Do:     "reset the lab with \"make scenario-happy-path\", or with \"make down\" and \"make up\". Both ways delete entries that you created by hand",
		Lesson: "scripts/scenarios/WRITING.md",
		look:   (*view).cutOff,
	},
	{
		Code:   "LAB033",
		Sees:   "containers that are `Paused`",
		Means:  "a container of the lab is paused, so its processes do not run",
		Do:     "run \"docker unpause\" with the names of the containers",
		Lesson: "scripts/scenarios/sleep.md",
		Needs:  []string{"containers"},
		look:   (*view).paused,
	},
	{
		Code:   "LAB034",
		Sees:   "`OOMKilled`",
		Means:  "the kernel killed a program of the lab because memory ran out",
		Do:     "give the engine more memory, or stop other programs. Then run: make up",
		Lesson: "scripts/scenarios/agent-restart.md",
		Needs:  []string{"containers"},
		look:   (*view).outOfMemory,
	},
	{
		Code:   "LAB035",
		Sees:   "`node` is not running",
		Means:  "the container node, which owns the PID namespace of the lab's host, is not running, so the agent cannot see any workload",
		Do:     "docker compose up --detach",
		Lesson: "scripts/scenarios/unregistered.md",
		Needs:  []string{"containers"},
		look:   (*view).noHost,
	},
	{
		Code:   "LAB036",
		Sees:   "`cannot join PID of a non running container`, or a similar error",
		Means:  "the engine cannot start a container",
		Do:     "run \"docker compose up --detach\", and read its error",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		look:   (*view).cannotStart,
	},
	{
		Code:   "LAB037",
		Sees:   "the agent does not see a program",
		Means:  "a container is not on the lab's host, because it does not run in the PID namespace of the container node",
		Do:     "set pid: service:node for spire-agent, server and client in " + composeFile + ". Then run \"" + newContainers() + "\" with the names of these services",
		Lesson: "scripts/scenarios/other-pid-namespace.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).notOnHost,
	},
	{
		Code:   "LAB038",
		Sees:   "`no route to host`, `host is unreachable`",
		Means:  "a firewall on the engine's machine rejects packets between containers",
		Do:     noFirewall,
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).firewall,
	},
}

func (l *view) notRunning() *evidence {
	if !l.Section("containers").OK() || l.present() {
		return nil
	}
	return &evidence{seen: "no container of the project " + l.Host.Project, expected: strings.Join(lab.Services, ", ")}
}

func (l *view) cutOff() *evidence {
	if l.Host.Cut == "" {
		return nil
	}
	return &evidence{seen: "the scenario " + l.Host.Cut + " was interrupted", expected: "every scenario has undone its changes"}
}

func (l *view) paused() *evidence {
	var paused []string
	for _, name := range lab.Services {
		if c := l.Service(name); c != nil && c.Status == "paused" {
			paused = append(paused, c.Name)
		}
	}
	if paused == nil {
		return nil
	}
	return &evidence{seen: "paused: " + strings.Join(paused, ", "), expected: "no container is paused", do: "docker unpause " + strings.Join(paused, " ")}
}

func (l *view) outOfMemory() *evidence {
	return l.eachService(func(name string, c *facts.Container) *evidence {
		if c.OutOfMemory && !runs(c) {
			return &evidence{seen: name + " was killed because memory ran out", expected: "a lab needs about 70 MB"}
		}
		return nil
	})
}

func (l *view) noHost() *evidence {
	if c := l.Service("node"); l.Section("containers").OK() && !runs(c) {
		how, _ := ended(c)
		return &evidence{seen: "node: " + how, expected: "node runs"}
	}
	return nil
}

func (l *view) cannotStart() *evidence {
	return l.eachService(func(name string, c *facts.Container) *evidence {
		if c.Error != "" && !runs(c) {
			return &evidence{seen: name + ": " + c.Error, expected: name + " starts"}
		}
		return nil
	})
}

func (l *view) notOnHost() *evidence {
	node := l.Service("node")
	for _, name := range []string{"spire-agent", "server", "client"} {
		if c := l.Service(name); node != nil && runs(c) && c.PIDMode != "container:"+node.ID {
			mode := c.PIDMode
			if mode == "" {
				mode = "its own PID namespace"
			}
			return &evidence{
				finding: name + " is not on the lab's host, because it does not run in the PID namespace of the container node",
				seen:    fmt.Sprintf("%s runs in %s", name, mode), expected: "the PID namespace of " + node.Name + " (pid: service:node)",
				do: "set pid: service:node for " + name + " in " + composeFile + ". Then run: " + newContainers(name),
			}
		}
	}
	return nil
}

// noFirewall is the remedy for a firewall between containers.
const noFirewall = "let the firewall forward packets between the containers of one Docker network. With firewalld, put the lab's bridge into the zone docker. " +
	"Without firewalld, look for a rule that rejects packets in \"iptables -L FORWARD\" and \"nft list ruleset\", and check sysctl net.bridge.bridge-nf-call-iptables. Restarting containers does not help"

// firewall is evidence that a running container cannot reach a second running container on a network that the two containers share. Soon
// after a container has started or stopped, the kernel also reports "no route to host" for an address that no container has.
func (l *view) firewall() *evidence {
	for _, way := range []struct{ from, to string }{{lab.SPIREAgent, lab.SPIREServer}, {lab.Client, lab.Server}} {
		from, to := l.Service(way.from), l.Service(way.to)
		if !runs(from) || !runs(to) || l.apart(way.from, way.to) != nil || l.Clock.IsZero() {
			continue
		}
		for _, line := range slices.Backward(l.Log(way.from)) {
			if l.Clock.Sub(line.Time) > refusedFor || line.Time.Sub(to.StartedAt) < settle {
				break
			}
			if strings.Contains(line.Text, "Success!!!") || strings.Contains(line.Text, "Node attestation was successful") {
				break
			}
			if !unreachable(line.Text) || way.from == lab.Client && !l.unserved() {
				continue
			}
			return &evidence{seen: way.from + ": " + sifted(line.Text), expected: way.from + " reaches " + way.to}
		}
		r := l.request()
		if way.from != lab.Client || r == nil || l.Clock.Sub(to.StartedAt) < settle {
			continue
		}
		if unreachable(r.Error) || strings.Contains(r.Error, "connection refused") && r.URL == lab.ServerURL && l.answersItself() {
			return &evidence{seen: "client: " + r.Error, expected: "client reaches server"}
		}
	}
	return nil
}

// refusedFor is the maximum age of the agent's last attempt to attest. The delays between attempts grow to 12 s.
const refusedFor = 30 * time.Second

func unreachable(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "no route to host") || strings.Contains(text, "host is unreachable") || strings.Contains(text, "network is unreachable")
}

// answersItself tells whether the server answers a request from its own container, and also listens on every address, at the port that the
// client uses.
func (l *view) answersItself() bool {
	server, t := l.Service(lab.Server), l.Observations[lab.ServerUser]
	if server == nil || t == nil || t.Program != lab.Server || server.Flag("listen") != "" {
		return false
	}
	return slices.ContainsFunc(t.Requests, func(r observation.Request) bool { return r.Peer != nil && r.Peer.ID == lab.ServerID })
}
