package cause

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report/reporttest"
)

// healthy is the recorded report of a healthy lab. The values theCA, theAddress and theToday differ from one recording to the next.
var (
	healthy                     = reporttest.HealthyText(&testing.T{})
	recorded                    = reporttest.Healthy(&testing.T{})
	theCA, theAddress, theToday = recorded.Bundle[0].Key, recorded.Observations["client-workload"].Addresses[0], recorded.Clock
)

// edit returns a changed report.
type edit func(t *testing.T, report string) string

// The edit named in replaces every occurrence of the text old in one section. The section must have this text.
func in(section, old, with string) edit {
	return func(t *testing.T, report string) string {
		t.Helper()
		before, body, after := cut(t, report, section)
		if !strings.Contains(body, old) {
			t.Fatalf("the section %s has no %q", section, old)
		}
		return before + strings.ReplaceAll(body, old, with) + after
	}
}

// The edit named of replaces a text in the engine's description of one container.
func of(service, old, with string) edit {
	return func(t *testing.T, report string) string {
		t.Helper()
		before, body, after := cut(t, report, "containers")
		lines := strings.Split(body, "\n")
		done := false
		for i, line := range lines {
			if strings.Contains(line, fmt.Sprintf("%q:%q", "service", service)) {
				if !strings.Contains(line, old) {
					t.Fatalf("the container of %s has no %q", service, old)
				}
				lines[i], done = strings.ReplaceAll(line, old, with), true
			}
		}
		if !done {
			t.Fatalf("there is no container of %s", service)
		}
		return before + strings.Join(lines, "\n") + after
	}
}

func gone(service string) edit {
	return func(t *testing.T, report string) string {
		t.Helper()
		before, body, after := cut(t, report, "containers")
		lines := slices.DeleteFunc(strings.Split(body, "\n"), func(line string) bool {
			return strings.Contains(line, fmt.Sprintf("%q:%q", "service", service))
		})
		return before + strings.Join(lines, "\n") + after
	}
}

// ends changes the state of a running container, for example to exited, and its exit status.
func ends(service, state string, status int) edit {
	return of(service, `"status":"running","exitStatus":0`, fmt.Sprintf(`"status":%q,"exitStatus":%d`, state, status))
}

// answers replaces the answer in a section. If the status is not 0, the lines become error output.
func answers(section, status string, lines ...string) edit {
	return func(t *testing.T, report string) string {
		t.Helper()
		before, _, after := cut(t, report, section)
		body := "## section: " + section + "\nstatus: " + status + "\n"
		for _, line := range lines {
			if status == "0" {
				body += "  " + line + "\n"
			} else {
				body += "! " + line + "\n"
			}
		}
		return before + body + "\n" + after
	}
}

// logs adds a line with the time of the report to the log of a service.
func logs(service, line string) edit {
	return func(t *testing.T, report string) string {
		t.Helper()
		before, body, after := cut(t, report, "log-"+service)
		return before + strings.TrimRight(body, "\n") + "\n  " + now(t) + " " + line + "\n\n" + after
	}
}

// preflight adds a problem that a command of the lab has found before the start of the lab.
func preflight(code, what string) edit {
	return in("preflight", "status: 0\n", "status: 0\n  "+code+" "+what+"\n")
}

// said adds the reason why the last start failed.
func said(code, what string) edit {
	return func(_ *testing.T, report string) string {
		return "## section: start\nstatus: 1\n  " + code + " " + what + "\n\n" + report
	}
}

func cut(t *testing.T, report, section string) (before, body, after string) {
	t.Helper()
	head := "## section: " + section + "\n"
	i := strings.Index(report, head)
	if i < 0 {
		t.Fatalf("the report has no section %s", section)
	}
	length := strings.Index(report[i+len(head):], "## ")
	if length < 0 {
		return report[:i], report[i:], ""
	}
	end := i + len(head) + length
	return report[:i], report[i:end], report[end:]
}

// now: the time of the engine in the report.
func now(t *testing.T) string {
	t.Helper()
	return theToday.Format(time.RFC3339Nano)
}

func read(t *testing.T, edits ...edit) *facts.Facts {
	t.Helper()
	report := healthy
	for _, change := range edits {
		report = change(t, report)
	}
	return reporttest.Parse(t, report)
}

const (
	clientEntry = `"selectors":[{"type":"unix","value":"user:client-workload"}]`
	serverEntry = `"selectors":[{"type":"unix","value":"user:server-workload"}]`
	served      = `"status":200,"body":"Success!!!"`
	refusedByIt = `"error":"Get \"https://127.0.0.1:8443/\": remote error: tls: bad certificate"`
	noOne       = `"error":"Get \"https://127.0.0.1:8443/\": remote error: tls: certificate required"`
	isWell      = `"health":{"status":200,"body":"ok"}`
	anotherCA   = "0123456789abcdef0123456789abcdef01234567"
)

// unwell: the health check of a program reports that the program is unhealthy.
func unwell(user, text string) edit {
	quoted, _ := json.Marshal(text)
	return in("observer-"+user, isWell, fmt.Sprintf(`"health":{"status":503,"body":%s}`, quoted))
}

// denied makes the Workload API refuse a user.
func denied(user string) edit {
	return answers("observer-"+user, "0", fmt.Sprintf(`{"user":%q,"program":%q,"endpoint":{"address":"unix:///tmp/spire-agent/public/api.sock","error":"rpc error: code = PermissionDenied desc = no identity issued","code":"PermissionDenied"},"programs":{}}`, user, strings.TrimSuffix(user, "-workload")))
}

// failing makes the request of the client's observer fail with an error.
func failing(text string) edit {
	quoted, _ := json.Marshal(text)
	return in("observer-client-workload", served, fmt.Sprintf(`"error":%s`, quoted))
}

func extra(entry string) edit { return in("entries", `{"entries":[`, `{"entries":[`+entry+`,`) }

// noneListens removes the server's certificate from the answer of the server's observer, as if no process listened on the port.
var noneListens = in("observer-server-workload", `"peer":`, `"was":`)

var withPartner = of("spire-server", `{"id"`, `{"service":"partner-server","project":"spiffe-lab","oneoff":"False","status":"running"}
  {"id"`)

func entryFor(id, path, parent, selectors, more string) string {
	var list []string
	for _, s := range strings.Split(selectors, ",") {
		list = append(list, fmt.Sprintf(`{"type":"unix","value":%q}`, s))
	}
	return fmt.Sprintf(`{"id":%q,"spiffe_id":{"trust_domain":"example.org","path":%q},"parent_id":{"trust_domain":"example.org","path":%q},"selectors":[%s]%s}`,
		id, path, parent, strings.Join(list, ","), more)
}

// example has changes of the healthy report, and the first finding that they must lead to.
type example struct {
	code  string
	name  string
	edits []edit
	seen  string // a text that the verdict must have
}

