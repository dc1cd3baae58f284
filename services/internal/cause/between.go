package cause

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// The connection from the client to the server.
var betweenCauses = []Cause{
	{
		Code:   "LAB101",
		Sees:   "`no such host`",
		Means:  "the client and the server share no network",
		Do:     "recreate both containers: " + newContainers(lab.Server, lab.Client),
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		look:   (*view).programsApart,
	},
	{
		Code:   "LAB102",
		Sees:   "`no such host`, `server misbehaving`",
		Means:  "the server's name does not resolve",
		Do:     "recreate the container server: " + newContainers(lab.Server),
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).noSuchName,
	},
	{
		Code:   "LAB103",
		Sees:   "the client sometimes prints `unexpected ID`, `no such host` or `connection refused`",
		Means:  "another container answers under the server's name",
		Do:     "find out who needs that container. Disconnect that container with \"docker network disconnect\", or stop that container with \"docker stop\"",
		Lesson: "scripts/scenarios/bad-server-id.md",
		Needs:  []string{"containers", "observer-client-workload"},
		look:   (*view).otherHasName,
	},
	{
		Code:   "LAB104",
		Sees:   "`connection refused`",
		Means:  "no process listens on the server's port",
		Do:     "check the port in the line \"serving on\" of the server's log. If the port is right, a firewall may reject the connection",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).nobodyListens,
	},
	{
		Code:   "LAB105",
		Sees:   "`first record does not look like a TLS handshake`",
		Means:  "the process that answers on the server's port does not speak TLS",
		Do:     "check the container with \"docker compose ps server\", then recreate it: " + newContainers(lab.Server),
		Lesson: "scripts/scenarios/plain-http.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).noTLS,
	},
	{
		Code:   "LAB106",
		Sees:   "the client prints `remote error: tls: bad certificate`",
		Means:  "the server refuses the client, and the reason is in the server's log",
		Do:     "read the server's log: docker compose logs server",
		Lesson: "scripts/scenarios/bad-id.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).serverRefuses,
	},
	{
		Code:   "LAB107",
		Sees:   "the client prints `Error connecting to`, and the reason is not a `remote error`",
		Means:  "the client refuses the server",
		Do:     "read the client's log: docker compose logs client",
		Lesson: "scripts/scenarios/bad-server-id.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).clientRefuses,
	},
	{
		Code:   "LAB108",
		Sees:   "`Client.Timeout exceeded`",
		Means:  "the server does not answer in time",
		Do:     "read the server's log (docker compose logs server), and check with \"docker stats\" whether the machine is busy. If neither helps, look for a firewall that drops packets between containers",
		Lesson: "scripts/scenarios/sleep.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).serverHangs,
	},
	{
		Code:   "LAB109",
		Sees:   "`unhealthy`, `the client is not served`",
		Means:  "the client is not served, or a program is unhealthy, and no other cause in this list applies",
		Do:     "read the logs (docker compose logs client server), then restart the client: docker compose restart client",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).notServed,
	},
}

func (l *view) programsApart() *evidence { return l.apart(lab.Client, lab.Server) }

func (l *view) noSuchName() *evidence {
	t := l.Observations["client-workload"]
	if t == nil || t.LookupError == "" || late(t.LookupError) && !l.hangs() {
		return nil
	}
	return &evidence{seen: t.LookupError, expected: "the address of the container server", do: l.reconnect(lab.Server)}
}

func (l *view) otherHasName() *evidence {
	t := l.Observations["client-workload"]
	name := "server"
	if t != nil {
		if parsed, err := url.Parse(t.URL); err == nil && parsed.Hostname() != "" {
			name = parsed.Hostname()
		}
	}
	if other := l.namedLike(name); other != nil {
		e := &evidence{seen: fmt.Sprintf("%s has the name %q too", other.Name, name), expected: "only the container server has this name",
			do: "find out who needs that container. Disconnect that container with \"docker network disconnect\", or stop that container: docker stop " + other.Name}
		if other.Project == l.Host.Project && slices.Contains(lab.Services, other.Service) {
			e.do = "compose.yaml does not give the name to this container, so " + l.reconnect(other.Service)
		}
		return e
	}
	server := l.Service("server")
	if t == nil || server == nil || len(t.Addresses) == 0 {
		return nil
	}
	for _, address := range t.Addresses {
		if !answersTo(server, address) && runs(server) && len(server.Networks) > 0 {
			return &evidence{seen: fmt.Sprintf("%q resolves to %s", name, strings.Join(t.Addresses, ", ")), expected: "the address of the container server"}
		}
	}
	return nil
}

