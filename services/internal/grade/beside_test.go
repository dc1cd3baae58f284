package grade

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report/reporttest"
)

// running adds a process to the processes that the observer of a user sees.
func running(user, container, command string) edit {
	words := `"` + strings.Join(strings.Fields(command), `","`) + `"`
	return edit{"observer-" + user, `"processes":[`, fmt.Sprintf(`"processes":[{"pid":77,"container":%q,"command":[%s]},`, container, words)}
}

// The function beside adds a container to the containers that the engine lists.
func beside(t *testing.T, report, name, project, service, oneoff, image, command, alias string) edit {
	t.Helper()
	line := regexp.MustCompile(`(?m)^  \{"id".*"service":"client".*$`).FindString(report)
	if line == "" {
		t.Fatal("the report has no container of client")
	}
	words := `"` + strings.Join(strings.Fields(command), `","`) + `"`
	return edit{"containers", line, line + fmt.Sprintf("\n"+`  {"id":"%s","name":%q,"project":%q,"service":%q,"oneoff":%q,"image":%q,"command":[%s],"status":"running","networks":{"spiffe-lab_default":{"address":"192.168.224.9","aliases":[%q]}}}`,
		strings.Repeat("e", 64), name, project, service, oneoff, image, words, alias)}
}

// TestBeside: a process or container that does the work of one of the lab's programs must be recognized and named.
func TestBeside(t *testing.T) {
	const still, differs = "the client is served and everyone else is refused, but ", " still differs from before the fault"
	well := healthy(t)
	id := func(service string) string {
		m := regexp.MustCompile(`(?m)^  \{"id":"([0-9a-f]{64})".*"service":"` + service + `".*$`).FindStringSubmatch(well)
		if m == nil {
			t.Fatalf("the report has no container of %s", service)
		}
		return m[1]
	}
	opened := edit{"observer-server-workload", `"listening":[`, `"listening":["[::]:8843",`}
	notServed := []edit{
		{"trial-client", "status: 0\n  Success!!!", "status: 3\n  client: no identity"},
		{"trial-running", "status: 0", "status: 1\n  unhealthy"},
		{"trial-server-log", "  Request received from \"spiffe://example.org/client\": GET \"/\"\n", ""},
	}
	wrongPort := service(t, well, "client", `"command":["client","-interval","5s","-health","127.0.0.1:8080"]`, `"command":["client","-interval","5s","-health","127.0.0.1:8080","-url","https://server:8843/"]`)
	for _, c := range []struct {
		name        string
		broken, now []edit
		want        []string
	}{
		{"the lab alone", notServed, nil, nil},
		{"a second server in the server's container", []edit{wrongPort, notServed[1]}, []edit{wrongPort, running("server-workload", id("server"), "server -listen :8843"), opened},
			[]string{"a second server process runs beside the process of the lab: the second process runs in the container server, with the command server -listen :8843", "port 8843 is open in the container server; before the fault it was not"}},
		{"a second server, of which only the port is seen", []edit{wrongPort, notServed[1]}, []edit{wrongPort, opened}, []string{"port 8843 is open in the container server; before the fault it was not"}},
		{"a second server in the client's container", notServed, []edit{running("client-workload", id("client"), "/opt/spiffe-lab/bin/server -listen :8443"), {"observer-client-workload", `"listening":[`, `"listening":["[::]:8443",`}},
			[]string{"a second server process runs beside the process of the lab: the second process runs in the container client, with the command /opt/spiffe-lab/bin/server -listen :8443", "port 8443 is open in the container client; before the fault it was not"}},
		{"a second server with the command of the first", notServed, []edit{running("server-workload", id("server"), "server -health 127.0.0.1:8080")},
			[]string{"a second server process runs beside the process of the lab: the second process runs in the container server, with the command server -health 127.0.0.1:8080"}},
		{"of the observer's own container", notServed, []edit{running("server-workload", "", "server -listen :8843")},
			[]string{"a second server process runs beside the process of the lab: the second process runs in the container server, with the command server -listen :8843"}},
		{"both observers see the same process", notServed, []edit{running("server-workload", id("server"), "server -listen :8843"), running("client-workload", id("server"), "server -listen :8843")},
			[]string{"a second server process runs beside the process of the lab: the second process runs in the container server, with the command server -listen :8843"}},
		{"a second client that is served while the client is not", notServed, append(slices.Clone(notServed), running("client-workload", id("client"), "client -interval 1s")),
			[]string{"the client is not served; the last line that the program client printed: client: no identity", "a second client process runs beside the process of the lab: the second process runs in the container client, with the command client -interval 1s"}},
		{"a client that sends one request", notServed, []edit{running("client-workload", id("client"), "client -wait 5s")}, nil},
		{"a second agent", notServed, []edit{running("client-workload", id("spire-agent"), "/opt/spire/bin/spire-agent run -config /tmp/agent.conf")},
			[]string{"a second spire-agent process runs beside the process of the lab: the second process runs in the container spire-agent, with the command /opt/spire/bin/spire-agent run -config /tmp/agent.conf"}},
		{"a server in a container that the engine did not tell of", notServed, []edit{running("server-workload", strings.Repeat("f", 64), "server -listen :8843")},
			[]string{"a second server process runs beside the process of the lab: the second process runs in a container that is not part of the lab, with the command server -listen :8843"}},
		{"the fault's own process: it is not told what it is", []edit{running("server-workload", id("server"), "server -listen :8843")}, []edit{running("server-workload", id("server"), "server -listen :8843")},
			[]string{still + "the set of running processes on the host" + differs}},
		{"the fault's own port", []edit{opened}, []edit{opened}, []string{still + "the set of open ports in the container server" + differs}},
		{"a port for its own container alone", notServed, []edit{{"observer-server-workload", `"listening":[`, `"listening":["127.0.0.1:9090","[::1]:9091",`}}, nil},
		{"the whole machine's processes are not the lab's", notServed, []edit{service(t, well, "client", `"pidMode":"container:`, `"pidMode":"host","was":"`), running("client-workload", "", "server -listen :8843")},
			[]string{"the container client sees every process of the machine"}},
		{"a container beside the lab on its network", notServed, []edit{beside(t, well, "mine", "", "", "", "spiffe-lab/workload:local", "server -listen :8843", "mine")},
			[]string{"a container that is not part of the lab runs beside it: mine, with the command server -listen :8843"}},
		{"a container beside the lab, seen from inside too", notServed, []edit{beside(t, well, "mine", "", "", "", "spiffe-lab/workload:local", "server -listen :8843", "mine"), running("server-workload", strings.Repeat("e", 64), "server -listen :8843")},
			[]string{"a container that is not part of the lab runs beside it: mine, with the command server -listen :8843"}},
		{"a container with the server's name", notServed, []edit{beside(t, well, "mine", "", "", "", "nginx", "nginx", "server")}, []string{`the name "server" resolves to 192.168.224.9, which is not an address of the container "server"`, `the name "server" also resolves to the container mine`}},
		{"docker compose run --use-aliases", notServed, []edit{beside(t, well, "spiffe-lab-spire-server-run-1", "spiffe-lab", "spire-server", "True", "spiffe-lab/spire-server:local", "-config /etc/spire/server/server.conf", "spire-server")},
			[]string{`the name "spire-server" also resolves to the container spiffe-lab-spire-server-run-1`, "a container that is not part of the lab runs beside it: spiffe-lab-spire-server-run-1, with the command -config /etc/spire/server/server.conf"}},
		{"docker compose run client", notServed, []edit{beside(t, well, "spiffe-lab-client-run-1", "spiffe-lab", "client", "True", "spiffe-lab/workload:local", "client -interval 5s", "spiffe-lab-client-run-1")},
			[]string{"a container that is not part of the lab runs beside it: spiffe-lab-client-run-1, with the command client -interval 5s"}},
		{"docker compose up --scale", notServed, []edit{beside(t, well, "spiffe-lab-client-2", "spiffe-lab", "client", "False", "spiffe-lab/workload:local", "client -interval 5s", "client")},
			[]string{`the name "client" also resolves to the container spiffe-lab-client-2`, "a container that is not part of the lab runs beside it: spiffe-lab-client-2, with the command client -interval 5s"}},
		{"a proxy of the scenarios", notServed, []edit{beside(t, well, "spiffe-lab-relay-1", "spiffe-lab", "relay", "False", "spiffe-lab/tools:local", "extras relay", "relay")},
			[]string{"a container that is not part of the lab runs beside it: spiffe-lab-relay-1, with the command extras relay"}},
		{"somebody looks round", notServed, []edit{beside(t, well, "netshoot", "", "", "", "nicolaka/netshoot", "bash", "netshoot"), beside(t, well, "spiffe-lab-tools-run-1", "spiffe-lab", "tools", "True", "spiffe-lab/tools:local", "sh", "tools")}, nil},
		{"the client asks another port of the same host", notServed, []edit{wrongPort}, []string{"the client's URL is https://server:8843; before the fault it was https://server:8443"}},
		{"the URL written out", notServed, []edit{service(t, well, "client", `"command":["client",`, `"command":["client","-url","https://SERVER:8443/hello",`)}, nil},
		{"another URL of the client: it is not told what it is", []edit{wrongPort}, []edit{wrongPort}, []string{still + "the command of the container client" + differs}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := judged(t, well, edited(t, well, c.broken), edited(t, well, c.now)); !slices.Equal(got, c.want) {
				t.Errorf("it says\n  %s\nnot\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
	}
}

// TestContainersByOtherMeans: a container must count as the same if it was only recreated, or is only described in a different form.
func TestContainersByOtherMeans(t *testing.T) {
	well := healthy(t)
	wrong := edited(t, well, []edit{service(t, well, "client", `"user":"client-workload"`, `"user":"guest-workload"`)})
	for _, id := range regexp.MustCompile(`(?m)^  \{"id":"([0-9a-f]{64})"`).FindAllStringSubmatch(well, -1) {
		if got := judged(t, well, wrong, strings.ReplaceAll(well, id[1], strings.Repeat("0", 64))); len(got) > 0 {
			t.Errorf("a container that was made again: %q", got)
		}
	}
	const mount = `"type":"volume","name":"spiffe-lab_workload-api","source":"","at":"/tmp/spire-agent/public","writable":false`
	for _, c := range []struct {
		name string
		now  edit
		want []string
	}{
		{"the agent's bundle, written out", service(t, well, "spire-agent", `"/etc/spire/agent/agent.conf"`, `"/etc/spire/agent/agent.conf","-trustBundle","/run/host-credential/bundle.pem"`), nil},
		{"another bundle", service(t, well, "spire-agent", `"/etc/spire/agent/agent.conf"`, `"/etc/spire/agent/agent.conf","-trustBundle","/etc/bundle.pem"`),
			[]string{"the container spire-agent was started with a different command: -config /etc/spire/agent/agent.conf -trustBundle /etc/bundle.pem"}},
		{"the user by its number", service(t, well, "client", `"user":"client-workload"`, `"user":"1112"`), nil},
		{"the user and its group", service(t, well, "client", `"user":"client-workload"`, `"user":"client-workload:1112"`), nil},
		{"another group", service(t, well, "client", `"user":"client-workload"`, `"user":"client-workload:0"`), []string{"the container client runs as client-workload:0, not as client-workload"}},
		{"root by its number", service(t, well, "client", `"user":"client-workload"`, `"user":"0"`), []string{"the container client runs as root, not as client-workload"}},
		{"no longer writable", service(t, well, "spire-agent", `"at":"/tmp/spire-agent/public","writable":true`, `"at":"/tmp/spire-agent/public","writable":false`), nil},
		{"a mount that is gone", service(t, well, "client", "{"+mount+"}", ""), []string{"the container client has something different mounted at /tmp/spire-agent/public: nothing; before the fault it was volume spiffe-lab_workload-api, read-only"}},
		{"a mount more", service(t, well, "client", mount, mount+`},{"type":"bind","source":"/home","at":"/home","writable":false`), []string{"the container client has something different mounted at /home: bind /home, read-only; before the fault it was nothing"}},
		{"a file system that can be written", service(t, well, "client", `"readOnly":true`, `"readOnly":false`), []string{"the container client has more privileges than before the fault: no read_only"}},
		{"all capabilities", service(t, well, "client", `"capDrop":["ALL"]`, `"capDrop":null`), []string{"the container client has more privileges than before the fault: no cap_drop ALL"}},
		{"a network more", service(t, well, "client", `"networks":{`, `"networks":{"bridge":{"address":"172.17.0.9"},`), []string{"the container client is connected to the network bridge; before the fault it was not"}},
		{"another program file", edit{"observer-client-workload", `"/opt/spiffe-lab/bin/client":"2ed6f`, `"/opt/spiffe-lab/bin/client":"00000`}, []string{"the container client does not run the program file from before the fault (the SHA-256 hashes differ)"}},
		{"another program file that does not run there", edit{"observer-client-workload", `"/opt/spiffe-lab/bin/server":"0274b`, `"/opt/spiffe-lab/bin/server":"00000`}, nil},
		{"a variable that is gone", service(t, well, "client", `"NO_PROXY",`, ``), []string{"the container client lacks the environment variable NO_PROXY, which it had before the fault"}},
		{"a variable more", service(t, well, "client", `"NO_PROXY",`, `"NO_PROXY","MINE",`), nil},
		{"another order of variables", service(t, well, "client", `"NO_PROXY","no_proxy"`, `"no_proxy","NO_PROXY"`), nil},
		{"another value", service(t, well, "spire-server", `"AGENT_TTL":""`, `"AGENT_TTL":"20s"`), []string{`the container spire-server has a different value for the environment variable AGENT_TTL: "20s"; before the fault it was ""`}},
		{"another socket", service(t, well, "client", `"unix:///tmp/spire-agent/public/api.sock"`, `"unix:///tmp/api.sock"`),
			[]string{"client looks for the Workload API at /tmp/api.sock; before the fault it looked at /tmp/spire-agent/public/api.sock"}},
		{"the socket by a flag", service(t, well, "client", `"command":["client",`, `"command":["client","-socket","unix:/tmp/spire-agent/public/api.sock",`), nil},
		{"a name more", service(t, well, "spire-server", `"spiffe-lab-spire-server-1","spire-server",`, `"spiffe-lab-spire-server-1","spire-server","server",`),
			[]string{`the name "server" resolves to 192.168.224.2, which is not an address of the container "server"`, `the container spire-server also has the name "server" on the network; before the fault it did not`}},
		{"a name that is gone", service(t, well, "spire-server", `"spiffe-lab-spire-server-1","spire-server",`, `"spiffe-lab-spire-server-1",`), []string{`the container spire-server no longer has the name "spire-server" on the network`}},
		{"a setting with other spaces", edit{"file-agent.conf", `server_port    = "8081"`, `server_port="8081"`}, nil},
		{"a setting that is gone", edit{"file-agent.conf", `server_port    = "8081"`, ``}, []string{`the agent's configuration (agent.conf) lacks a line that it had before the fault: server_port = "8081"`}},
		{"an agent with another command", service(t, well, "spire-agent", `"command":["-config",`, `"command":["-joinToken","x","-config",`), []string{"the container spire-agent was started with a different command: -joinToken x -config /etc/spire/agent/agent.conf"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := judged(t, well, wrong, edited(t, well, []edit{c.now})); !slices.Equal(got, c.want) {
				t.Errorf("it says\n  %s\nnot\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
	}
}

// TestForeignBundles: a trust bundle that was set again must count as the same if it has the same CA certificates.
func TestForeignBundles(t *testing.T) {
	well := healthy(t)
	ca := regexp.MustCompile(`"asn1":"([^"]*)"`).FindStringSubmatch(well)[1]
	with := func(authorities string) string {
		return edited(t, well, []edit{{"bundles", `"bundles":[`, `"bundles":[{"trust_domain":"partner.test","sequence_number":"7","x509_authorities":[` + authorities + `]}`}})
	}
	one := with(`{"asn1":"` + ca + `","tainted":false}`)
	again := strings.Replace(one, `"sequence_number":"7"`, `"sequence_number":"1","refresh_hint":"300"`, 1)
	for _, c := range []struct {
		name, broken, now string
		want              []string
	}{
		{"set again", well, again, nil},
		{"not set", well, well, []string{"the SPIRE server no longer has a trust bundle of partner.test"}},
		{"of another CA", well, with(""), []string{"the CA certificates in the SPIRE server's trust bundle of partner.test have changed since before the fault"}},
	} {
		if got := judged(t, one, c.broken, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

// TestStarted: a flag that repeats a setting of the configuration file must not count as a difference. Every other flag must count.
func TestStarted(t *testing.T) {
	f := reporttest.Parse(t, healthy(t))
	for _, c := range []struct {
		command string
		same    bool
	}{
		{"-config /a -expandEnv", true},
		{"--expandEnv=true -config=/a", true},
		{"-config /a -expandEnv -trustBundle /run/host-credential/bundle.pem", true},
		{"-trustBundle=/run//host-credential/./bundle.pem -config /a -expandEnv", true},
		{"-config /a -expandEnv -serverAddress spire-server -serverPort 8081 -trustDomain example.org", true},
		{"-config /a", false},
		{"-config /b -expandEnv", false},
		{"-config /a -expandEnv=false", false},
		{"-config /a -expandEnv -joinToken x", false},
		{"-config /a -expandEnv -trustBundle /etc/bundle.pem", false},
		{"-config /a -expandEnv -trustBundle /run/host-credential/bundle.pem -trustBundle /etc/bundle.pem", false},
		{"-config /a -expandEnv -trustBundle /run/x/../host-credential/bundle.pem", false},
		{"-config /a -expandEnv -trustBundle ./bundle.pem", false},
		{"-config /a -expandEnv -trustBundle /run/host-credential/bundle.pem -insecureBootstrap", false},
		{"-config /a -expandEnv -retryBootstrap -trustBundle /run/host-credential/bundle.pem", false},
		{"-config /a -expandEnv true -trustBundle /run/host-credential/bundle.pem", false},
		{"-config /a -expandEnv -- -trustBundle /run/host-credential/bundle.pem", false},
	} {
		agent := func(command string) map[string]string {
			return started(f, &facts.Container{Service: lab.SPIREAgent, Command: strings.Fields(command)})
		}
		if got := agent(c.command); maps.Equal(got, agent("-config /a -expandEnv")) != c.same {
			t.Errorf("%s is the same: %t, as %v", c.command, !c.same, got)
		}
	}
}
