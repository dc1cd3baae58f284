package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report/reporttest"
)

// healthy is the recorded report, and what in it differs from one recording to the next.
var (
	healthy                     = reporttest.HealthyText(&testing.T{})
	recorded                    = reporttest.Healthy(&testing.T{})
	theCA, theAddress, theToday = recorded.Bundle[0].Key, recorded.Observations["client-workload"].Addresses[0], recorded.Clock
)

// edit makes another report of one.
type edit func(t *testing.T, report string) string

// in replaces a text of one section, which must have it.
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

// of replaces a text in what the engine says of one container.
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

// gone takes the container of a service away.
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

// ends makes a container one that has ended.
func ends(service, state string, status int) edit {
	return of(service, `"status":"running","exitStatus":0`, fmt.Sprintf(`"status":%q,"exitStatus":%d`, state, status))
}

// answers makes the answer of a section another one; with a status other than 0 it is an error output.
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

// logs adds a line to a log, as of the report's time.
func logs(service, line string) edit {
	return func(t *testing.T, report string) string {
		t.Helper()
		before, body, after := cut(t, report, "log-"+service)
		return before + strings.TrimRight(body, "\n") + "\n  " + now(t) + " " + line + "\n\n" + after
	}
}

// said adds what a failed make up printed, as the report has it.
func said(lines ...string) edit {
	return func(_ *testing.T, report string) string {
		return "## section: up\n$ make up\nstatus: 1\n  " + strings.Join(lines, "\n  ") + "\n\n" + report
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

// now is the engine's time in the report.
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

// unwell makes a program say that it is not well.
func unwell(user, text string) edit {
	quoted, _ := json.Marshal(text)
	return in("observer-"+user, isWell, fmt.Sprintf(`"health":{"status":503,"body":%s}`, quoted))
}

// denied makes the Workload API refuse a user.
func denied(user string) edit {
	return answers("observer-"+user, "0", fmt.Sprintf(`{"user":%q,"program":%q,"endpoint":{"address":"unix:///tmp/spire-agent/public/api.sock","error":"rpc error: code = PermissionDenied desc = no identity issued","code":"PermissionDenied"},"programs":{}}`, user, strings.TrimSuffix(user, "-workload")))
}

// failing makes the client's own request end with an error.
func failing(text string) edit {
	quoted, _ := json.Marshal(text)
	return in("observer-client-workload", served, fmt.Sprintf(`"error":%s`, quoted))
}

func extra(entry string) edit { return in("entries", `{"entries":[`, `{"entries":[`+entry+`,`) }

// withPartner adds the SPIRE server of the other trust domain.
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

// example has facts, and the finding that they must lead to, first.
type example struct {
	code  string
	name  string
	edits []edit
	seen  string // is part of what is told
}

var cases = []example{
	{"LAB001", "no docker", []edit{answers("engine", "127", "the docker command was not found")}, "not found"},
	{"LAB002", "not allowed", []edit{answers("engine", "1", "Got permission denied while trying to connect to the Docker daemon socket")}, "permission denied"},
	{"LAB003", "no engine", []edit{answers("engine", "1", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")}, "Cannot connect"},
	{"LAB003", "a silent engine", []edit{in("host", "patience 2.4", "patience 10"), answers("engine", "no answer within 10 s")}, "no answer"},
	{"LAB004", "an old engine", []edit{in("engine", "api 1.41", "api 1.40")}, "1.40"},
	{"LAB005", "podman", []edit{answers("preflight", "0", "error: the docker command is Podman's own")}, "Podman"},
	{"LAB006", "full", []edit{gone("client"), said("failed to register layer: no space left on device")}, "no space"},
	{"LAB007", "networks", []edit{gone("client"), said("Error response from daemon: all predefined address pools have been fully subnetted")}, "subnetted"},
	{"LAB008", "Windows containers", []edit{in("engine", "linux/amd64", "windows/amd64")}, "windows"},
	{"LAB011", "trust", []edit{answers("preflight", "0", "error: DOCKER_CONTENT_TRUST is set, and nobody has signed the lab's own images")}, "DOCKER_CONTENT_TRUST"},
	{"LAB012", "somebody else's files", []edit{answers("preflight", "0", "error: ./.cache/up cannot be written")}, ".cache/up"},
	{"LAB013", "CRLF", []edit{answers("preflight", "0", "error: spire/bootstrap.sh has the line endings of Windows, which")}, "bootstrap.sh"},
	{"LAB014", "another folder", []edit{answers("preflight", "0", "error: spiffe-lab is in use: its containers were started from ~/other")}, "other"},
	{"LAB014", "another container", []edit{answers("preflight", "0", "error: spiffe-lab is in use: the container spiffe-lab-client-1 exists and was not created by this lab")}, "spiffe-lab-client-1"},
	{"LAB015", "no name", []edit{answers("preflight", "0", `error: COMPOSE_PROJECT_NAME is "My Lab", which is not a valid name of a Compose project`)}, "My Lab"},
	{"LAB016", "no compose", []edit{gone("client"), said("error: docker compose could not be built")}, "compose"},
	{"LAB021", "no compiler", []edit{gone("client"), said("error: the C compiler gcc was not found; spire-server's SQLite needs one")}, "gcc"},
	{"LAB022", "no build", []edit{gone("client"), said("error: the lab's images could not be built with golang:1.26-alpine")}, "golang"},
	{"LAB023", "no pull", []edit{gone("client"), said("error: ghcr.io/spiffe/spire-server:1.15.3 cannot be pulled: toomanyrequests")}, "toomanyrequests"},
	{"LAB024", "no images", []edit{answers("containers", "0"), answers("images", "0")}, "spiffe-lab/workload:local"},
	{"LAB025", "a network of this name", []edit{answers("containers", "0"), said("network spiffe-lab_default was found but has incorrect label", "error: the lab did not start")}, "incorrect label"},
	{"LAB026", "no YAML", []edit{gone("client"), said("error: Compose cannot read compose.yaml: yaml: line 147: found character that cannot start any token")}, "line 147"},
	{"LAB031", "down", []edit{answers("containers", "0")}, "spiffe-lab"},
	{"LAB032", "cut off", []edit{in("host", "cut-off ", "cut-off rotation")}, "rotation"},
	{"LAB033", "paused", []edit{of("server", `"status":"running"`, `"status":"paused"`)}, "spiffe-lab-server-1"},
	{"LAB034", "memory", []edit{ends("client", "exited", 137), of("client", `"outOfMemory":false`, `"outOfMemory":true`)}, "client"},
	{"LAB035", "no host", []edit{ends("node", "exited", 137), ends("client", "exited", 128), of("client", `"error":""`, `"error":"container x is not running"`)}, "137"},
	{"LAB036", "cannot start", []edit{ends("client", "created", 128), of("client", `"error":""`, `"error":"cannot join PID of a non running container"`)}, "non running"},
	{"LAB037", "agent beside the host", []edit{of("spire-agent", `"pidMode":"container:`, `"pidMode":"","was":"`)}, "of its own"},
	{"LAB037", "agent of the machine", []edit{of("spire-agent", `"pidMode":"container:`, `"pidMode":"host","was":"`)}, "host"},
	{"LAB041", "SPIRE server stopped", []edit{ends("spire-server", "exited", 0)}, "exit status 0"},
	{"LAB041", "SPIRE server removed", []edit{gone("spire-server")}, "no such container"},
	{"LAB042", "SPIRE server crashes", []edit{ends("spire-server", "restarting", 1), logs("spire-server", `time="x" level=error msg="Server crashed" error="unknown configurations detected"`)}, "unknown configurations"},
	{"LAB043", "SPIRE server is deaf", []edit{answers("entries", "1", "Error: rpc error: code = Unavailable")}, "Unavailable"},
	{"LAB044", "bootstrap fails", []edit{of("bootstrap", `"exitStatus":0`, `"exitStatus":1`), logs("bootstrap", "bootstrap: 'spire-server x509 mint' failed with exit status 1")}, "x509 mint"},
	{"LAB045", "new data", []edit{answers("agents", "0", `{"agents":[]}`), answers("entries", "0", `{"entries":[]}`), answers("file-bundle.pem", "0", strings.Split(otherPEM, "\n")...)}, "0 entries"},
	{"LAB045", "another disk", []edit{answers("agents", "0", `{"agents":[]}`), answers("entries", "0", `{"entries":[]}`), answers("file-bundle.pem", "0", strings.Split(otherPEM, "\n")...),
		of("spire-server", "spiffe-lab_spire-server-data", "spiffe-lab_spire-server-empty-disk")}, "on /var/lib/spire/server it has spiffe-lab_spire-server-empty-disk"},
	{"LAB046", "no bootstrap", []edit{gone("bootstrap"), answers("agents", "0", `{"agents":[]}`), answers("entries", "0", `{"entries":[]}`)}, "no entry at all"},
	{"LAB051", "agent stopped", []edit{ends("spire-agent", "exited", 0)}, "exit status 0"},
	{"LAB052", "banned", []edit{in("agents", `"banned":false`, `"banned":true`), ends("spire-agent", "restarting", 1)}, "banned"},
	{"LAB053", "no key", []edit{in("credential", "host-credential/key.pem", "host-credential/key.old"), ends("spire-agent", "restarting", 1)}, "key.pem"},
	{"LAB053", "no folder", []edit{answers("credential", "1", "Error: No such container:path: x:/run/host-credential")}, "No such container:path"},
	{"LAB054", "another CA", []edit{answers("file-bundle.pem", "0", strings.Split(otherPEM, "\n")...)}, "bundle.pem"},
	{"LAB055", "another port", []edit{in("file-agent.conf", `"8081"`, `"8082"`)}, "8082"},
	{"LAB055", "another name", []edit{in("file-agent.conf", `"spire-server"`, `"spire"`)}, "server_address"},
	{"LAB056", "no network", []edit{of("spire-agent", `"spiffe-lab_default"`, `"spiffe-lab_other"`)}, "spiffe-lab_other"},
	{"LAB057", "no ptrace", []edit{of("spire-agent", `["CAP_SYS_PTRACE"]`, `null`)}, "capabilities"},
	{"LAB058", "agent crashes", []edit{ends("spire-agent", "restarting", 1), logs("spire-agent", `level=error msg="Agent crashed" error="failed to get SVID: rpc error"`)}, "failed to get SVID"},
	{"LAB058", "agent unknown", []edit{answers("agents", "0", `{"agents":[]}`)}, "knows no agent"},
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
		in("observer-client-workload", `"svids":[`, `"svids":[{"id":"spiffe://example.org/other","notBefore":"2026-11-25T19:31:44Z","notAfter":"2026-11-25T20:31:54Z"},`)}, "spiffe://example.org/other"},
	{"LAB069", "not delivered", []edit{denied("client-workload"), in("host", "patience 2.4", "patience 10")}, "no identity issued"},
	{"LAB071", "expired", []edit{unwell("server-workload", "the X.509-SVID expired at 2026-11-25T19:00:00Z")}, "expired"},
	{"LAB072", "short-lived", []edit{in("entries", `"x509_svid_ttl":0`, `"x509_svid_ttl":5`)}, "5s"},
	{"LAB072", "short-lived by default", []edit{in("file-server.conf", `default_x509_svid_ttl = "1h"`, `default_x509_svid_ttl = "6s"`)}, "6s"},
	{"LAB072", "short-lived, and expired", []edit{in("entries", `"x509_svid_ttl":0`, `"x509_svid_ttl":2`), unwell("client-workload", "x509: certificate has expired"), failing("remote error: tls: bad certificate")}, "2s"},
	{"LAB073", "two clocks", []edit{in("host", "time 2026-11-25T19:", "time 2026-11-25T17:")}, "for the engine"},
	{"LAB081", "an old bundle", []edit{in("observer-server-workload", `"key":"2b12f50858186e6fff3bf716f36c5466739bcef3"`, `"key":"`+anotherCA+`"`)}, "0123456789ab"},
	{"LAB082", "a server of another CA", []edit{in("observer-client-workload", served, `"refused":"x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority"`)}, "unknown authority"},
	{"LAB083", "a client of another CA", []edit{failing(`Get "https://server:8443/": remote error: tls: bad certificate`),
		logs("server", "http: TLS handshake error from 172.18.0.4:1234: x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority")}, "unknown authority"},
	{"LAB084", "not federated", []edit{in("entries", `"federates_with":[]`, `"federates_with":["partner.test"]`)}, "partner.test"},
	{"LAB084", "not federated any more", []edit{failing("remote error: tls: bad certificate"),
		logs("server", `http: TLS handshake error from 172.18.0.9:1: x509svid: could not get X509 bundle: x509bundle: no X.509 bundle found for trust domain: "partner.test"`)}, "partner.test"},
	{"LAB084", "the partner is here, and its bundle is not", []edit{withPartner}, "has no bundle of it"},
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
	{"LAB102", "no such name", []edit{in("observer-client-workload", `"addresses":["172.18.0.3"]`, `"lookupError":"lookup server: no such host"`)}, "no such host"},
	{"LAB103", "somebody has its name", []edit{of("bootstrap", `"status":"exited"`, `"status":"running"`),
		of("bootstrap", `"none":{"address":"","aliases":null}`, `"spiffe-lab_default":{"address":"172.18.0.9","aliases":["server"]}`)}, "bootstrap"},
	{"LAB103", "a service of the lab has its name", []edit{of("spire-server", `"aliases":[`, `"aliases":["server",`)}, "--force-recreate spire-server"},
	{"LAB103", "another address", []edit{in("observer-client-workload", `"addresses":["172.18.0.3"]`, `"addresses":["172.18.0.77"]`)}, "172.18.0.77"},
	{"LAB104", "nobody listens", []edit{failing("dial tcp 172.18.0.3:8443: connect: connection refused")}, "refused"},
	{"LAB104", "the server listens elsewhere", []edit{of("server", `"-health"`, `"-listen",":9443","-health"`), unwell("client-workload", `Error connecting to "https://server:8443/"`),
		failing("dial tcp 172.18.0.3:8443: connect: connection refused")}, "-listen :9443"},
	{"LAB105", "no TLS", []edit{failing("tls: first record does not look like a TLS handshake")}, "first record"},
	{"LAB106", "refused", []edit{failing(`Get "https://server:8443/": remote error: tls: bad certificate`),
		logs("server", "http: TLS handshake error from 172.18.0.4:2: x509svid: certificate contains no URI SAN")}, "no URI SAN"},
	{"LAB107", "somebody else", []edit{in("observer-client-workload", `"peer":{"id":"spiffe://example.org/server"`, `"peer":{"id":"spiffe://example.org/other"`)}, "spiffe://example.org/other"},
	{"LAB043", "a SPIRE server that hangs", []edit{in("host", "patience 2.4", "patience 2.4\n  machine calm"), answers("entries", "no answer within 2.4 s")}, "no answer"},
	{"LAB108", "a server that hangs", []edit{in("host", "patience 2.4", "patience 2.4\n  machine calm"), failing("context deadline exceeded")}, "2.4s"},
	{"LAB109", "a client that hangs", []edit{in("host", "patience 2.4", "patience 2.4\n  machine calm"), unwell("client-workload", "context deadline exceeded")}, "deadline"},
	{"LAB108", "no answer", []edit{in("host", "patience 2.4", "patience 10"), failing("context deadline exceeded")}, "10s"},
	{"LAB109", "not well", []edit{in("host", "patience 2.4", "patience 10"), unwell("client-workload", "EOF")}, "EOF"},
	{"LAB109", "another answer", []edit{in("observer-client-workload", served, `"status":200,"body":"hello"`)}, "hello"},
	{"LAB111", "every user that runs the program", []edit{in("entries", clientEntry, `"selectors":[{"type":"unix","value":"path:/opt/spiffe-lab/bin/client"}]`)}, "path:/opt"},
	{"LAB111", "one more entry", []edit{extra(entryFor("guest", "/client", "/host", "uid:1113", ""))}, "unix:uid:1113"},
	{"LAB112", "two identities", []edit{extra(entryFor("a", "/other", "/host", "uid:1111", ""))}, "spiffe://example.org/other"},
	{"LAB113", "the whole trust domain", []edit{in("observer-server-workload", refusedByIt, served)}, "served spiffe://example.org/server"},
	{"LAB114", "no certificate", []edit{in("observer-server-workload", noOne, served)}, "without a certificate"},
	{"LAB115", "tickets", []edit{in("observer-client-workload", served, served+`,"tickets":2`)}, "2 session tickets"},
	{"LAB116", "an admin", []edit{in("entries", `"admin":false`, `"admin":true`)}, "admin true"},
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
			v := judge(read(t, c.edits...), false)
			if v.Finding == nil {
				t.Fatalf("no finding, want %s: %s", c.code, v.text())
			}
			if v.Finding.Code != c.code || !strings.Contains(v.text(), c.seen) {
				t.Errorf("got\n%swant %s with %q", v.text(), c.code, c.seen)
			}
			if lines := strings.Split(strings.TrimSpace(v.text()), "\n"); len(lines) != 5 {
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

// What is well, or is on its way, must not be called ill.
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
		{"a failed start of before", []edit{said("all predefined address pools have been fully subnetted")}},
		{"a refusal that is over", []edit{logs("server", `http: TLS handshake error from 172.18.0.9:1: unexpected ID "spiffe://example.org/client"`)}},
		{"another project on the machine", []edit{in("containers", `"project":"spiffe-lab","oneoff":"False","image":"spiffe-lab/bootstrap`, `"project":"other","oneoff":"False","image":"spiffe-lab/bootstrap`)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if v := judge(read(t, test.edits...), false); v.status() != well || strings.Count(v.text(), "\n") != 1 {
				t.Errorf("status %d: %s", v.status(), v.text())
			}
		})
	}
}

// Without an answer there is neither a finding nor health.
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
			if v := judge(read(t, test.edits...), false); v.status() != cannotTell || !strings.Contains(v.text(), test.names) {
				t.Errorf("status %d: %s", v.status(), v.text())
			}
		})
	}
}