func (l *view) nobodyListens() *evidence {
	r, server := l.request(), l.Service("server")
	if r == nil || !strings.Contains(r.Error, "connection refused") || l.starting(server) {
		return nil
	}
	e := &evidence{seen: r.Error, expected: "a process listens on this port"}
	if server != nil && server.Flag("listen") != "" {
		e.seen += "; the server has the flag -listen " + server.Flag("listen")
	}
	return e
}

func (l *view) noTLS() *evidence {
	if r := l.request(); r != nil && (strings.Contains(r.Error, "does not look like a TLS handshake") || strings.Contains(r.Error, "HTTP response to HTTPS client")) {
		return &evidence{seen: r.Error, expected: "HTTPS"}
	}
	return nil
}

func (l *view) serverRefuses() *evidence {
	r := l.request()
	if r == nil || !strings.Contains(r.Error, "remote error: tls:") {
		return nil
	}
	why := l.recently("server", "TLS handshake error")
	if why == "" {
		why = r.Error
	}
	return &evidence{seen: why, expected: "the server authorizes " + lab.ClientID}
}

func (l *view) clientRefuses() *evidence {
	r := l.request()
	switch {
	case r == nil:
		return nil
	case r.Refused != "":
		return &evidence{seen: r.Refused, expected: "an SVID for " + lab.ServerID}
	case r.Peer != nil && r.Peer.ID != lab.ServerID:
		return &evidence{seen: "the server presents " + r.Peer.ID, expected: lab.ServerID}
	}
	return nil
}

func (l *view) serverHangs() *evidence {
	if r := l.request(); r != nil && l.hangs() && late(r.Error) {
		return &evidence{seen: fmt.Sprintf("no answer from %s within %s", r.URL, l.Host.Patience), expected: "Success!!!"}
	}
	return nil
}

func (l *view) notServed() *evidence {
	// A client whose request failed sends its next request within 5 s. So one unhealthy answer is no evidence in a short report.
	for _, w := range workloads {
		if text := l.unhealthy(w.user); text != "" && (l.waited() || l.Host.Calm && late(text)) && !l.starting(l.Service(w.service)) {
			return &evidence{finding: fmt.Sprintf("%s reports that it is unhealthy", w.service), seen: text, expected: "ok"}
		}
	}
	r := l.request()
	if r != nil && r.Error != "" && !late(r.Error) {
		return &evidence{finding: "the client is not served", seen: r.Error, expected: "Success!!!"}
	}
	if r != nil && r.Error == "" && (r.Status != 200 || r.Body != "Success!!!") {
		return &evidence{finding: "the client gets a wrong answer", seen: fmt.Sprintf("HTTP %d: %s", r.Status, r.Body), expected: "Success!!!"}
	}
	return nil
}

// namedLike is a running container that has the server's name on a network of the client, but is not the server's container. It is nil if
// there is no such container.
func (l *view) namedLike(name string) *facts.Container {
	client := l.Service("client")
	if client == nil {
		return nil
	}
	for i := range l.Containers {
		c := &l.Containers[i]
		if !runs(c) || c.Service == "server" && c.Project == l.Host.Project && c.OneOff == "False" {
			continue
		}
		for network, as := range c.Networks {
			if _, shared := client.Networks[network]; shared && slices.Contains(as.Aliases, name) {
				return c
			}
		}
	}
	return nil
}

// answeredBy is the address that answered a request. It is empty if the address belongs to the server's container.
func (l *view) answeredBy(r *observation.Request) string {
	host, _, err := net.SplitHostPort(r.Address)
	if server := l.Service("server"); err != nil || server == nil || answersTo(server, host) {
		return ""
	}
	return host
}

// unserved tells whether the client is not served now. The health of the client may be 5 s old, so the result of the observer's request has
// precedence.
func (l *view) unserved() bool {
	if r := l.request(); r != nil {
		return r.Status != 200
	}
	return l.unhealthy("client-workload") != ""
}
