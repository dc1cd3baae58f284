package cause

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// The command lines and the environment of the two programs.
var programCauses = []Cause{
	{
		Code:   "LAB091",
		Sees:   "exit status 2, `want`",
		Means:  "a program does not understand its command line",
		Do:     "correct the command in " + composeFile + composeDiff + ". Then run: docker compose up --detach",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).wrongCommandLine,
	},
	{
		Code:   "LAB092",
		Sees:   "`the socket does not exist`, with an agent that runs",
		Means:  "a program looks for the Workload API where the agent does not offer it",
		Do:     "correct SPIFFE_ENDPOINT_SOCKET in " + composeFile + ", or socket_path in spire/agent/agent.conf. Then run: make up",
		Lesson: "scripts/scenarios/unregistered.md",
		Needs:  []string{"containers", "file-agent.conf"},
		Stays:  true,
		look:   (*view).wrongSocket,
	},
	{
		Code:   "LAB093",
		Sees:   "`the socket does not exist`, with the right path",
		Means:  "the agent and a program do not share the directory of the Workload API's socket",
		Do:     "mount the volume workload-api at " + socketDir + " in both containers (key \"volumes\" in " + composeFile + "). Then run: docker compose up --detach",
		Lesson: "scripts/scenarios/unregistered.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).noSharedSocket,
	},
	{
		Code:   "LAB094",
		Sees:   "`Error connecting to`, with a URL that is not the server's",
		Means:  "the client requests the wrong URL",
		Do:     "correct -url of the client in " + composeFile + ". Then run: docker compose up --detach client",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).wrongURL,
	},
	{
		Code:   "LAB095",
		Sees:   "the client prints `unexpected ID`",
		Means:  "the client authorizes the wrong SPIFFE ID",
		Do:     "correct -server-id of the client in " + composeFile + ". Then run: docker compose up --detach client",
		Lesson: "scripts/scenarios/bad-server-id.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).wrongServerID,
	},
	{
		Code:   "LAB096",
		Sees:   "the server prints `unexpected ID`",
		Means:  "the server authorizes the wrong SPIFFE ID",
		Do:     "correct -client-id of the server in " + composeFile + ". Then run: docker compose up --detach server",
		Lesson: "scripts/scenarios/bad-id.md",
		Needs:  []string{"containers"},
		Stays:  true,
		look:   (*view).wrongClientID,
	},
	{
		Code:   "LAB097",
		Sees:   "`server` or `client` is not running",
		Means:  "a program is stopped",
		Do:     "docker compose up --detach",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		look:   (*view).programStopped,
	},
	{
		Code:   "LAB098",
		Sees:   "`server` or `client` is `Restarting`",
		Means:  "a program keeps exiting",
		Do:     "read the last line of the program's log: docker compose logs server, or docker compose logs client",
		Lesson: "scripts/scenarios/happy-path.md",
		Needs:  []string{"containers"},
		look:   (*view).programCrashes,
	},
}

func (l *view) wrongCommandLine() *evidence {
	return l.eachProgram(func(w workload, c *facts.Container) *evidence {
		if !runs(c) && c.ExitStatus == 2 {
			return &evidence{finding: w.service + " does not understand its command line",
				seen: strings.Join(c.Command, " ") + because(l.lastError(w.service)), expected: "the flags that \"" + w.service + " -help\" lists"}
		}
		return nil
	})
}

func (l *view) wrongSocket() *evidence {
	return l.eachProgram(func(w workload, c *facts.Container) *evidence {
		asked, by := asked(c)
		if asked != l.offered() {
			return &evidence{finding: w.service + " looks for the Workload API where the agent does not offer it",
				seen: fmt.Sprintf("%s of %s is %q", by, w.service, asked), expected: l.offered()}
		}
		return nil
	})
}

func (l *view) noSharedSocket() *evidence {
	agent := l.Service("spire-agent")
	for _, w := range workloads {
		c := l.Service(w.service)
		if agent == nil || c == nil {
			continue
		}
		of, in := agent.Mount(socketDir), c.Mount(socketDir)
		if !same(of, in) {
			return &evidence{finding: "the agent and " + w.service + " do not share the directory of the Workload API's socket",
				seen: fmt.Sprintf("at %s the agent has %s, and %s has %s", socketDir, volume(of), w.service, volume(in)), expected: "the same volume in both"}
		}
	}
	return nil
}

