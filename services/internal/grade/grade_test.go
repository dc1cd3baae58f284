package grade

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report/reporttest"
)

const trials = `## section: trial-running
status: 0
## section: trial-client
status: 0
  Success!!!
## section: trial-bad-id
status: 4
  Error connecting to "https://server:8443/": Get "https://server:8443/": remote error: tls: bad certificate
## section: trial-impostor
status: 4
  Error connecting to "https://server:8443/": Get "https://server:8443/": unexpected ID "spiffe://example.org/server"
## section: trial-root
status: 0
  {"user":"root","svids":null}
## section: trial-server-log
status: 0
  Request received from "spiffe://example.org/client": GET "/"
  http: TLS handshake error from 172.21.0.4:1: unexpected ID "spiffe://example.org/server"
`

// healthy returns the doctor's report of a healthy lab, with the results of the test requests.
func healthy(t *testing.T) string {
	t.Helper()
	return reporttest.HealthyText(t) + "\n" + trials
}

// trialsOf reads the results of the test requests from a report in the form of [trials].
func trialsOf(t *testing.T, f *facts.Facts) Trials {
	t.Helper()
	trial := func(name string) Trial {
		s := f.Section("trial-" + name)
		status, err := strconv.Atoi(s.Status)
		return Trial{err == nil, status, strings.Join(s.Lines, "\n")}
	}
	all := Trials{Running: trial("running"), Client: trial("client"), BadID: trial("bad-id"), Impostor: trial("impostor"), ServerLog: trial("server-log").Text}
	if err := json.Unmarshal([]byte(trial("root").Text), &all.Root); err != nil {
		t.Fatal(err)
	}
	return all
}

type edit struct{ section, old, new string }

// edited replaces the first occurrence of each old text in its section. The section must have this text.
func edited(t *testing.T, report string, edits []edit) string {
	t.Helper()
	for _, e := range edits {
		head := "## section: " + e.section + "\n"
		start := strings.Index(report, head)
		if start < 0 {
			t.Fatalf("there is no section %s", e.section)
		}
		end := strings.Index(report[start+len(head):], "## section: ")
		if end < 0 {
			end = len(report)
		} else {
			end += start + len(head)
		}
		body := report[start:end]
		if !strings.Contains(body, e.old) {
			t.Fatalf("the section %s has no %q", e.section, e.old)
		}
		report = report[:start] + strings.Replace(body, e.old, e.new, 1) + report[end:]
	}
	return report
}

// service returns an edit of the engine's description of one container.
func service(t *testing.T, report, name, old, new string) edit {
	t.Helper()
	line := regexp.MustCompile(`(?m)^  \{"id".*"service":"` + name + `".*$`).FindString(report)
	if !strings.Contains(line, old) {
		t.Fatalf("the container of %s has no %q", name, old)
	}
	return edit{"containers", line, strings.Replace(line, old, new, 1)}
}

const clientEntry = `"selectors":[{"type":"unix","value":"user:client-workload"}],"spiffe_id":{"path":"/client"`

func another(path, selector, flags string) edit {
	return edit{"entries", `{"entries":[`, `{"entries":[{"admin":false,"downstream":false,"federates_with":[],"id":"x","parent_id":{"path":"/host","trust_domain":"example.org"},` +
		`"selectors":[{"type":"unix","value":"` + selector + `"}],"spiffe_id":{"path":"` + path + `","trust_domain":"example.org"},"x509_svid_ttl":0` + flags + `},`}
}

