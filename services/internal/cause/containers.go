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
		Means:  "a scenario was interrupted, and what it changed is not yet restored",
		Do:     "make scenario-happy-path resets the lab first; so do make down and make up. Both delete entries that you created by hand",
		Lesson: "scripts/scenarios/WRITING.md",
		look:   (*view).cutOff,
	},
	{
		Code:   "LAB033",
		Sees:   "containers that are `Paused`",
		Means:  "a container of the lab is paused, so it neither answers nor exits",
		Do:     "run docker unpause with the names of the containers",
		Lesson: "scripts/scenarios/sleep.md",
		Needs:  []string{"containers"},
		look:   (*view).paused,
	},
	{
		Code:   "LAB034",
		Sees:   "`OOMKilled`",
		Means:  "the kernel killed a program of the lab because memory ran out",
		Do:     "give the engine more memory, or stop other programs; then make up",
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
		Sees:   "`cannot join PID of a non running container`, or the like",
		Means:  "the engine cannot start a container",
		Do:     "run docker compose up --detach, and read what its error names",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		look:   (*view).cannotStart,
	},
	{
		Code:   "LAB037",
		Sees:   "a program that the agent does not see",
		Means:  "a container is not on the lab's host, because its PID namespace is not that of node",
		Do:     "set pid: service:node in compose.yaml; then docker compose up --detach --force-recreate with the names of the services",
		Lesson: "scripts/scenarios/unregistered.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).notOnHost,
	},
	{
		Code:   "LAB038",
		Sees:   "`no route to host`, `host is unreachable`",
		Means:  "a firewall on the engine's machine refuses the packets from one container to another",
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
	return &evidence{seen: "the scenario " + l.Host.Cut + " was interrupted", expected: "every scenario has restored what it changed"}
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
			return &evidence{seen: name + " was killed because memory ran out", expected: "about 70 MB for a lab"}
		}
		return nil
	})
}

func (l *view) noHost() *evidence {
	if c := l.Service("node"); l.Section("containers").OK() && !runs(c) {
		how, _ := ended(c)
		return &evidence{seen: "node: " + how, expected: "node runs, and does nothing"}
	}
	return nil
}

func (l *view) cannotStart() *evidence {
	return l.eachService(func(name string, c *facts.Container) *evidence {
		if c.Error != "" && !runs(c) {
			return &evidence{seen: name + ": " + c.Error, expected: "it starts"}
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
				mode = "a PID namespace of its own"
			}
			return &evidence{
				finding: name + " is not on the lab's host, because its PID namespace is not that of node",
				seen:    fmt.Sprintf("%s runs in %s", name, mode), expected: "the PID namespace of " + node.Name + " (pid: service:node)",
				do: "see that compose.yaml has pid: service:node for it; docker compose up --detach --force-recreate " + name,
			}
		}
	}
	return nil
}

// noFirewall is what to do about a firewall between containers.
const noFirewall = "let the firewall forward packets between the containers of one Docker network: with firewalld put the lab's bridge into the zone docker; " +
	"else look for a rule that rejects in iptables -L FORWARD and nft list ruleset, and at sysctl net.bridge.bridge-nf-call-iptables. Restarting containers does not help"

// firewall is evidence that one container cannot reach another that runs, on a network of both. Soon after a container has started or
// stopped the kernel says the same of an address that nobody has.
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

// refusedFor is how long ago the last attempt may have been: the agent's pauses grow to 12 s.
const refusedFor = 30 * time.Second

func unreachable(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "no route to host") || strings.Contains(text, "host is unreachable") || strings.Contains(text, "network is unreachable")
}

// answersItself tells whether the server answers in its own container, on the port that the client asks and on every address.
func (l *view) answersItself() bool {
	server, t := l.Service(lab.Server), l.Observations[lab.ServerUser]
	if server == nil || t == nil || t.Program != lab.Server || server.Flag("listen") != "" {
		return false
	}
	return slices.ContainsFunc(t.Requests, func(r observation.Request) bool { return r.Peer != nil && r.Peer.ID == lab.ServerID })
}
