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

// The way from the client to the server.
var betweenCauses = []Cause{
	{
		Code:   "LAB101",
		Sees:   "`no such host`",
		Means:  "the client and the server share no network",
		Do:     "docker compose up --detach --force-recreate server client",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		look:   (*view).programsApart,
	},
	{
		Code:   "LAB102",
		Sees:   "`no such host`, `server misbehaving`",
		Means:  "the server's name does not resolve",
		Do:     "docker compose up --detach --force-recreate server",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).noSuchName,
	},
	{
		Code:   "LAB103",
		Sees:   "the client: `unexpected ID`, `no such host` or `connection refused`, now and then",
		Means:  "another container answers under the server's name",
		Do:     "ask whose container it is. docker network disconnect takes the name away from it, docker stop stops it",
		Lesson: "scripts/scenarios/bad-server-id.md",
		Needs:  []string{"containers", "observer-client-workload"},
		look:   (*view).otherHasName,
	},
	{
		Code:   "LAB104",
		Sees:   "`connection refused`",
		Means:  "no process listens on the server's port",
		Do:     "docker compose logs server shows the port: serving on ... If it is right, a firewall may reject the connection",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).nobodyListens,
	},
	{
		Code:   "LAB105",
		Sees:   "`first record does not look like a TLS handshake`",
		Means:  "what answers on the server's port does not speak TLS",
		Do:     "check docker compose ps server; then docker compose up --detach --force-recreate server",
		Lesson: "scripts/scenarios/plain-http.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).noTLS,
	},
	{
		Code:   "LAB106",
		Sees:   "the client: `remote error: tls: bad certificate`",
		Means:  "the server refuses the client, and the reason is in the server's log",
		Do:     "read docker compose logs server",
		Lesson: "scripts/scenarios/bad-id.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).serverRefuses,
	},
	{
		Code:   "LAB107",
		Sees:   "the client: `Error connecting to`, with a reason of its own",
		Means:  "the client refuses the server",
		Do:     "read docker compose logs client",
		Lesson: "scripts/scenarios/bad-server-id.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).clientRefuses,
	},
	{
		Code:   "LAB108",
		Sees:   "`Client.Timeout exceeded`",
		Means:  "the server does not answer in time",
		Do:     "read docker compose logs server; docker stats shows whether the machine is busy. If neither helps, look for a firewall that drops packets between containers",
		Lesson: "scripts/scenarios/sleep.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).serverHangs,
	},
	{
		Code:   "LAB109",
		Sees:   "`unhealthy`, `the client is not served`",
		Means:  "the running client is not served, although the same request is",
		Do:     "read docker compose logs client server; then docker compose restart client",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).notServed,
	},
}

func (l *view) programsApart() *evidence { return l.apart("client", "server") }

func (l *view) noSuchName() *evidence {
	t := l.Observations["client-workload"]
	if t == nil || t.LookupError == "" || late(t.LookupError) && !l.hangs() {
		return nil
	}
	return &evidence{seen: t.LookupError, expected: "the address of the server's container"}
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
		e := &evidence{seen: fmt.Sprintf("%s has the name %q too", other.Name, name), expected: "the server's container alone has it",
			do: "ask whose container it is. docker network disconnect takes the name away from it, docker stop " + other.Name + " stops it"}
		if other.Project == l.Host.Project && slices.Contains(lab.Services, other.Service) {
			e.do = "docker compose up --detach --force-recreate " + other.Service + ": compose.yaml gives it no such name"
		}
		return e
	}
	server := l.Service("server")
	if t == nil || server == nil || len(t.Addresses) == 0 {
		return nil
	}
	for _, address := range t.Addresses {
		if !answersTo(server, address) && runs(server) && len(server.Networks) > 0 {
			return &evidence{seen: fmt.Sprintf("%q is %s", name, strings.Join(t.Addresses, ", ")), expected: "the address of the server's container"}
		}
	}
	return nil
}

func (l *view) nobodyListens() *evidence {
	r, server := l.request(), l.Service("server")
	if r == nil || !strings.Contains(r.Error, "connection refused") || l.starting(server) {
		return nil
	}
	e := &evidence{seen: r.Error, expected: "a process listens there"}
	if server != nil && server.Flag("listen") != "" {
		e.seen += "; the server was told -listen " + server.Flag("listen")
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
		return &evidence{seen: r.Refused, expected: "an SVID of " + lab.ServerID}
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
	// A client that has failed asks again within 5 s: it is asked twice.
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
		return &evidence{finding: "the client gets an answer that is not the server's", seen: fmt.Sprintf("HTTP %d: %s", r.Status, r.Body), expected: "Success!!!"}
	}
	return nil
}

// namedLike is another running container than the server that has the name on a network of the client, or nil.
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

// answeredBy is the address that answered a request, if it is none of the server's container.
func (l *view) answeredBy(r *observation.Request) string {
	host, _, err := net.SplitHostPort(r.Address)
	if server := l.Service("server"); err != nil || server == nil || answersTo(server, host) {
		return ""
	}
	return host
}

// unserved tells whether the client is not served now. What its health says may be 5 s old: if its observer can
// ask, that counts.
func (l *view) unserved() bool {
	if r := l.request(); r != nil {
		return r.Status != 200
	}
	return l.unhealthy("client-workload") != ""
}
