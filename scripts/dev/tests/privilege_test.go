package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/icmd"
)

// leastPrivilege: no container may have more privileges than it needs.
func leastPrivilege(t *testing.T, l *lab) {
	services := lines(l.said(t, "compose", "config", "--services"))
	extras := slices.DeleteFunc(lines(l.said(t, "compose", "--profile", "*", "config", "--services")), func(service string) bool { return slices.Contains(services, service) })
	users := l.users(t)
	if len(services) < 6 || len(extras) == 0 {
		t.Fatalf("the lab's services are %q, and the extras %q", services, extras)
	}
	for _, service := range services {
		l.onlyNeeds(t, service, users)
	}

	// The extra services of the scenarios need the image tools.
	l.run(t, "part", "build-tools").Assert(t, icmd.Success)
	t.Cleanup(func() {
		l.docker(t, words([]string{"compose", "--profile", "*", "rm", "--stop", "--force", "--volumes"}, extras)...).Assert(t, icmd.Success)
		l.docker(t, "volume", "rm", "--force", l.project+"_spire-server-empty-disk", l.project+"_trust-bundle").Assert(t, icmd.Success)
	})
	l.docker(t, words([]string{"compose", "up", "--no-start", "--no-deps"}, extras)...).Assert(t, icmd.Success)
	for _, service := range extras {
		l.onlyNeeds(t, service, users)
	}

	l.volumesAreShared(t, services)

	// Each process must run as the user that the host's user database defines.
	for _, service := range []string{"server", "client"} {
		uid, n := users[service+"-workload"], 0
		if uid == "" {
			t.Fatalf("spire/host/passwd has no user %s-workload", service)
		}
		for _, line := range lines(l.said(t, "top", l.container(service), "-eo", "uid,pid"))[1:] {
			n++
			if fields := strings.Fields(line); fields[0] != uid {
				t.Errorf("%s has a process whose user is not %s: %s", service, uid, line)
			}
		}
		if n == 0 {
			t.Errorf("%s has no process", service)
		}
	}

	// The agent must verify the SPIRE server already at its first connection.
	log := l.said(t, "compose", "logs", "--no-log-prefix", "--no-color", "spire-agent")
	lacks(t, log, "Insecure bootstrap enabled; skipping server certificate verification")
	contains(t, log, "Node attestation was successful")
}

// users returns the user ID of each user of the host, by name. It leaves out root.
func (l *lab) users(t *testing.T) map[string]string {
	users := map[string]string{}
	for _, line := range lines(read(t, "spire/host/passwd")) {
		if fields := strings.Split(line, ":"); fields[2] != "0" {
			users[fields[0]] = fields[2]
		}
	}
	return users
}

// oneOfTheHost is the user of a service that may run as any user of the host except root.
const oneOfTheHost = "one of the host"

func (l *lab) onlyNeeds(t *testing.T, service string, users map[string]string) {
	t.Helper()
	c := l.inspect(t, service)
	has, needs := l.privileges(t, c), needs(service)
	if i := slices.Index(needs, "user: "+oneOfTheHost); i >= 0 {
		if users[c.Config.User] == "" {
			t.Errorf("%s has the user %q, which is not in spire/host/passwd", service, c.Config.User)
		}
		needs[i] = "user: " + c.Config.User
	}
	without := func(a, b []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(a), func(line string) bool { return slices.Contains(b, line) }), ";")
	}
	more, less := without(has, needs), without(needs, has)
	if more != "" {
		if less == "" {
			less = "no such privilege"
		}
		t.Errorf("%s has a privilege that it does not need, %s (it needs %s)", service, more, less)
	} else if less != "" {
		t.Errorf("%s lacks what it needs, %s", service, less)
	}
}