func (l *view) wrongURL() *evidence {
	c, server := l.Service("client"), l.Service("server")
	if c == nil {
		return nil
	}
	asked := c.Flag("url")
	if m := connecting.FindStringSubmatch(l.unhealthy("client-workload")); m != nil && asked == "" {
		asked = m[1]
	}
	if asked == "" || asked == lab.ServerURL {
		return nil
	}
	port, listens := "8443", "8443"
	host := asked
	if parsed, err := url.Parse(asked); err == nil {
		host, port = parsed.Hostname(), parsed.Port()
		if port == "" {
			port = "443"
		}
	}
	if server != nil {
		if _, given, err := net.SplitHostPort(server.Flag("listen")); err == nil {
			listens = given
		}
	}
	if port != listens || runs(server) && !answersTo(server, host) || server == nil && host != "server" {
		return &evidence{seen: "the client requests " + asked, expected: strings.Replace(lab.ServerURL, "8443", listens, 1)}
	}
	return nil
}

func (l *view) wrongServerID() *evidence {
	if c := l.Service("client"); c != nil {
		if id := c.Flag("server-id"); id != "" && id != lab.ServerID {
			return &evidence{seen: "client -server-id " + id, expected: lab.ServerID}
		}
	}
	if text := l.unhealthy("client-workload"); strings.Contains(text, fmt.Sprintf("unexpected ID %q", lab.ServerID)) {
		return &evidence{seen: "the client refuses the right server: " + text, expected: "the client authorizes " + lab.ServerID,
			do: l.built(lab.Client, "correct the SPIFFE ID in the program (\"git diff services/client\" shows what changed). Then run: make up")}
	}
	return nil
}

func (l *view) wrongClientID() *evidence {
	c := l.Service("server")
	if c == nil {
		return nil
	}
	if id := c.Flag("client-id"); id != "" && id != lab.ClientID {
		return &evidence{seen: "server -client-id " + id, expected: lab.ClientID}
	}
	line := l.recently("server", fmt.Sprintf("unexpected ID %q", lab.ClientID))
	if line == "" && !strings.HasSuffix(l.serving(), ", for "+lab.ClientID+" only") {
		line = l.serving()
	}
	if line != "" && l.unserved() {
		return &evidence{seen: "the server refuses the right client: " + line, expected: "the server authorizes " + lab.ClientID,
			do: l.built(lab.Server, "correct the SPIFFE ID in the program (\"git diff services/server\" shows what changed). Then run: make up")}
	}
	return nil
}

func (l *view) programStopped() *evidence {
	for _, w := range workloads {
		c := l.Service(w.service)
		if how, byHand := ended(c); l.Section("containers").OK() && !runs(c) && byHand {
			return &evidence{finding: w.service + " is stopped", seen: w.service + ": " + how, expected: w.service + " runs"}
		}
	}
	return nil
}

func (l *view) programCrashes() *evidence {
	for _, w := range workloads {
		c := l.Service(w.service)
		if how, byHand := ended(c); c != nil && !runs(c) && !byHand {
			return &evidence{finding: w.service + " keeps exiting", seen: how + because(l.lastError(w.service)), expected: w.service + " runs"}
		}
	}
	return nil
}

// offered is the address at which the agent offers the Workload API.
func (l *view) offered() string {
	if path := l.Setting("agent.conf", "socket_path"); path != "" {
		return "unix://" + path
	}
	return socket
}

// asked is the address at which a program looks for the Workload API, and the setting that it comes from.
func asked(c *facts.Container) (address, by string) {
	address, by = c.Flag("socket"), "-socket"
	if address == "" {
		address, by = c.Settings["SPIFFE_ENDPOINT_SOCKET"], "SPIFFE_ENDPOINT_SOCKET"
	}
	if path, ok := strings.CutPrefix(address, "unix:/"); ok {
		address = "unix:///" + strings.TrimLeft(path, "/")
	}
	return address, by
}

func same(a, b *facts.Mount) bool {
	return a != nil && b != nil && a.Name == b.Name && a.Type == b.Type
}

// serving is the line that the server prints when it begins to serve, or empty if its log no longer has that line.
func (l *view) serving() string {
	for _, line := range slices.Backward(l.Log("server")) {
		if strings.Contains(line.Text, " serving on ") {
			return line.Text
		}
	}
	return ""
}

// connecting matches the client's error message for a failed request.
var connecting = regexp.MustCompile(`Error connecting to "([^"]+)"`)

func volume(m *facts.Mount) string {
	switch {
	case m == nil:
		return "nothing"
	case m.Name != "":
		return m.Name
	default:
		return "a " + m.Type
	}
}

func answersTo(c *facts.Container, name string) bool {
	for _, n := range c.Networks {
		if n.Address == name || slices.Contains(n.Aliases, name) {
			return true
		}
	}
	return name == c.Name
}
