package main

import (
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

// health: every service that keeps running must have a working health check. Health checks must add no line to the log of the lab's server,
// because learners look for refusals there.
func health(t *testing.T, l *lab) {
	refusals := func() int {
		return strings.Count(l.docker(t, "logs", l.container("server")).Assert(t, icmd.Success).Combined(), "TLS handshake error")
	}
	before := refusals()
	var failing []string
	for _, service := range lines(l.said(t, "compose", "ps", "--services")) {
		if service == "node" {
			continue
		}
		check := strings.Fields(l.said(t, "inspect", "--format", "{{with .Config.Healthcheck}}{{range .Test}}{{.}} {{end}}{{end}}", l.container(service)))
		if len(check) < 2 || check[0] != "CMD" {
			t.Errorf("%s has no health check", service)
			continue
		}
		if result := l.docker(t, append([]string{"exec", l.container(service)}, check[1:]...)...); result.ExitCode != 0 {
			failing = append(failing, service+": "+result.Combined())
		}
	}
	if after := refusals(); after != before {
		t.Errorf("the health checks leave %d lines in the log of the server", after-before)
	}
	if len(failing) > 0 {
		t.Errorf("health checks fail: %s", strings.Join(failing, ", "))
	}
}

// programs: the server and the client must report why they do not start, must not wait too long for an identity, and must exit when Compose
// stops them.
func programs(t *testing.T, l *lab) {
	for _, program := range []string{"client", "server"} {
		// The user ID 4242 has no registration entry.
		refused(t, l.docker(t, "exec", "--user", "4242", l.container(program), program, "-wait", "4s"), 3,
			"waiting for an identity, 3s of 4s: uid 4242 at SPIFFE_ENDPOINT_SOCKET unix:///tmp/spire-agent/public/api.sock: rpc error: code = PermissionDenied desc = no identity issued",
			program+": no identity after 4s: uid 4242", "likely cause: no registration entry matches this process (make entries shows them)")
	}
	refused(t, l.docker(t, "exec", "--user", "server-workload", l.container("server"), "server"), 1,
		"server: -listen: listen tcp :8443: bind: address already in use; want a free address such as :8443")
	for _, program := range []string{"server", "client"} {
		l.docker(t, "compose", "stop", program).Assert(t, icmd.Success)
		if status := strings.TrimSpace(l.said(t, "inspect", "--format", "{{.State.ExitCode}}", l.container(program))); status != "0" {
			t.Errorf("%s did not exit before Compose killed it: exit status %s", program, status)
		}
	}
	l.docker(t, "compose", "up", "--detach").Assert(t, icmd.Success)
	l.served(t, 30*time.Second)
}

// recovery: after every failure the client must be served again within 15 s. No command other than `up` may be necessary.
func recovery(t *testing.T, l *lab) {
	const host = "spiffe://example.org/spire/agent/x509pop/host"
	compose := func(words ...string) {
		t.Helper()
		l.docker(t, append([]string{"compose"}, words...)...).Assert(t, icmd.Success)
	}
	servedAfter := func(what string) {
		t.Helper()
		t.Log(what)
		l.served(t, 15*time.Second)
	}
	for _, service := range []string{"spire-agent", "spire-server"} {
		compose("restart", service)
		servedAfter("after a restart of " + service)
	}

	l.cli(t, "agent", "evict", "-spiffeID", host)
	until(t, 15*time.Second, "the evicted agent has attested again", func() (bool, string) {
		said := l.docker(t, "exec", l.container("spire-server"), "/opt/spire/bin/spire-server", "agent", "list").Combined()
		return strings.Contains(said, host), said
	})
	servedAfter("after the eviction of the agent")

	compose("down")
	compose("up", "--detach")
	servedAfter("after down, keeping the volumes, and up")

	compose("rm", "--stop", "--force", "spire-server", "bootstrap")
	l.said(t, "volume", "rm", l.project+"_spire-server-data")
	compose("up", "--detach")
	servedAfter("after the SPIRE server has lost its data under a running agent")

	for _, service := range []string{"client", "server", "spire-agent", "spire-server", "node"} {
		compose("kill", service)
		compose("up", "--detach")
		servedAfter("after " + service + " was killed, and up")
	}

	compose("stop")
	compose("up", "--detach")
	compose("up", "--detach")
	servedAfter("after stop, and up twice in a row")
}
