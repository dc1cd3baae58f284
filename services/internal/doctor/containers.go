package doctor

import (
	"fmt"
	"strings"
)

// The containers, in the order of their start.
var services = []string{"node", "spire-server", "bootstrap", "spire-agent", "server", "client"}

var containerChecks = []check{
	{"LAB031", "`the lab is not running`", "the lab is not started",
		"make up", "scripts/scenarios/happy-path.md",
		func(l *lab) *evidence {
			if !l.Section("containers").OK() || l.present() {
				return nil
			}
			return &evidence{seen: "no container of the project " + l.Host.Project, expected: strings.Join(services, ", ")}
		}},
	{"LAB032", "`was interrupted`", "a scenario was interrupted, and what it changed is not yet restored",
		"make scenario-happy-path resets the lab first; so do make down and make up. Both delete entries that you created by hand", "scripts/scenarios/WRITING.md",
		func(l *lab) *evidence {
			if l.Host.Cut == "" {
				return nil
			}
			return &evidence{seen: "the scenario " + l.Host.Cut + " has not ended, and does not run", expected: "every scenario has put back what it changed"}
		}},
	{"LAB033", "containers that are `Paused`", "a container of the lab is paused: it answers nobody, and does not end either",
		"docker unpause, with the names of the containers", "scripts/scenarios/sleep.md",
		func(l *lab) *evidence {
			var paused []string
			for _, name := range services {
				if c := l.Service(name); c != nil && c.Status == "paused" {
					paused = append(paused, c.Name)
				}
			}
			if paused == nil {
				return nil
			}
			return &evidence{seen: "paused: " + strings.Join(paused, ", "), expected: "no container is paused", do: "docker unpause " + strings.Join(paused, " ")}
		}},
	{"LAB034", "`OOMKilled`", "the kernel ended a program of the lab, for want of memory",
		"give the engine more memory, or end what else runs; then make up", "scripts/scenarios/agent-restart.md",
		func(l *lab) *evidence {
			for _, name := range services {
				if c := l.Service(name); c != nil && c.OutOfMemory && !runs(c) {
					return &evidence{seen: name + " was killed, for memory ran out", expected: "about 70 MB for a lab"}
				}
			}
			return nil
		}},
	{"LAB035", "`node` is not running", "the host is gone: the container node owns the PID namespace in which the agent sees its workloads",
		"docker compose up --detach", "scripts/scenarios/unregistered.md",
		func(l *lab) *evidence {
			if c := l.Service("node"); l.Section("containers").OK() && !runs(c) {
				how, _ := ended(c)
				return &evidence{seen: "node: " + how, expected: "node runs, and does nothing"}
			}
			return nil
		}},
	{"LAB036", "`cannot join PID of a non running container`, or the like", "the engine cannot start a container",
		"docker compose up --detach says it again; what is missing is named in it", "scripts/scenarios/happy-path.md",
		func(l *lab) *evidence {
			for _, name := range services {
				if c := l.Service(name); c != nil && c.Error != "" && !runs(c) {
					return &evidence{seen: name + ": " + c.Error, expected: "it starts"}
				}
			}
			return nil
		}},
	{"LAB037", "a program that the agent does not see", "a container is not on the host: it has another PID namespace than node",
		"docker compose up --detach --force-recreate, with the names of the services", "scripts/scenarios/unregistered.md",
		func(l *lab) *evidence {
			node := l.Service("node")
			for _, name := range []string{"spire-agent", "server", "client"} {
				if c := l.Service(name); node != nil && runs(c) && c.PIDMode != "container:"+node.ID {
					mode := c.PIDMode
					if mode == "" {
						mode = "a PID namespace of its own"
					}
					return &evidence{
						finding: name + " is not on the host: it has another PID namespace than node",
						seen:    fmt.Sprintf("%s runs in %s", name, mode), expected: "the PID namespace of " + node.Name + " (pid: service:node)",
						do: "see that compose.yaml has pid: service:node for it; docker compose up --detach --force-recreate " + name,
					}
				}
			}
			return nil
		}},
}