// A report that was cut off, wherever, says less, and nothing wrong.
func TestCutOff(t *testing.T) {
	for i := range healthy {
		if healthy[i] != '\n' && i%97 != 0 {
			continue
		}
		f, err := facts.Read(strings.NewReader(healthy[:i]))
		if err != nil {
			continue
		}
		if v := judge(f, true); v.status() == found || v.status() == well && i < len(healthy)-2 && !strings.Contains(healthy[:i], "## section: log-") {
			t.Fatalf("cut off after %q: %s", healthy[max(0, i-60):i], v.text())
		}
	}
}

func TestList(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range cases {
		tested[c.code] = true
	}
	last := ""
	for _, c := range checks {
		if !regexp.MustCompile(`^LAB[0-9]{3}$`).MatchString(c.code) || c.code <= last {
			t.Errorf("the code %s is none, or not in order", c.code)
		}
		last = c.code
		if !tested[c.code] {
			t.Errorf("%s has no test", c.code)
		}
		if strings.Contains(c.sees+c.means+c.do, "|") || c.sees == "" || c.means == "" || c.do == "" {
			t.Errorf("%s does not fit into a table", c.code)
		}
		file, _, _ := strings.Cut(c.lesson, "#")
		if _, err := os.Stat(filepath.Join("..", "..", "..", file)); err != nil {
			t.Errorf("%s: %v", c.code, err)
		}
	}
}