// renewed gives the agent a different bundle file. With this file the agent must refuse the SPIRE server.
var renewed = []edit{
	of("spire-agent", `"/etc/spire/agent/agent.conf"`, `"/etc/spire/agent/agent.conf","-trustBundle","/etc/spire/agent/renewed-bundle.pem"`),
	logs("spire-agent", `time="x" level=warning msg="Failed to retrieve attestation result" error="could not open attestation stream to SPIRE server: x509: certificate signed by unknown authority" retry_interval=4.8`),
}

var cases = []example{
	{"LAB001", "no docker", []edit{answers("engine", "127", "the docker command was not found")}, "not found"},
	{"LAB002", "not allowed", []edit{answers("engine", "1", "Got permission denied while trying to connect to the Docker daemon socket")}, "permission denied"},
	{"LAB003", "no engine", []edit{answers("engine", "1", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")}, "Cannot connect"},
	{"LAB003", "a silent engine", []edit{in("host", "patience 2.4", "patience 10"), answers("engine", "no answer within 10 s")}, "no answer"},
	{"LAB004", "an old engine", []edit{in("engine", `"api":"1.41"`, `"api":"1.40"`)}, "1.40"},
	{"LAB005", "podman", []edit{preflight("LAB005", "the docker command is Podman's own")}, "Podman"},
	{"LAB006", "full", []edit{gone("client"), said("LAB006", "failed to register layer: no space left on device")}, "no space"},
	{"LAB007", "a VPN", []edit{gone("client"), said("LAB007", "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network")}, "non-overlapping"},
	{"LAB007", "networks", []edit{gone("client"), said("LAB007", "Error response from daemon: all predefined address pools have been fully subnetted")}, "subnetted"},
	{"LAB008", "Windows containers", []edit{in("engine", `"os":"linux"`, `"os":"windows"`)}, "windows"},
	{"LAB011", "trust", []edit{preflight("LAB011", "DOCKER_CONTENT_TRUST is set, and the images of the lab are not signed")}, "DOCKER_CONTENT_TRUST"},
	{"LAB012", "somebody else's files", []edit{preflight("LAB012", "./.cache/up cannot be written")}, ".cache/up"},
	{"LAB013", "CRLF", []edit{preflight("LAB013", "spire/bootstrap.sh has the line endings of Windows, which")}, "bootstrap.sh"},
	{"LAB014", "another folder", []edit{preflight("LAB014", "spiffe-lab is in use: its containers were started from ~/other")}, "other"},
	{"LAB014", "another container", []edit{preflight("LAB014", "spiffe-lab is in use: the container spiffe-lab-client-1 exists and was not created by this lab")}, "spiffe-lab-client-1"},
	{"LAB015", "no name", []edit{preflight("LAB015", `COMPOSE_PROJECT_NAME is "My Lab", which is not a valid name of a Compose project`)}, "My Lab"},
	{"LAB016", "no compose", []edit{gone("client"), said("LAB016", "docker compose could not be built")}, "compose"},
	{"LAB021", "no compiler", []edit{gone("client"), said("LAB021", "the C compiler gcc was not found; spire-server's SQLite needs one")}, "gcc"},
	{"LAB022", "no build", []edit{gone("client"), said("LAB022", "the lab's images could not be built with golang:1.26-alpine")}, "golang"},
	{"LAB023", "no pull", []edit{gone("client"), said("LAB023", "ghcr.io/spiffe/spire-server:1.15.3 cannot be pulled: toomanyrequests")}, "toomanyrequests"},
	{"LAB024", "no images", []edit{answers("containers", "0"), answers("images", "0")}, "spiffe-lab/workload:local"},
	{"LAB025", "a network of this name", []edit{answers("containers", "0"), said("LAB025", "the lab did not start: network spiffe-lab_default was found but has incorrect label")}, "incorrect label"},
	{"LAB026", "no YAML", []edit{gone("client"), said("LAB026", "Compose cannot read compose.yaml: yaml: line 147: found character that cannot start any token")}, "line 147"},
	{"LAB031", "down", []edit{answers("containers", "0")}, "spiffe-lab"},
	{"LAB032", "cut off", []edit{in("host", "cut-off ", "cut-off rotation")}, "rotation"},
	{"LAB033", "paused", []edit{of("server", `"status":"running"`, `"status":"paused"`)}, "spiffe-lab-server-1"},
	{"LAB034", "memory", []edit{ends("client", "exited", 137), of("client", `"outOfMemory":false`, `"outOfMemory":true`)}, "client"},
	{"LAB035", "no host", []edit{ends("node", "exited", 137), ends("client", "exited", 128), of("client", `"error":""`, `"error":"container x is not running"`)}, "137"},
	{"LAB036", "cannot start", []edit{ends("client", "created", 128), of("client", `"error":""`, `"error":"cannot join PID of a non running container"`)}, "non running"},
	{"LAB037", "agent beside the host", []edit{of("spire-agent", `"pidMode":"container:`, `"pidMode":"","was":"`)}, "its own PID namespace"},
	{"LAB037", "agent of the machine", []edit{of("spire-agent", `"pidMode":"container:`, `"pidMode":"host","was":"`)}, "host"},
	{"LAB038", "of all packets", []edit{answers("agents", "0", `{"agents":[]}`), logs("spire-agent", `time="x" level=warning msg="Failed to retrieve attestation result" error="could not open attestation stream to SPIRE server: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 192.168.48.3:8081: connect: no route to host\"" retry_interval=4.8`)}, "192.168.48.3:8081: connect: no route to host"},
	{"LAB038", "of the server's port", []edit{failing(`Get "https://server:8443/": dial tcp 192.168.48.4:8443: connect: no route to host`)}, "no route to host"},
	{"LAB038", "as the client logs it", []edit{unwell("client-workload", "connect: no route to host"), failing("context deadline exceeded"), logs("client", `Error connecting to "https://server:8443/": Get "https://server:8443/": dial tcp 192.168.48.4:8443: connect: no route to host`)}, "no route to host"},
	{"LAB038", "by a reset", []edit{failing("dial tcp 172.18.0.3:8443: connect: connection refused")}, "connection refused"},
	{"LAB041", "SPIRE server stopped", []edit{ends("spire-server", "exited", 0)}, "exit status 0"},
	{"LAB041", "SPIRE server removed", []edit{gone("spire-server")}, "no such container"},
	{"LAB042", "SPIRE server crashes", []edit{ends("spire-server", "restarting", 1), logs("spire-server", `time="x" level=error msg="Server crashed" error="unknown configurations detected"`)}, "unknown configurations"},
	{"LAB043", "SPIRE server is deaf", []edit{answers("entries", "1", "Error: rpc error: code = Unavailable")}, "Unavailable"},
	{"LAB044", "bootstrap fails", []edit{of("bootstrap", `"exitStatus":0`, `"exitStatus":1`), logs("bootstrap", "bootstrap: 'spire-server x509 mint' failed with exit status 1")}, "x509 mint"},
	{"LAB045", "new data", []edit{answers("agents", "0", `{"agents":[]}`), answers("entries", "0", `{"entries":[]}`), answers("file-bundle.pem", "0", strings.Split(otherPEM, "\n")...)}, "0 entries"},
	{"LAB045", "another disk", []edit{answers("agents", "0", `{"agents":[]}`), answers("entries", "0", `{"entries":[]}`), answers("file-bundle.pem", "0", strings.Split(otherPEM, "\n")...),
		of("spire-server", "spiffe-lab_spire-server-data", "spiffe-lab_spire-server-empty-disk")}, "the SPIRE server has spiffe-lab_spire-server-empty-disk mounted at /var/lib/spire/server"},
	{"LAB046", "no bootstrap", []edit{gone("bootstrap"), answers("agents", "0", `{"agents":[]}`), answers("entries", "0", `{"entries":[]}`)}, "no entries; bootstrap: "},
	{"LAB047", "a token that is used", []edit{in("file-agent.conf", `log_level      = "INFO"`, `join_token = "(taken out)"`), answers("agents", "0", `{"agents":[]}`),
		logs("spire-agent", `level=error msg="Agent crashed" error="failed to attest: join token does not exist or has already been used"`)}, "already been used"},
	{"LAB047", "the plugin alone", []edit{in("file-agent.conf", `NodeAttestor "x509pop"`, `NodeAttestor "join_token"`), ends("spire-agent", "restarting", 1),
		logs("spire-agent", `level=error msg="Agent crashed" error="nodeattestor(join_token): join token was not provided"`)}, "was not provided"},
	{"LAB048", "no sockets", []edit{ends("spire-agent", "restarting", 1), logs("spire-agent", `level=error msg="Agent crashed" error="unable to change UDS permissions: chmod /tmp/spire-agent/public/api.sock: invalid argument"`)}, "invalid argument"},
	{"LAB048", "no sockets, in another way", []edit{ends("spire-agent", "restarting", 1), logs("spire-agent", `level=error msg="Agent crashed" error="create UDS listener: listen unix /tmp/spire-agent/public/api.sock: bind: input/output error"`)}, "input/output error"},
	{"LAB051", "agent stopped", []edit{ends("spire-agent", "exited", 0)}, "exit status 0"},
	{"LAB052", "banned", []edit{in("agents", `"banned":false`, `"banned":true`), ends("spire-agent", "restarting", 1)}, "banned"},
	{"LAB053", "no key", []edit{in("credential", "key.pem", "key.old"), ends("spire-agent", "restarting", 1)}, "key.pem"},
	{"LAB053", "no folder", []edit{answers("credential", "1", "Error: No such container:path: x:/run/host-credential")}, "No such container:path"},
	{"LAB054", "another CA", []edit{answers("file-bundle.pem", "0", strings.Split(otherPEM, "\n")...)}, "bundle.pem"},
	{"LAB054", "another file, while the client starts again and again", append(slices.Clone(renewed), answers("observer-client-workload", "1", "Error response from daemon: Container is restarting"), unwell("server-workload", "connection refused")), "is /etc/spire/agent/renewed-bundle.pem, and the agent logs Failed to retrieve attestation result"},
	{"LAB055", "another port", []edit{in("file-agent.conf", `"8081"`, `"8082"`)}, "8082"},
	{"LAB055", "another name", []edit{in("file-agent.conf", `"spire-server"`, `"spire"`)}, "server_address"},
	{"LAB056", "no network", []edit{of("spire-agent", `"spiffe-lab_default"`, `"spiffe-lab_other"`)}, "spiffe-lab_other"},
	{"LAB057", "no ptrace", []edit{of("spire-agent", `["CAP_SYS_PTRACE"]`, `null`)}, "capabilities"},
	{"LAB058", "agent crashes", []edit{ends("spire-agent", "restarting", 1), logs("spire-agent", `level=error msg="Agent crashed" error="failed to get SVID: rpc error"`)}, "failed to get SVID"},
	{"LAB058", "agent unknown", []edit{answers("agents", "0", `{"agents":[]}`)}, "has no agent"},
	{"LAB059", "a stale socket", []edit{in("observer-server-workload", `"from":"SPIFFE_ENDPOINT_SOCKET"}`, `"error":"rpc error: code = Unavailable desc = connection refused","code":"Unavailable"}`)}, "Unavailable"},
	{"LAB059", "no socket", []edit{in("observer-client-workload", `"from":"SPIFFE_ENDPOINT_SOCKET"}`, `"error":"the socket does not exist","noSocket":true}`)}, "does not exist"},
	{"LAB059", "a silent agent", []edit{in("host", "patience 2.4", "patience 10"), in("observer-client-workload", `"from":"SPIFFE_ENDPOINT_SOCKET"}`, `"error":"context deadline exceeded","code":"DeadlineExceeded"}`)}, "deadline"},
	{"LAB061", "another user", []edit{of("client", `"user":"client-workload"`, `"user":"guest-workload"`), denied("client-workload")}, "guest-workload (uid 1113)"},
	{"LAB061", "root", []edit{of("client", `"user":"client-workload"`, `"user":"0:0"`)}, "root (uid 0)"},
	{"LAB061", "a user nobody knows", []edit{of("server", `"user":"server-workload"`, `"user":"4711"`)}, "uid 4711"},
	{"LAB062", "no alias", []edit{in("entries", `spiffe://example.org/spire/agent/x509pop/host`, `spiffe://example.org/spire/agent/x509pop/hots`)}, "hots"},
	{"LAB063", "no entry", []edit{in("entries", `"path":"/client"`, `"path":"/gone"`), in("entries", "user:client-workload", "user:nobody"), denied("client-workload")}, "no entry for spiffe://example.org/client"},
	{"LAB064", "a slip in the ID", []edit{in("entries", `"path":"/server"`, `"path":"/sever"`)}, "spiffe://example.org/sever"},
	{"LAB065", "another parent", []edit{denied("client-workload"), in("entries", `"id":"client","jwt_svid_ttl":0,"parent_id":{"path":"/host"`, `"id":"client","jwt_svid_ttl":0,"parent_id":{"path":"/host-b"`)}, "host-b"},
	{"LAB066", "another hash", []edit{denied("client-workload"), in("entries", clientEntry, `"selectors":[{"type":"unix","value":"user:client-workload"},{"type":"unix","value":"sha256:00"}]`)}, "unix:sha256:"},
	{"LAB067", "one selector too many", []edit{denied("client-workload"), in("entries", clientEntry, `"selectors":[{"type":"unix","value":"user:client-workload"},{"type":"unix","value":"group:staff"}]`)}, "unix:group:staff"},
	{"LAB067", "the agent's own word", []edit{in("entries", clientEntry, `"selectors":[{"type":"unix","value":"user:client-worklod"}]`), denied("client-workload"),
		logs("spire-agent", `level=error msg="No identity issued" registered=false selectors="unix:path:/opt/spiffe-lab/bin/client,unix:uid:1112,unix:user:client-workload"`)}, "the agent saw unix:path:/opt/spiffe-lab/bin/client, unix:uid:1112"},
	{"LAB068", "two entries", []edit{extra(entryFor("a", "/other", "/host", "uid:1112", "")),
		in("observer-client-workload", `"svids":[`, `"svids":[{"id":"spiffe://example.org/other","notBefore":"2026-11-25T19:31:44Z","notAfter":"2036-11-25T20:31:54Z"},`)}, "spiffe://example.org/other"},
	{"LAB069", "not delivered", []edit{denied("client-workload"), in("host", "patience 2.4", "patience 10")}, "no identity issued"},
	{"LAB071", "expired", []edit{unwell("server-workload", "the X.509-SVID expired at 2026-11-25T19:00:00Z")}, "expired"},
	{"LAB072", "short-lived", []edit{in("entries", `"x509_svid_ttl":0`, `"x509_svid_ttl":5`)}, "5s"},
	{"LAB072", "short-lived by default", []edit{in("file-server.conf", `default_x509_svid_ttl = "1h"`, `default_x509_svid_ttl = "6s"`)}, "6s"},
	{"LAB072", "short-lived, and expired", []edit{in("entries", `"x509_svid_ttl":0`, `"x509_svid_ttl":2`), unwell("client-workload", "x509: certificate has expired"), failing("remote error: tls: bad certificate")}, "2s"},
	{"LAB073", "two clocks", []edit{in("host", "time "+theToday.UTC().Format("2006-01-02T15:"), "time "+theToday.Add(-2*time.Hour).UTC().Format("2006-01-02T15:"))}, "the engine's clock shows 2"},
	{"LAB081", "an old bundle", []edit{in("observer-server-workload", `"key":"`+theCA+`"`, `"key":"`+anotherCA+`"`)}, "0123456789ab"},
	{"LAB082", "a server of another CA", []edit{in("observer-client-workload", served, `"refused":"x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority"`)}, "unknown authority"},
	{"LAB083", "a client of another CA", []edit{failing(`Get "https://server:8443/": remote error: tls: bad certificate`),
		logs("server", "http: TLS handshake error from 172.18.0.4:1234: x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority")}, "unknown authority"},
	{"LAB084", "not federated", []edit{in("entries", `"federates_with":[]`, `"federates_with":["partner.test"]`)}, "partner.test"},
	{"LAB084", "not federated any more", []edit{failing("remote error: tls: bad certificate"),
		logs("server", `http: TLS handshake error from 172.18.0.9:1: x509svid: could not get X509 bundle: x509bundle: no X.509 bundle found for trust domain: "partner.test"`)}, "partner.test"},
	{"LAB084", "the partner is here, and its bundle is not", []edit{withPartner}, "does not have the bundle of partner.test"},
	{"LAB084", "the bundle is here, and nobody gets it", []edit{withPartner, answers("bundles", "0", `{"bundles":[{"trust_domain":"partner.test"}]}`)}, "no entry federates"},
	{"LAB091", "wrong usage", []edit{ends("client", "restarting", 2), logs("client", `client: invalid value "x" for flag -interval: want a duration`)}, "want a duration"},
	{"LAB092", "another socket", []edit{of("client", "/tmp/spire-agent/public/api.sock", "/tmp/agent.sock")}, "/tmp/agent.sock"},
	{"LAB092", "the agent offers it elsewhere", []edit{in("file-agent.conf", `log_level      = "INFO"`, `socket_path = "/run/api.sock"`)}, "api.sock"},
	{"LAB093", "a volume of its own", []edit{of("spire-agent", "spiffe-lab_workload-api", "spiffe-lab_agent")}, "spiffe-lab_agent"},
	{"LAB093", "no volume", []edit{of("client", `"at":"/tmp/spire-agent/public"`, `"at":"/tmp"`)}, "nothing"},
	{"LAB094", "another port", []edit{of("client", `"-interval"`, `"-url","https://server:9443/","-interval"`)}, "9443"},
	{"LAB094", "another name", []edit{of("client", `"-interval"`, `"-url","https://sever:8443/","-interval"`)}, "sever"},
	{"LAB094", "another URL in the program", []edit{unwell("client-workload", `Error connecting to "https://server:8444/": dial tcp: connection refused`)}, "8444"},
	{"LAB095", "another server", []edit{of("client", `"-interval"`, `"-server-id","spiffe://example.org/web","-interval"`)}, "spiffe://example.org/web"},
	{"LAB095", "another server in the program", []edit{unwell("client-workload", `unexpected ID "spiffe://example.org/server"`)}, "refuses the right server"},
	{"LAB096", "another client", []edit{of("server", `"-health"`, `"-client-id","spiffe://example.org/me","-health"`)}, "spiffe://example.org/me"},
	{"LAB096", "another client in the program", []edit{failing(`remote error: tls: bad certificate`),
		logs("server", `http: TLS handshake error from 172.18.0.4:3: unexpected ID "spiffe://example.org/client"`)}, "refuses the right client"},
	{"LAB096", "another client, as the server says", []edit{in("log-server", "for spiffe://example.org/client only", "for spiffe://example.org/me only"), failing("remote error: tls: bad certificate")}, "for spiffe://example.org/me only"},
	{"LAB097", "client stopped", []edit{ends("client", "exited", 0)}, "client"},
	{"LAB098", "server crashes", []edit{ends("server", "restarting", 1), logs("server", "server: -listen: address already in use")}, "address already in use"},
	{"LAB101", "two networks", []edit{of("server", `"spiffe-lab_default"`, `"spiffe-lab_back"`)}, "spiffe-lab_back"},
	{"LAB102", "no such name", []edit{in("observer-client-workload", `"addresses":["`+theAddress+`"]`, `"lookupError":"lookup server: no such host"`)}, "no such host"},
	{"LAB103", "somebody has its name", []edit{of("bootstrap", `"status":"exited"`, `"status":"running"`),
		of("bootstrap", `"none":{"address":"","aliases":null}`, `"spiffe-lab_default":{"address":"172.18.0.9","aliases":["server"]}`)}, "bootstrap"},
	{"LAB103", "a service of the lab has its name", []edit{of("spire-server", `"aliases":[`, `"aliases":["server",`)}, "--force-recreate spire-server"},
	{"LAB103", "another address", []edit{in("observer-client-workload", `"addresses":["`+theAddress+`"]`, `"addresses":["172.18.0.77"]`)}, "172.18.0.77"},
	{"LAB104", "nobody listens", []edit{noneListens, failing("dial tcp 172.18.0.3:8443: connect: connection refused")}, "refused"},
	{"LAB104", "the server listens elsewhere", []edit{of("server", `"-health"`, `"-listen",":9443","-health"`), unwell("client-workload", `Error connecting to "https://server:8443/"`),
		failing("dial tcp 172.18.0.3:8443: connect: connection refused")}, "-listen :9443"},
	{"LAB105", "no TLS", []edit{failing("tls: first record does not look like a TLS handshake")}, "first record"},
	{"LAB106", "refused", []edit{failing(`Get "https://server:8443/": remote error: tls: bad certificate`),
		logs("server", "http: TLS handshake error from 172.18.0.4:2: x509svid: certificate contains no URI SAN")}, "no URI SAN"},
	{"LAB107", "somebody else", []edit{in("observer-client-workload", `"peer":{"id":"spiffe://example.org/server"`, `"peer":{"id":"spiffe://example.org/other"`)}, "spiffe://example.org/other"},
	{"LAB043", "a SPIRE server that hangs", []edit{in("host", "calm false", "calm true"), answers("entries", "no answer within 2.4 s")}, "no answer"},
	{"LAB108", "a server that hangs", []edit{in("host", "calm false", "calm true"), failing("context deadline exceeded")}, "2.4s"},
	{"LAB109", "a client that hangs", []edit{in("host", "calm false", "calm true"), unwell("client-workload", "context deadline exceeded")}, "deadline"},
	{"LAB108", "no answer", []edit{in("host", "patience 2.4", "patience 10"), failing("context deadline exceeded")}, "10s"},
	{"LAB109", "not well", []edit{in("host", "patience 2.4", "patience 10"), unwell("client-workload", "EOF")}, "EOF"},
	{"LAB109", "another answer", []edit{in("observer-client-workload", served, `"status":200,"body":"hello"`)}, "hello"},
	{"LAB111", "every user that runs the program", []edit{in("entries", clientEntry, `"selectors":[{"type":"unix","value":"path:/opt/spiffe-lab/bin/client"}]`)}, "path:/opt"},
	{"LAB111", "one more entry", []edit{extra(entryFor("guest", "/client", "/host", "uid:1113", ""))}, "unix:uid:1113"},
	{"LAB112", "two identities", []edit{extra(entryFor("a", "/other", "/host", "uid:1111", ""))}, "spiffe://example.org/other"},
	{"LAB113", "the whole trust domain", []edit{in("observer-server-workload", refusedByIt, served)}, "served spiffe://example.org/server"},
	{"LAB114", "no certificate", []edit{in("observer-server-workload", noOne, served)}, "without a certificate"},
	{"LAB115", "tickets", []edit{in("observer-client-workload", served, served+`,"tickets":2`)}, "2 session tickets"},
	{"LAB116", "an admin", []edit{in("entries", `"admin":false`, `"admin":true`)}, "admin = true"},
	{"LAB117", "privileged", []edit{of("client", `"privileged":false`, `"privileged":true`)}, "privileged"},
	{"LAB117", "Docker's socket", []edit{of("client", `"mounts":[`, `"mounts":[{"type":"bind","source":"/var/run/docker.sock","at":"/run/docker.sock"},`)}, "Docker's socket"},
	{"LAB118", "the admin socket", []edit{of("client", `"mounts":[`, `"mounts":[{"type":"volume","name":"spiffe-lab_spire-server-admin","at":"/tmp/x"},`)}, "spire-server-admin"},
}

const otherPEM = `-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIUPJ9XJo3fE7BiLcX1uDpA/YVF2JswCgYIKoZIzj0EAwIw
EDEOMAwGA1UECgwFb3RoZXIwHhcNMjYxMTI1MTk0MDQ5WhcNMzYxMTIyMTk0MDQ5
WjAQMQ4wDAYDVQQKDAVvdGhlcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPCT
d9UeLqbhLG1lymetHfSkfNe/QmsoLioKV4xQJAHfClseElFnf0xt5xZNoIwZeY2G
VkNm/c6FXTwRXhnTDW2jUzBRMB0GA1UdDgQWBBQXBh8SCcLhejb5FNWDbu0Jle4y
ajAfBgNVHSMEGDAWgBQXBh8SCcLhejb5FNWDbu0Jle4yajAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0cAMEQCIAieZbB+/OvM3gkfN/YCPi2f/qXz2aAb489X
BFbVrjFaAiAFdDQy/JmECdkdAwcD2hBJcGcJpkj7pUTpdjNHcNbwUQ==
-----END CERTIFICATE-----`

func TestCodes(t *testing.T) {
	for _, c := range cases {
		t.Run(c.code+" "+c.name, func(t *testing.T) {
			v := Judge(read(t, c.edits...), false)
			if v.Finding == nil {
				t.Fatalf("no finding, want %s: %s", c.code, v.Text())
			}
			if v.Finding.Code != c.code || !strings.Contains(v.Text(), c.seen) {
				t.Errorf("got\n%swant %s with %q", v.Text(), c.code, c.seen)
			}
			if shown := report.Secrets(v.Text()); shown != v.Text() {
				t.Errorf("it looks as if it had a secret: %s", shown)
			}
			v.Override = "a file is in force"
			if !strings.HasSuffix(v.Text(), "\nnote: a file is in force\n") {
				t.Errorf("no note: %s", v.Text())
			}
			v.Override = ""
			if lines := strings.Split(strings.TrimSpace(v.Text()), "\n"); len(lines) != 5 {
				t.Errorf("%d lines, want 5", len(lines))
			}
			for _, part := range []string{v.Finding.Finding, v.Finding.Seen, v.Finding.Expected, v.Finding.Do} {
				if part == "" {
					t.Errorf("a part is empty: %+v", v.Finding)
				}
			}
		})
	}
}

// TestOverrideInForce: the remedy for a setting that may come from an override must name the override, not only compose.yaml.
func TestOverrideInForce(t *testing.T) {
	const wins = "compose.override.yml, which takes precedence over compose.yaml"
	image := func(service, image string) edit {
		return of(service, `"image":"spiffe-lab/`+image+`:local"`, `"image":"spiffe-lab/`+image+`:local.fault-01"`)
	}
	tested := map[string]bool{}
	token := in("file-agent.conf", `NodeAttestor "x509pop"`, `NodeAttestor "join_token"`)
	for _, c := range []struct {
		code          string
		edits         []edit
		with, without string // the whole remedy with and without an override
	}{
		{"LAB026", []edit{gone("client"), said("LAB026", "Compose cannot read compose.yaml")}, "correct the line or the key that Compose's error message names, in " + wins, "correct the line or the key that Compose's error message names, in compose.yaml (\"git diff compose.yaml\" shows what changed)"},
		{"LAB037", []edit{of("spire-agent", `"pidMode":"container:`, `"pidMode":"","was":"`)}, "set pid: service:node for spire-agent in " + wins + ". Then run: docker compose up --detach --force-recreate spire-agent", "set pid: service:node for spire-agent in compose.yaml. Then run: docker compose up --detach --force-recreate spire-agent"},
		{"LAB045", []edit{answers("agents", "0", `{"agents":[]}`), answers("entries", "0", `{"entries":[]}`), answers("file-bundle.pem", "0", strings.Split(otherPEM, "\n")...), of("spire-server", "spiffe-lab_spire-server-data", "spiffe-lab_spare")},
			"do not run bootstrap, because it would provision the host for the new CA. If spire-server has the key \"volumes\" in compose.override.yml, correct that key. Otherwise unset SPIRE_SERVER_DISK. Then give the SPIRE server its volume back: docker compose up --detach --no-deps spire-server",
			"do not run bootstrap, because it would provision the host for the new CA. Unset SPIRE_SERVER_DISK. Then give the SPIRE server its volume back: docker compose up --detach --no-deps spire-server"},
		{"LAB047", []edit{token, image("spire-agent", "spire-agent")}, "correct the image of spire-agent, which is spiffe-lab/spire-agent:local.fault-01, in " + wins + ". Then run: docker compose up --detach spire-agent", ""},
		{"LAB047", []edit{token}, "", ""},
		{"LAB048", []edit{ends("spire-agent", "restarting", 1), logs("spire-agent", `level=error msg="Agent crashed" error="create UDS listener: x"`)},
			"mount a Docker volume or a folder of a Linux file system at /tmp/spire-agent/public (key \"volumes\" in " + wins + "). Then run \"make up\". A folder that Docker Desktop shares with Windows or macOS, or a network folder, often does not support sockets", ""},
		{"LAB053", []edit{answers("credential", "0"), of("spire-agent", "spiffe-lab_host-credential", "spiffe-lab_no-secrets")},
			"mount the volume host-credential at /run/host-credential of spire-agent, in place of spiffe-lab_no-secrets (key \"volumes\" in " + wins + "). Then run: docker compose up --detach spire-agent",
			"mount the volume host-credential at /run/host-credential of spire-agent, in place of spiffe-lab_no-secrets (key \"volumes\" in compose.yaml). Then run: docker compose up --detach spire-agent"},
		{"LAB053", []edit{answers("credential", "0")}, "", ""},
		{"LAB054", []edit{answers("file-bundle.pem", "0", strings.Split(otherPEM, "\n")...), of("spire-agent", "spiffe-lab_host-credential", "spiffe-lab_other")},
			"mount the volume host-credential at /run/host-credential of spire-agent, in place of spiffe-lab_other (key \"volumes\" in " + wins + "). Then run: docker compose up --detach spire-agent",
			"mount the volume host-credential at /run/host-credential of spire-agent, in place of spiffe-lab_other (key \"volumes\" in compose.yaml). Then run: docker compose up --detach spire-agent"},
		{"LAB054", renewed, "correct -trustBundle of spire-agent in " + wins + ". Then run: docker compose up --detach spire-agent", "correct -trustBundle of spire-agent in compose.yaml. Then run: docker compose up --detach spire-agent"},
		{"LAB054", []edit{renewed[1], in("file-agent.conf", "/run/host-credential/bundle.pem", "/etc/spire/agent/ours.pem"), image("spire-agent", "spire-agent")},
			"correct the image of spire-agent, which is spiffe-lab/spire-agent:local.fault-01, in " + wins + ". Then run: docker compose up --detach spire-agent", "correct trust_bundle_path in spire/agent/agent.conf (\"git diff spire\" shows what changed). Then run: make up"},
		{"LAB055", []edit{in("file-agent.conf", `"8081"`, `"8082"`), image("spire-agent", "spire-agent")}, "correct the image of spire-agent, which is spiffe-lab/spire-agent:local.fault-01, in " + wins + ". Then run: docker compose up --detach spire-agent", ""},
		{"LAB056", []edit{of("spire-agent", `"spiffe-lab_default":`, `"other":`)}, "if compose.override.yml has the key \"networks\", correct that key. Then run: docker compose up --detach --force-recreate spire-server spire-agent", "recreate spire-server and spire-agent: docker compose up --detach --force-recreate spire-server spire-agent"},
		{"LAB057", []edit{of("spire-agent", "SYS_PTRACE", "CHOWN")}, "set cap_add: [SYS_PTRACE] for spire-agent in " + wins + ". Then run: make up", "set cap_add: [SYS_PTRACE] for spire-agent in compose.yaml. Then run: make up"},
		{"LAB061", []edit{of("client", `"user":"client-workload"`, `"user":"guest-workload"`)}, "set user: client-workload in " + wins + ". Then run: docker compose up --detach client", "set user: client-workload in compose.yaml. Then run: docker compose up --detach client"},
		{"LAB091", []edit{ends("client", "restarting", 2)}, "correct the command in " + wins + ". Then run: docker compose up --detach", "correct the command in compose.yaml (\"git diff compose.yaml\" shows what changed). Then run: docker compose up --detach"},
		{"LAB092", []edit{of("client", "unix:///tmp/spire-agent/public/api.sock", "unix:///tmp/agent.sock")}, "correct SPIFFE_ENDPOINT_SOCKET in " + wins + ", or socket_path in spire/agent/agent.conf. Then run: make up", "correct SPIFFE_ENDPOINT_SOCKET in compose.yaml, or socket_path in spire/agent/agent.conf. Then run: make up"},
		{"LAB093", []edit{of("spire-agent", "spiffe-lab_workload-api", "spiffe-lab_agent-folder")}, "mount the volume workload-api at /tmp/spire-agent/public in both containers (key \"volumes\" in " + wins + "). Then run: docker compose up --detach", "mount the volume workload-api at /tmp/spire-agent/public in both containers (key \"volumes\" in compose.yaml). Then run: docker compose up --detach"},
		{"LAB094", []edit{of("client", `"client","-interval"`, `"client","-url","https://server:8843/","-interval"`)}, "correct -url of the client in " + wins + ". Then run: docker compose up --detach client", "correct -url of the client in compose.yaml. Then run: docker compose up --detach client"},
		{"LAB095", []edit{of("client", `"client","-interval"`, `"client","-server-id","spiffe://example.org/x","-interval"`)}, "correct -server-id of the client in " + wins + ". Then run: docker compose up --detach client", ""},
		{"LAB096", []edit{of("server", `"server","-health"`, `"server","-client-id","spiffe://example.org/x","-health"`)}, "correct -client-id of the server in " + wins + ". Then run: docker compose up --detach server", ""},
		{"LAB096", []edit{unwell("client-workload", "bad certificate"), failing("remote error: tls: bad certificate"), logs("server", `http: TLS handshake error from 172.18.0.9:1: unexpected ID "spiffe://example.org/client"`), image("server", "workload")},
			"correct the image of server, which is spiffe-lab/workload:local.fault-01, in " + wins + ". Then run: docker compose up --detach server", "correct the SPIFFE ID in the program (\"git diff services/server\" shows what changed). Then run: make up"},
		{"LAB101", []edit{of("client", `"spiffe-lab_default":`, `"other":`)}, "if compose.override.yml has the key \"networks\", correct that key. Then run: docker compose up --detach --force-recreate server client", "recreate server and client: docker compose up --detach --force-recreate server client"},
		{"LAB103", []edit{of("spire-server", `"aliases":[`, `"aliases":["server",`)}, "compose.yaml does not give the name to this container, so if compose.override.yml has the key \"networks\", correct that key. Then run: docker compose up --detach --force-recreate spire-server", "compose.yaml does not give the name to this container, so recreate spire-server: docker compose up --detach --force-recreate spire-server"},
		{"LAB113", []edit{in("observer-server-workload", refusedByIt, served), image("server", "workload")}, "correct the image of server, which is spiffe-lab/workload:local.fault-01, in " + wins + ". Then run: docker compose up --detach server", ""},
		{"LAB114", []edit{in("observer-server-workload", noOne, served), image("server", "workload")}, "correct the image of server, which is spiffe-lab/workload:local.fault-01, in " + wins + ". Then run: docker compose up --detach server", ""},
		{"LAB115", []edit{in("observer-client-workload", served, served+`,"tickets":2`), image("server", "workload")}, "correct the image of server, which is spiffe-lab/workload:local.fault-01, in " + wins + ". Then run: docker compose up --detach server", ""},
		{"LAB115", []edit{in("observer-client-workload", served, served+`,"tickets":2`)}, "", ""},
		{"LAB117", []edit{of("client", `"privileged":false`, `"privileged":true`)}, "remove the unnecessary right from " + wins + ". Then run: docker compose up --detach", "remove the unnecessary right from compose.yaml (\"git diff compose.yaml\" shows what changed). Then run: docker compose up --detach"},
		{"LAB118", []edit{of("client", `"mounts":[`, `"mounts":[{"type":"volume","name":"spiffe-lab_spire-server-admin","at":"/tmp/x"},`)}, "remove SPIRE's volume from the program's service in " + wins + ". Then run: docker compose up --detach", ""},
	} {
		tested[c.code] = true
		for _, one := range []struct{ override, want string }{{"compose.override.yml", c.with}, {"", c.without}} {
			known := read(t, c.edits...)
			known.Host.Override = one.override
			if one.want == "" { // the table leaves out a remedy that is the same as the cause's remedy
				one.want = (&view{&facts.Facts{}}).inForce(All[slices.IndexFunc(All, func(a Cause) bool { return a.Code == c.code })].Do)
			}
			v := Judge(known, false)
			if v.Finding == nil || v.Finding.Code != c.code || v.Finding.Do != one.want {
				t.Errorf("%s with %q: got\n%swant %s", c.code, one.override, v.Text(), one.want)
			}
		}
	}
	for _, c := range All {
		if strings.Contains(c.Do, composeFile) && !tested[c.Code] {
			t.Errorf("%s names compose.yaml, and is not in the table", c.Code)
		}
	}
}

// TestWell: a healthy lab must not lead to a finding, even if something in it is unusual but harmless.
func TestWell(t *testing.T) {
	for _, test := range []struct {
		name  string
		edits []edit
	}{
		{"as it is", nil},
		{"the entry is pinned to the right program", []edit{in("entries", clientEntry, `"selectors":[{"type":"unix","value":"user:client-workload"},{"type":"unix","value":"path:/opt/spiffe-lab/bin/client"}]`), denied("client-workload")}},
		{"an entry of one's own", []edit{extra(entryFor("mine", "/guest", "/host", "uid:1113", ""))}},
		{"a second entry for the same ID", []edit{extra(entryFor("more", "/client", "/host", "uid:1112", ""))}},
		{"the parent is the agent itself", []edit{in("entries", `"parent_id":{"path":"/host"`, `"parent_id":{"path":"/spire/agent/x509pop/host"`)}},
		{"refused before, and served now", []edit{logs("spire-agent", `level=error msg="No identity issued" registered=false selectors="unix:path:/opt/spiffe-lab/bin/client,unix:uid:1112,unix:user:client-workload"`)}},
		{"a guest ran the client's program, and was refused", []edit{logs("spire-agent", `level=error msg="No identity issued" registered=false selectors="unix:path:/opt/spiffe-lab/bin/client,unix:uid:1113,unix:user:guest-workload"`)}},
		{"the user is given by its number", []edit{of("client", `"user":"client-workload"`, `"user":"1112:1112"`)}},
		{"the host's bundle, written out", []edit{of("spire-agent", `"/etc/spire/agent/agent.conf"`, `"/etc/spire/agent/agent.conf","-trustBundle","/run/host-credential/bundle.pem"`), renewed[1]}},
		{"another bundle, by which the agent attested", append(slices.Clone(renewed), logs("spire-agent", `level=info msg="Node attestation was successful"`))},
		{"a failed start of before", []edit{said("LAB007", "all predefined address pools have been fully subnetted")}},
		{"a refusal that is over", []edit{logs("server", `http: TLS handshake error from 172.18.0.9:1: unexpected ID "spiffe://example.org/client"`)}},
		{"another project on the machine", []edit{in("containers", `"project":"spiffe-lab","oneoff":"False","image":"spiffe-lab/bootstrap`, `"project":"other","oneoff":"False","image":"spiffe-lab/bootstrap`)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			known := read(t, test.edits...)
			known.Host.Override = "x"
			if v := Judge(known, false); v.Override != "x is in force: Compose reads it beside compose.yaml" {
				t.Errorf("the override is not told: %s", v.Text())
			}
			if v := Judge(read(t, test.edits...), false); v.Well == "" || strings.Count(v.Text(), "\n") != 1 {
				t.Errorf("%s", v.Text())
			}
		})
	}
}

// TestCannotTell: if an answer is missing, there must be no finding, and the lab must not be called healthy.
func TestCannotTell(t *testing.T) {
	for _, test := range []struct {
		name, names string
		edits       []edit
	}{
		{"no engine in time", "engine", []edit{answers("engine", "no answer within 2.4 s")}},
		{"no list in time", "containers", []edit{answers("containers", "no answer within 2.4 s")}},
		{"no entries in time", "entries", []edit{answers("entries", "no answer within 2.4 s")}},
		{"no observer in time", "observer-client-workload", []edit{answers("observer-client-workload", "no answer within 2.4 s")}},
		{"a request without an answer", "a request as client-workload", []edit{failing("context deadline exceeded")}},
		{"a broken answer", "entries (not readable", []edit{answers("entries", "0", `{"entries":[`)}},
		{"an entry is on its way", "the agent's next request", []edit{denied("client-workload")}},
		{"the client has yet to ask again", "the client's next request", []edit{unwell("client-workload", "EOF")}},
		{"no list of entries, and a client that is refused", "entries", []edit{answers("entries", "no answer within 2.4 s"), failing("remote error: tls: bad certificate")}},
		{"a section is missing", "entries (not in the report)", []edit{func(t *testing.T, report string) string {
			before, _, after := cut(t, report, "entries")
			return before + after
		}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if v := Judge(read(t, test.edits...), false); v.Finding != nil || len(v.Unanswered) == 0 || !strings.Contains(v.Text(), test.names) {
				t.Errorf("%s", v.Text())
			}
		})
	}
}

func TestAll(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range cases {
		tested[c.code] = true
	}
	last := ""
	for _, c := range All {
		if !regexp.MustCompile(`^LAB[0-9]{3}$`).MatchString(c.Code) || c.Code <= last {
			t.Errorf("the code %s is none, or not in order", c.Code)
		}
		last = c.Code
		if !tested[c.Code] {
			t.Errorf("%s has no test", c.Code)
		}
		if strings.Contains(c.Sees+c.Means+c.Do, "|") || c.Sees == "" || c.Means == "" || c.Do == "" {
			t.Errorf("%s does not fit into a table", c.Code)
		}
		if c.look == nil && c.Expected == "" {
			t.Errorf("%s is never found", c.Code)
		}
		file, _, _ := strings.Cut(c.Lesson, "#")
		if _, err := os.Stat(filepath.Join("..", "..", "..", file)); err != nil {
			t.Errorf("%s: %v", c.Code, err)
		}
	}
}

// TestNeeds: the recorded report must have an answer to each question that a cause needs.
func TestNeeds(t *testing.T) {
	for _, question := range needed() {
		if s := recorded.Section(question); !s.OK() {
			t.Errorf("%s: %s", question, s.Status)
		}
	}
}

// TestMissingAnswers: if an answer is missing, there must be no finding that depends on it, and the lab must not be called healthy.
func TestMissingAnswers(t *testing.T) {
	for _, question := range needed() {
		for _, status := range []string{"no answer within 2.4 s", "cannot tell: docker exec failed: fork/exec: resource temporarily unavailable", "not readable: x"} {
			for _, final := range []bool{false, true} {
				v := Judge(read(t, answers(question, status)), final)
				if v.Finding != nil || !strings.Contains(v.Text(), "no answer to "+question+" (") {
					t.Errorf("%s, %s: %s", question, status, v.Text())
				}
			}
		}
	}
}

var updateTable = flag.Bool("update", false, "write the table of all causes into README.md")

const (
	tableBegins = "<!-- The table of all causes: go test ./services/internal/cause -update -->\n"
	tableEnds   = "<!-- The table ends. -->\n"
)

func TestREADMEHasTheTable(t *testing.T) {
	const file = "README.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegins)
	table, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		t.Fatalf("README.md does not have the lines %q and %q", tableBegins, tableEnds)
	}
	if *updateTable {
		if err := os.WriteFile(file, []byte(before+tableBegins+Table()+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table != Table() {
		t.Error("README.md has another table than the causes: go test ./services/internal/cause -update writes it")
	}
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		name  string
		edits []edit
		final bool
		want  string
	}{
		{"well", nil, false, "all is well"},
		{"found", []edit{gone("spire-agent")}, false, "LAB051: the agent is stopped\n"},
		{"cannot tell", []edit{answers("agents", "no answer within 2.4 s")}, false, "cannot tell: no check has failed, but there is no answer to agents (no answer within 2.4 s)"},
		{"a second look is to come", []edit{answers("entries", "no answer within 2.4 s"), failing("remote error: tls: bad certificate")}, false, "cannot tell"},
		{"what needs no second look", []edit{answers("agents", "no answer within 2.4 s"), gone("spire-server")}, false, "LAB041"},
		{"no second look", []edit{answers("entries", "no answer within 2.4 s"), failing("remote error: tls: bad certificate")}, true, "  but:      there is no answer to entries (no answer"},
		{"a terminal is not steered", []edit{in("host", "cut-off ", "cut-off \x1b[31mred\u202e")}, false, " [31mred"},
		{"docker crashes", []edit{answers("engine", "cannot tell: docker version failed: signal: segmentation fault"), answers("containers", "not asked: the engine did not list them")}, true,
			"cannot tell: no check has failed, but there is no answer to engine (docker version failed: signal: segmentation fault)\n"},
		{"a limit of processes", []edit{answers("entries", "cannot tell: docker exec failed: runtime: failed to create new OS thread")}, true, "no answer to entries (docker exec failed: runtime: failed to create new OS thread)\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Judge(read(t, test.edits...), test.final).Text(); !strings.Contains(got, test.want) || strings.ContainsAny(got, "\x1b\u202e") {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestReported: each code that a command of the lab reports must lead to a finding with the same code.
func TestReported(t *testing.T) {
	text, err := os.ReadFile("../lab/codes.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`"(LAB[0-9]{3})"`).FindAllStringSubmatch(string(text), -1)
	if len(codes) < 20 {
		t.Fatalf("%d codes", len(codes))
	}
	for _, code := range codes {
		i := slices.IndexFunc(All, func(c Cause) bool { return c.Code == code[1] })
		if i < 0 {
			t.Errorf("%s is no cause", code[1])
			continue
		}
		if All[i].Expected == "" {
			continue // no command reports this code, because the doctor itself asks the engine
		}
		v := Judge(read(t, preflight(code[1], "what was wrong")), false)
		if v.Finding == nil || v.Finding.Code != code[1] || v.Finding.Seen != "what was wrong" {
			t.Errorf("%s: %s", code[1], v.Text())
		}
	}
}

// TestReportedRemedy: if a command of the lab has found a problem, the doctor must show the command's remedy, because this remedy is more
// precise than the cause's remedy. If redaction has hidden a part of the command's remedy, the doctor must show the cause's remedy.
func TestReportedRemedy(t *testing.T) {
	f := read(t)
	f.Preflight = []facts.Problem{{Code: "LAB012", What: "./.cache cannot be written", Remedy: `sudo chown -R "$(id -u)" .cache`}}
	if v := Judge(f, false); v.Finding == nil || v.Finding.Do != f.Preflight[0].Remedy {
		t.Errorf("%s", v.Text())
	}
	f.Preflight[0].Remedy = "sudo chown -R 1000 '~/lab/.cache'"
	if v := Judge(f, false); v.Finding == nil || strings.Contains(v.Finding.Do, "~") {
		t.Errorf("%s", v.Text())
	}
}