// privileges describes what the engine allows a container to do, with one line for each privilege.
func (l *lab) privileges(t *testing.T, c container) []string {
	node := l.inspect(t, "node").Id
	capabilities := func(names []string) string { return strings.ReplaceAll(fmt.Sprint(names), "CAP_", "") } // some engines write the prefix CAP_
	namespace := c.HostConfig.PidMode
	switch {
	case namespace == "" || namespace == "private":
		namespace = "its own"
	case namespace == "container:"+node:
		namespace = "that of node"
	}
	all := []string{
		fmt.Sprint("privileged: ", c.HostConfig.Privileged),
		fmt.Sprint("read-only root file system: ", c.HostConfig.ReadonlyRootfs),
		"dropped capabilities: " + capabilities(c.HostConfig.CapDrop),
		"added capabilities: " + capabilities(c.HostConfig.CapAdd),
		fmt.Sprint("security options: ", c.HostConfig.SecurityOpt),
		fmt.Sprint("published ports: ", len(c.HostConfig.PortBindings)),
		fmt.Sprint("devices: ", len(c.HostConfig.Devices)),
		"PID namespace: " + namespace,
		"user: " + c.Config.User,
	}
	for _, mount := range c.Mounts {
		what := strings.TrimPrefix(mount.Source, root()+"/")
		if mount.Type == "volume" {
			what = strings.TrimPrefix(mount.Name, l.project)
		}
		line := "mounts: " + what + " on " + mount.Destination
		if !mount.RW {
			line += ", read-only"
		}
		all = append(all, line)
	}
	return all
}

// needs returns the privileges that a service needs. Most services are workloads: they run as one of the host's users, and can reach the
// Workload API. Each case below is a service that differs.
func needs(service string) []string {
	owner, added, level, namespace := oneOfTheHost, "[]", "", "that of node"
	mounts := []string{"_workload-api on /tmp/spire-agent/public, read-only"}
	const sameLevel = " label=level:s0:c17,c71"
	switch service {
	case "node":
		owner, namespace, mounts = "65534:65534", "its own", nil
	case "server", "client":
		owner = service + "-workload"
	case "spire-server":
		owner, level, namespace = "1000:1000", sameLevel, "its own"
		mounts = []string{"_spire-server-admin on /tmp/spire-server/private", "_spire-server-data on /var/lib/spire/server"}
	case "bootstrap":
		owner, added, level, namespace = "0:0", "[DAC_OVERRIDE]", sameLevel, "its own"
		mounts = []string{"_host-credential on /run/host-credential", "_spire-server-admin on /tmp/spire-server/private"}
	case "spire-agent":
		owner, added = "0:0", "[SYS_PTRACE]"
		mounts = []string{"_host-credential on /run/host-credential, read-only", "_workload-api on /tmp/spire-agent/public"}
	case "partner-host", "partner-server":
		owner, namespace, mounts = "0:0", "its own", nil
	case "host-b":
		owner, namespace, mounts = "0:0", "its own", []string{"_trust-bundle on /run/trust-bundle"}
	case "client-elsewhere":
		namespace = "its own" // its scenario needs a client outside of the host's PID namespace
	case "no-users":
		owner = "1112:1112"
	case "impostor-spire-server":
		owner, namespace = "1000:1000", "its own"
		mounts = []string{"_trust-bundle on /run/trust-bundle, read-only"}
	}
	all := []string{"privileged: false", "read-only root file system: true", "dropped capabilities: [ALL]", "added capabilities: " + added,
		"security options: [no-new-privileges:true" + level + "]", "published ports: 0", "devices: 0", "PID namespace: " + namespace, "user: " + owner}
	for _, mount := range mounts {
		all = append(all, "mounts: "+mount)
	}
	return all
}

// volumesAreShared: for each volume, an image must have the directory on which the volume is mounted. Otherwise an engine with SELinux does
// not share the volume between containers.
func (l *lab) volumesAreShared(t *testing.T, services []string) {
	shared := map[string]bool{}
	for _, service := range services {
		c := l.inspect(t, service)
		image := strings.TrimSpace(l.said(t, "create", "--label", "com.docker.compose.project=", "--label", "com.docker.compose.service=", c.Config.Image, "nothing"))
		for _, mount := range c.Mounts {
			if l.docker(t, "cp", image+":"+mount.Destination, "-").ExitCode == 0 {
				shared[mount.Name] = true
			} else if !shared[mount.Name] {
				shared[mount.Name] = false
			}
		}
		l.said(t, "rm", image)
	}
	if len(shared) == 0 {
		t.Error("the lab has no volume")
	}
	for volume, yes := range shared {
		if !yes {
			t.Errorf("no image has a directory for the volume %s", volume)
		}
	}
}