// What the lab's commands say of a machine is recognized by their words: they must say them still.
func TestWordsAreSaid(t *testing.T) {
	said := ""
	for _, pattern := range []string{"../engine/*.go", "../launch/*.go", "../../../scripts/dev/images.sh"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			said += string(text)
		}
	}
	// Those are the engine's words, and the name of an image comes from a variable.
	others := []string{"no space left on device", "all predefined address pools have been fully subnetted", "there is no image spiffe-lab/"}
	words := regexp.MustCompile("`([^`]+)`")
	for _, c := range machineChecks {
		for _, m := range words.FindAllStringSubmatch(c.sees, -1) {
			if !slices.Contains(others, m[1]) && !strings.Contains(said, strings.TrimSuffix(strings.TrimPrefix(m[1], "or newer "), ", and")) {
				t.Errorf("%s: neither the program nor a script says %q", c.code, m[1])
			}
		}
	}
}

func TestREADMEHasTheTable(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if status, err := run([]string{"-table"}, nil, &table); status != well || err != nil {
		t.Fatal(status, err)
	}
	if !strings.Contains(string(readme), "\n"+table.String()) {
		t.Error("README.md does not have what scripts/lab part doctor -table prints")
	}
}

func TestRun(t *testing.T) {
	report := func(changes ...edit) string {
		text := healthy
		for _, change := range changes {
			text = change(t, text)
		}
		return text
	}
	for _, test := range []struct {
		name, args, in string
		status         int
		out, err       string
	}{
		{"well", "", report(), well, "all is well", ""},
		{"found", "", report(gone("spire-agent")), found, "LAB051: the agent is stopped\n", ""},
		{"cannot tell", "", report(answers("agents", "no answer within 2.4 s")), cannotTell, "cannot tell", ""},
		{"a second look is to come", "", report(answers("entries", "no answer within 2.4 s"), failing("remote error: tls: bad certificate")), cannotTell, "cannot tell", ""},
		{"what needs no second look", "", report(answers("agents", "no answer within 2.4 s"), gone("spire-server")), found, "LAB041", ""},
		{"no second look", "-final", report(answers("entries", "no answer within 2.4 s"), failing("remote error: tls: bad certificate")), found, "  but:      there is no answer to entries (no answer", ""},
		{"JSON", "-o json", report(gone("spire-agent")), found, `"code":"LAB051"`, ""},
		{"JSON, well", "-o json", report(), well, `{"well":"all is well`, ""},
		{"another format", "-o yaml", "", usage, "", "want text or json"},
		{"an argument", "report.txt", "", usage, "", "unexpected argument"},
		{"no report", "", "hello", usage, "", "no report of the lab"},
		{"nothing", "", "", usage, "", "no report of the lab"},
		{"another version", "", report(in("host", "report 1", "report 2")), usage, "", `version "2"`},
		{"Windows", "", strings.ReplaceAll(report(gone("spire-agent")), "\n", "\r\n"), found, "LAB051", ""},
		{"half a report", "", report()[:len(healthy)/3], cannotTell, "not in the report", ""},
		{"a terminal is not steered", "", report(in("host", "cut-off ", "cut-off \x1b[31mred\u202e")), found, " [31mred", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			status, err := run(strings.Fields(test.args), strings.NewReader(test.in), &out)
			if status != test.status || !strings.Contains(out.String(), test.out) || strings.ContainsAny(out.String(), "\x1b\u202e") {
				t.Errorf("status %d, %q, want %d, %q", status, out.String(), test.status, test.out)
			}
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}
