package grade

import (
	"cmp"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// beside: no new process or container runs a program of the lab, and no new port is open.
func (c *comparison) beside() {
	before := secondProcesses(c.Before)
	for _, d := range secondProcesses(c.Now) {
		if !slices.Contains(before, d) {
			c.add(d.Kind, d.Subject, d.Before, d.Now)
		}
	}
	c.containersBeside()
	for _, w := range lab.Workloads {
		was, now := ports(c.Before, w.Service, w.User), ports(c.Now, w.Service, w.User)
		for _, port := range now {
			// Without the ports from before, nothing shows which ports are new.
			if len(was) > 0 && !slices.Contains(was, port) && port != "" {
				c.add(PortOpen, w.Service, "", port)
			}
		}
	}
}

// ports are the ports of a service's container that other containers can reach. The first element is empty and shows that there was an
// answer.
func ports(f *facts.Facts, service, user string) []string {
	observer := f.Observations[user]
	if c := f.Service(service); c == nil || c.Status != "running" || observer == nil || len(observer.Listening) == 0 {
		return nil // the observer may have been in another container
	}
	open := []string{""}
	for _, text := range observer.Listening {
		if address, err := netip.ParseAddrPort(text); err == nil && !address.Addr().IsLoopback() {
			open = append(open, text[strings.LastIndexByte(text, ':')+1:])
		}
	}
	return open
}

// secondProcesses are the processes that run a program of the lab, and are not the main process of their container.
func secondProcesses(f *facts.Facts) []Difference {
	var found []Difference
	for _, w := range lab.Workloads {
		observer, own := f.Observations[w.User], f.Service(w.Service)
		if observer == nil || own == nil || own.Status != "running" || own.PIDMode == "host" {
			continue // the processes of the whole machine are not processes of the lab
		}
		first := map[string]bool{} // the containers whose main process has been seen
		named := slices.Clone(observer.Processes)
		for i := range named {
			named[i].Container = cmp.Or(named[i].Container, own.ID)
		}
		processes := slices.SortedFunc(slices.Values(named), func(a, b observation.Process) int {
			return cmp.Or(cmp.Compare(order(f, a), order(f, b)), cmp.Compare(a.PID, b.PID))
		})
		for _, p := range processes {
			container := holder(f, p)
			if !first[p.Container] && container != nil && runs(container) == program(p.Command) {
				first[p.Container] = true
				continue
			}
			if program(p.Command) == lab.Client && !slices.ContainsFunc(p.Command, isInterval) {
				continue // it sends one request and exits
			}
			if container != nil && !ofLab(f, container) {
				continue // containersBeside reports the container
			}
			where := "in a container that is not part of the lab"
			if container != nil {
				where = "in the container " + container.Service
			}
			d := Difference{SecondProcess, program(p.Command) + " " + where, "", strings.Join(p.Command, " ")}
			if !slices.Contains(found, d) {
				found = append(found, d)
			}
		}
	}
	return found
}

// order is for sorting processes. If a process has the same command as its container, the process comes before the other processes of the
// container.
func order(f *facts.Facts, p observation.Process) int {
	if c := holder(f, p); c != nil && len(p.Command) > len(c.Command) && slices.Equal(p.Command[len(p.Command)-len(c.Command):], c.Command) ||
		c != nil && slices.Equal(p.Command, c.Command) {
		return 0
	}
	return 1
}

func isInterval(argument string) bool {
	return strings.HasPrefix(strings.TrimLeft(argument, "-"), "interval")
}

func holder(f *facts.Facts, p observation.Process) *facts.Container {
	for i := range f.Containers {
		if f.Containers[i].ID == p.Container {
			return &f.Containers[i]
		}
	}
	return nil
}

func program(command []string) string {
	return path.Base(cmp.Or(strings.Join(command[:min(1, len(command))], ""), "."))
}

// runs returns the program of the lab that runs permanently in a container, or an empty text if the container runs no such program. In the
// images of SPIRE this program is the entrypoint, so it is not in the command.
func runs(c *facts.Container) string {
	for _, spire := range []string{lab.SPIREAgent, lab.SPIREServer} {
		if c.Service == spire || strings.Contains(c.Image, spire) {
			return spire
		}
	}
	switch name := program(c.Command); name {
	case lab.Server:
		return name
	case lab.Client:
		if slices.ContainsFunc(c.Command, isInterval) {
			return name
		}
	case "extras": // the servers and proxies of scenarios
		return name
	}
	return ""
}

func ofLab(f *facts.Facts, c *facts.Container) bool {
	return slices.Contains(lab.Services, c.Service) && f.Service(c.Service) == c
}

// containersBeside: no new container runs a program of the lab, or has the name of a service of the lab.
func (c *comparison) containersBeside() {
	for i := range c.Now.Containers {
		other := &c.Now.Containers[i]
		if other.Status != "running" || ofLab(c.Now, other) || slices.ContainsFunc(c.Before.Containers, func(b facts.Container) bool { return b.Name == other.Name }) {
			continue
		}
		for _, network := range other.Networks {
			for _, alias := range network.Aliases {
				if slices.Contains(lab.Services, alias) {
					c.add(NameTwice, alias, "", other.Name)
				}
			}
		}
		if runs(other) != "" {
			c.add(SecondContainer, other.Name, "", cmp.Or(strings.Join(other.Command, " "), runs(other)))
		}
	}
}