func TestJudge(t *testing.T) {
	const (
		still   = "the client is served and everyone else is refused, but "
		differs = " still differs from before the fault"
		wider   = "an entry for spiffe://example.org/client lacks a selector that the entry had before the fault: it has the selectors "
	)
	well := healthy(t)
	notServed := []edit{
		{"trial-client", "status: 0\n  Success!!!", "status: 3\n  client: no identity after 5s"},
		{"trial-running", "status: 0", "status: 1\n  unhealthy"},
		{"trial-server-log", "  Request received from \"spiffe://example.org/client\": GET \"/\"\n", ""},
	}
	deleted := append(slices.Clone(notServed), edit{"entries", clientEntry, `"selectors":[],"spiffe_id":{"path":"/gone"`})
	for _, c := range []struct {
		name        string
		broken, now []edit
		lost        bool
		want        []string // the whole verdict
	}{
		{"fixed", deleted, nil, false, nil},
		{"unsolved", deleted, deleted, false, []string{"the client is not served; the last line that the program client printed: client: no identity after 5s"}},
		{"the running client alone", deleted, []edit{{"trial-client", "status: 0\n  Success!!!", "status: 3\n  client: no identity"}}, false,
			[]string{"the running client is served, but a client that starts now is not; the last line that the program client printed: client: no identity"}},
		{"a new client alone", deleted, []edit{{"trial-running", "status: 0", "status: 1\n  connection refused"}}, false,
			[]string{"a client that starts now is served, but the running client is not; its health check reports: connection refused"}},
		{"by somebody else", deleted, []edit{{"trial-server-log", "Request received from \"spiffe://example.org/client\": GET \"/\"", "serving"}}, false,
			[]string{"the client gets an answer, but the log of the container server does not show the request"}},
		{"as somebody else", deleted, []edit{{"trial-server-log", "spiffe://example.org/client", "spiffe://example.org/night"}}, false,
			[]string{"the client is served, but with the wrong SPIFFE ID: spiffe://example.org/night"}},
		{"any client", deleted, []edit{{"trial-bad-id", "status: 4\n  Error", "status: 0\n  Success!!! Error"}}, false,
			[]string{"the client is served, but the server also serves every other workload of the trust domain (the test request of server-workload was served)"}},
		{"any client but the client", deleted, []edit{notServed[0], notServed[1], {"trial-bad-id", "status: 4\n  Error", "status: 0\n  Success!!! Error"}}, false,
			[]string{"the client is not served; the last line that the program client printed: client: no identity after 5s",
				"the client is not served, but the server serves every other workload of the trust domain (the test request of server-workload was served)"}},
		{"refused for another reason", deleted, []edit{{"trial-bad-id", "remote error: tls: bad certificate", "connection refused"}}, false,
			[]string{`the client is served, but a request with the SVID of server-workload did not end with the refusal "bad certificate"; the last line that the program client printed: Error connecting to "https://server:8443/": Get "https://server:8443/": connection refused`}},
		{"any server", deleted, []edit{{"trial-impostor", "status: 4\n  Error", "status: 0\n  Success!!! Error"}}, false,
			[]string{"the client is served, but it accepts a server with any SPIFFE ID"}},
		{"root is the client", deleted, []edit{{"trial-root", `"svids":null`, `"svids":[{"id":"spiffe://example.org/client"}]`}}, false,
			[]string{"the client is served, but root gets the client's SVID too"}},
		{"the guest is the client", deleted, []edit{{"observer-guest-workload", `"svids":null`, `"svids":[{"id":"spiffe://example.org/client"}]`}}, false,
			[]string{"the client is served, but guest-workload gets the client's SVID too"}},
		{"an entry more", deleted, []edit{another("/other", "user:client-workload", "")}, false,
			[]string{"there is a registration entry for a SPIFFE ID that had none before the fault: spiffe://example.org/other"}},
		{"a broader entry", deleted, []edit{another("/client", "gid:1112", "")}, false,
			[]string{wider + "unix:gid:1112"}},
		{"a narrower entry", deleted, []edit{{"entries", clientEntry, `"selectors":[{"type":"unix","value":"user:client-workload"},{"type":"unix","value":"path:/opt/spiffe-lab/bin/client"}],"spiffe_id":{"path":"/client"`}}, false, nil},
		{"another pin for nobody's program", deleted, []edit{{"entries", clientEntry, `"selectors":[{"type":"unix","value":"sha256:aa"}],"spiffe_id":{"path":"/client"`}}, false,
			[]string{wider + "unix:sha256:aa"}},
		{"an entry that may do more", deleted, []edit{{"entries", `{"entries":[{"admin":false`, `{"entries":[{"admin":true`}}, false,
			[]string{"a registration entry for spiffe://example.org/client has a different admin flag (-admin): set; before the fault it was not set"}},
		{"as root", deleted, []edit{service(t, well, "client", `"user":"client-workload"`, `"user":"0:0"`)}, false,
			[]string{"the container client runs as root, not as client-workload"}},
		{"privileged", deleted, []edit{service(t, well, "spire-agent", `"privileged":false`, `"privileged":true`)}, false,
			[]string{"the container spire-agent has more privileges than before the fault: privileged"}},
		{"a capability", deleted, []edit{service(t, well, "client", `"capAdd":null`, `"capAdd":["CAP_SYS_PTRACE"]`)}, false,
			[]string{"the container client has more privileges than before the fault: cap_add CAP_SYS_PTRACE"}},
		{"the machine's processes", deleted, []edit{service(t, well, "spire-agent", `"pidMode":"container:`, `"pidMode":"host","was":"`)}, false,
			[]string{"the container spire-agent sees every process of the machine"}},
		{"another stop time", deleted, []edit{service(t, well, "client", `"health":`, `"stopTimeout":1,"health":`)}, false,
			[]string{"the container client has a different stop_grace_period: 1 s; before the fault it was 0 s"}},
		{"its own processes", deleted, []edit{service(t, well, "spire-agent", `"pidMode":"container:`, `"pidMode":"","was":"`)}, false,
			[]string{"the container spire-agent is not in the PID namespace in which it was before the fault"}},
		{"a volume that can be written", deleted, []edit{service(t, well, "client", `"writable":false`, `"writable":true`)}, false,
			[]string{"the container client has something different mounted at /tmp/spire-agent/public: volume spiffe-lab_workload-api, writable; before the fault it was volume spiffe-lab_workload-api, read-only"}},
		{"not running", deleted, []edit{service(t, well, "spire-agent", `"status":"running"`, `"status":"exited"`)}, false,
			[]string{"the container spire-agent is not running"}},
		{"another server's ID", deleted, []edit{service(t, well, "client", `"command":["client"`, `"command":["client","-server-id","spiffe://example.org/other"`)}, false,
			[]string{"the client accepts the server SPIFFE ID spiffe://example.org/other instead of spiffe://example.org/server"}},
		{"another configuration", deleted, []edit{{"file-agent.conf", "trust_bundle_path", "insecure_bootstrap=true #"}}, false,
			[]string{`the agent's configuration (agent.conf) has a line that it did not have before the fault: insecure_bootstrap = true # = "/run/host-credential/bundle.pem"`,
				`the agent's configuration (agent.conf) lacks a line that it had before the fault: trust_bundle_path = "/run/host-credential/bundle.pem"`}},
		{"a louder log", deleted, []edit{{"file-agent.conf", `log_level      = "INFO"`, `log_level = "DEBUG"`}}, false, nil},
		{"a silenced log", deleted, []edit{{"file-agent.conf", `log_level      = "INFO"`, `log_level = "ERROR"`}}, false,
			[]string{`the agent's configuration (agent.conf) has a line that it did not have before the fault: log_level = "ERROR"`}},
		{"a program that believes more", deleted, []edit{{"observer-client-workload", `"bundles":[`, `"bundles":[{"trustDomain":"partner.test","authorities":null},`}}, false,
			[]string{"client-workload can now also verify SVIDs of partner.test; before the fault it could not"}},
		{"a program that cannot verify its peer", deleted, []edit{{"observer-server-workload", `"trustDomain":"example.org"`, `"trustDomain":"elsewhere.org"`}}, false,
			[]string{"server-workload can no longer verify SVIDs of example.org", "server-workload can now also verify SVIDs of elsewhere.org; before the fault it could not"}},
		{"a name that leads elsewhere too", deleted, []edit{{"trial-root", `"svids":null`, `"svids":null,"addresses":["10.1.2.3"]`}}, false,
			[]string{`the name "server" resolves to 10.1.2.3, which is not an address of the container "server"`}},
		{"another trust domain", deleted, []edit{{"bundles", `"bundles":[`, `"bundles":[{"trust_domain":"partner.test"}`}}, false,
			[]string{"the SPIRE server has a trust bundle of partner.test; before the fault it had none"}},
		{"banned", deleted, []edit{{"agents", `"banned":false`, `"banned":true`}}, false,
			[]string{"an agent is banned: spiffe://example.org/spire/agent/x509pop/host"}},
		{"the cause is not told", []edit{another("/other", "user:client-workload", "")}, []edit{another("/other", "user:client-workload", "")}, false,
			[]string{still + "at least one registration entry" + differs}},
		{"what the fault changed, changed in another way", []edit{another("/other", "user:client-workload", "")}, []edit{another("/other", "gid:1112", "")}, false,
			[]string{"there is a registration entry for a SPIFFE ID that had none before the fault: spiffe://example.org/other"}},
		{"other files than those of the fault", []edit{service(t, well, "client", `"writable":false`, `"writable":true`)},
			[]edit{service(t, well, "client", `"type":"volume","name":"`, `"type":"volume","name":"other-`)}, false,
			[]string{"the container client has something different mounted at /tmp/spire-agent/public: volume other-spiffe-lab_workload-api, read-only; before the fault it was volume spiffe-lab_workload-api, read-only"}},
		{"what is lost is told once the rest is right", []edit{{"agents", `"banned":false`, `"banned":true`}}, []edit{{"agents", `"banned":false`, `"banned":true`}}, false,
			[]string{"an agent is banned: spiffe://example.org/spire/agent/x509pop/host"}},
		{"tickets", deleted, []edit{{"observer-client-workload", `"status":200`, `"tickets":1,"status":200`}}, false,
			[]string{"the client is served, but the server issues session tickets, so a resumed connection skips certificate verification"}},
		{"tickets of somebody else", deleted, []edit{{"observer-client-workload", `"status":200`, `"tickets":1,"status":200`}, {"observer-client-workload", `"peer":{"id":"spiffe://example.org/server"`, `"peer":{"id":"spiffe://example.org/spire/server"`}}, false, nil},
		{"tickets that cannot be seen", []edit{{"observer-client-workload", `"status":200`, `"tickets":1,"status":200`}}, []edit{{"observer-client-workload", `"status":200`, `"other":200`}}, false,
			[]string{"the grader cannot check whether the server issues session tickets, because the server answered no test request of client-workload"}},
		{"no answer", deleted, []edit{{"entries", "status: 0", "status: no answer within 10 s"}}, false, []string{"cannot tell", "entries"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := reporttest.Parse(t, edited(t, well, c.now))
			got := Judge(Snapshots{reporttest.Parse(t, well), reporttest.Parse(t, edited(t, well, c.broken)), now, trialsOf(t, now)}, c.lost)
			said := got.Wrong
			if len(got.Unknown) > 0 {
				said = append([]string{"cannot tell"}, got.Unknown...)
			}
			if got.Fixed() != (len(said) == 0) {
				t.Errorf("fixed is %t", got.Fixed())
			}
			if !slices.Equal(said, c.want) {
				t.Errorf("it says\n  %s\nnot\n  %s", strings.Join(said, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
	}
}

// TestSentences: the sentence for each kind of difference must not be too long, and must have no open placeholder. The hint about a change
// that the fault itself made must not contain the new value.
func TestSentences(t *testing.T) {
	for kind := NothingRuns; kind <= AgentNew; kind++ {
		d := Difference{kind, "first rest", "before", "now"}
		if kind == SettingNew || kind == SettingGone {
			d.Subject = "passwd"
		}
		texts := []string{d.String()}
		if kinds[kind].part != "" {
			texts = append(texts, d.hint())
			if hint := d.hint(); strings.Contains(hint, "now") {
				t.Errorf("kind %d tells what has been changed: %q", kind, hint)
			}
		} else if kind >= ServerServes && !kind.lost() {
			t.Errorf("kind %d can be a change of the fault's own, and has no part", kind)
		}
		for _, text := range texts {
			if text == "" || strings.ContainsAny(text, "{}") || strings.HasPrefix(text, "difference ") {
				t.Errorf("kind %d: %q", kind, text)
			}
			if words := len(strings.Fields(text)); words > 30 {
				t.Errorf("kind %d has %d words: %q", kind, words, text)
			}
		}
	}
}

func TestLostData(t *testing.T) {
	well := healthy(t)
	ca := regexp.MustCompile(`"asn1":"([^"]*)"`).FindStringSubmatch(well)[1]
	gone := edited(t, well, []edit{{"bundle", ca, ""}})
	for _, c := range []struct {
		name, broken string
		lost         bool
		want         string
	}{
		{"a learner has lost it", well, false, "the SPIRE server has lost its data (its CA from before the fault is gone)"},
		{"a learner has lost it, and the fault something else", well, true, "the SPIRE server has lost its data (its CA from before the fault is gone)"},
		{"the fault itself has lost it", gone, true, ""},
	} {
		now := reporttest.Parse(t, gone)
		if got := strings.Join(Judge(Snapshots{reporttest.Parse(t, well), reporttest.Parse(t, c.broken), now, trialsOf(t, now)}, c.lost).Wrong, "\n"); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

func TestPinnedProgram(t *testing.T) {
	c := &comparison{Snapshots: Snapshots{Before: &facts.Facts{}, Now: &facts.Facts{Observations: map[string]*observation.Observation{
		"client-workload": {Programs: map[string]string{"/opt/spiffe-lab/bin/client": "new", "/opt/spiffe-lab/bin/server": "server"}},
	}}}}
	before := []string{"unix:user:client-workload", "unix:sha256:old"}
	for _, tt := range []struct {
		now  []string
		want bool
	}{
		{before, true},
		{[]string{"unix:user:client-workload", "unix:sha256:new"}, true},
		{[]string{"unix:user:client-workload", "unix:sha256:server"}, false},
		{[]string{"unix:user:client-workload"}, false},
		{[]string{"unix:sha256:new"}, false},
		{[]string{"unix:user:client-workload", "unix:sha256:old", "unix:gid:1112"}, true},
	} {
		if got := c.asksForAll(before, tt.now); got != tt.want {
			t.Errorf("%v: %v, not %v", tt.now, got, tt.want)
		}
	}
}
