package kubernetes

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// entry is a registration entry. Its selectors are in alphabetical order, as SPIRE prints them.
type entry struct {
	id, spiffeID, parent string
	selectors            []string
}

// entries register the nodes of the cluster as one host, and also register the two workloads on this host. The first entry is an alias,
// whose parent is the SPIRE server. By this alias, every agent that attests with a token of this cluster is the host.
var entries = []entry{
	{"host", lab.HostID, "spiffe://" + lab.TrustDomain + "/spire/server", []string{"k8s_psat:cluster:lab"}},
	{"server", lab.ServerID, lab.HostID, []string{"k8s:ns:" + labSpace, "k8s:sa:" + lab.ServerUser}},
	{"client", lab.ClientID, lab.HostID, []string{"k8s:ns:" + labSpace, "k8s:sa:" + lab.ClientUser}},
}

// spireServer has the arguments with which kubectl runs the CLI of the SPIRE server.
var spireServer = []string{"--namespace", spireSpace, "exec", "spire-server-0", "--", lab.SPIREServerCLI}

// Entries creates the missing registration entries with the spire-server command, and prints each command. It does not change existing
// entries. If an entry differs from the lab's entry, it prints the difference and the command that restores the lab's entry.
func (c *Cluster) Entries(ctx context.Context) error {
	for _, e := range entries {
		if err := c.entry(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) entry(ctx context.Context, e entry) error {
	out, err := c.kubectl(ctx, slices.Concat(spireServer, []string{"entry", "show", "-entryID", e.id})...).CombinedOutput()
	if err == nil {
		c.compare(e, string(out))
		return nil
	}
	if !strings.Contains(string(out), "code = NotFound") {
		return fmt.Errorf("spire-server entry show: %s", strings.TrimSpace(string(out)))
	}
	args := append([]string{"entry", "create"}, e.flags()...)
	c.Screen.Say("  $ spire-server %s", strings.Join(args, " "))
	if out, err := c.kubectl(ctx, slices.Concat(spireServer, args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("spire-server entry create: %s", strings.TrimSpace(string(out)))
	}
	return nil
}

func (e entry) flags() []string {
	flags := []string{"-entryID", e.id, "-parentID", e.parent, "-spiffeID", e.spiffeID}
	for _, selector := range e.selectors {
		flags = append(flags, "-selector", selector)
	}
	return flags
}

// lines returns the entry as `spire-server entry show` prints it.
func (e entry) lines() []string {
	lines := []string{
		"Entry ID                : " + e.id, "SPIFFE ID               : " + e.spiffeID, "Parent ID               : " + e.parent,
		"X509-SVID TTL           : default", "JWT-SVID TTL            : default",
	}
	for _, selector := range e.selectors {
		lines = append(lines, "Selector                : "+selector)
	}
	return lines
}

// notOfTheEntry matches lines of `spire-server entry show` that differ between equal entries.
var notOfTheEntry = regexp.MustCompile(`^(Found .*|Revision .*|)$`)

func (c *Cluster) compare(e entry, shown string) {
	own, found := e.lines(), []string{}
	for line := range strings.Lines(shown) {
		if line = strings.TrimRight(line, "\r\n"); !notOfTheEntry.MatchString(line) {
			found = append(found, line)
		}
	}
	if slices.Equal(own, found) {
		c.Screen.Say("  entry for %s is as it should be", e.spiffeID)
		return
	}
	c.Screen.Say("  The entry %s differs from the lab's entry (-: the lab's, +: found). It is not changed.", e.id)
	only := func(mark string, lines, others []string) {
		for _, line := range lines {
			if !slices.Contains(others, line) {
				c.Screen.Say("  %s %s", mark, line)
			}
		}
	}
	only("-", own, found)
	only("+", found, own)
	command := slices.Concat([]string{"kubectl", "--context", c.context}, spireServer, []string{"entry", "update"}, e.flags())
	c.Screen.Say("  To restore the lab's entry:\n  %s", strings.Join(command, " "))
}
