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

// trials are the tries in a lab that is well.
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

// healthy is the doctor's report of a lab that is well, with the trials.
func healthy(t *testing.T) string {
	t.Helper()
	return reporttest.HealthyText(t) + "\n" + trials
}

// trialsOf returns the trials in the text that [trials] is a sample of.
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

// edited replaces the first OLD in each section; it must be there.
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

// service is an edit of what the engine says of one container.
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
		{"mended", deleted, nil, false, nil},
		{"unsolved", deleted, deleted, false, []string{"the client is not served; it says: client: no identity after 5s"}},
		{"the running client alone", deleted, []edit{{"trial-client", "status: 0\n  Success!!!", "status: 3\n  client: no identity"}}, false,
			[]string{"the client that runs is served still, but one that starts now is not; it says: client: no identity"}},
		{"a new client alone", deleted, []edit{{"trial-running", "status: 0", "status: 1\n  connection refused"}}, false,
			[]string{"a client that starts now is served, but the one that runs is not; it says: connection refused"}},
		{"by somebody else", deleted, []edit{{"trial-server-log", "Request received from \"spiffe://example.org/client\": GET \"/\"", "serving"}}, false,
			[]string{"the client is served, but not by the lab's server"}},
		{"as somebody else", deleted, []edit{{"trial-server-log", "spiffe://example.org/client", "spiffe://example.org/night"}}, false,
			[]string{"the client is served, but under another name than its own: spiffe://example.org/night"}},
		{"any client", deleted, []edit{{"trial-bad-id", "status: 4\n  Error", "status: 0\n  Success!!! Error"}}, false,
			[]string{"the client is served, but so is everybody else of the trust domain: server-workload is served as well"}},
		{"refused for another reason", deleted, []edit{{"trial-bad-id", "remote error: tls: bad certificate", "connection refused"}}, false,
			[]string{`the client is served, but server-workload, which must be refused as spiffe://example.org/server, is not; it says: Error connecting to "https://server:8443/": Get "https://server:8443/": connection refused`}},
		{"any server", deleted, []edit{{"trial-impostor", "status: 4\n  Error", "status: 0\n  Success!!! Error"}}, false,
			[]string{"the client is served, but takes an answer from any server"}},
		{"root is the client", deleted, []edit{{"trial-root", `"svids":null`, `"svids":[{"id":"spiffe://example.org/client"}]`}}, false,
			[]string{"the client is served, but so is everybody else: root gets the client's identity"}},
		{"the guest is the client", deleted, []edit{{"observer-guest-workload", `"svids":null`, `"svids":[{"id":"spiffe://example.org/client"}]`}}, false,
			[]string{"the client is served, but so is everybody else: guest-workload gets the client's identity"}},
		{"an entry more", deleted, []edit{another("/other", "user:client-workload", "")}, false,
			[]string{"there is an entry for an identity that there was not: spiffe://example.org/other"}},
		{"a broader entry", deleted, []edit{another("/client", "gid:1112", "")}, false,
			[]string{"more can be spiffe://example.org/client than before: an entry for it asks for less, or for something else"}},
		{"a narrower entry", deleted, []edit{{"entries", clientEntry, `"selectors":[{"type":"unix","value":"user:client-workload"},{"type":"unix","value":"path:/opt/spiffe-lab/bin/client"}],"spiffe_id":{"path":"/client"`}}, false, nil},
		{"another pin for nobody's program", deleted, []edit{{"entries", clientEntry, `"selectors":[{"type":"unix","value":"sha256:aa"}],"spiffe_id":{"path":"/client"`}}, false,
			[]string{"more can be spiffe://example.org/client than before: an entry for it asks for less, or for something else"}},
		{"an entry that may do more", deleted, []edit{{"entries", `{"entries":[{"admin":false`, `{"entries":[{"admin":true`}}, false,
			[]string{"more can be spiffe://example.org/client than before: an entry for it asks for less, or for something else"}},
		{"as root", deleted, []edit{service(t, well, "client", `"user":"client-workload"`, `"user":"0:0"`)}, false,
			[]string{"client runs as root, not as client-workload"}},
		{"privileged", deleted, []edit{service(t, well, "spire-agent", `"privileged":false`, `"privileged":true`)}, false,
			[]string{"spire-agent may do more on its machine than before"}},
		{"a capability", deleted, []edit{service(t, well, "client", `"capAdd":null`, `"capAdd":["CAP_SYS_PTRACE"]`)}, false,
			[]string{"client may do more on its machine than before"}},
		{"the machine's processes", deleted, []edit{service(t, well, "spire-agent", `"pidMode":"container:`, `"pidMode":"host","was":"`)}, false,
			[]string{"spire-agent sees every process of the machine"}},
		{"its own processes", deleted, []edit{service(t, well, "spire-agent", `"pidMode":"container:`, `"pidMode":"","was":"`)}, false,
			[]string{"spire-agent sees other processes than before"}},
		{"a volume that can be written", deleted, []edit{service(t, well, "client", `"writable":false`, `"writable":true`)}, false,
			[]string{"client has other files than before at /tmp/spire-agent/public"}},
		{"not running", deleted, []edit{service(t, well, "spire-agent", `"status":"running"`, `"status":"exited"`)}, false,
			[]string{"spire-agent does not run"}},
		{"another server's ID", deleted, []edit{service(t, well, "client", `"command":["client"`, `"command":["client","-server-id","spiffe://example.org/other"`)}, false,
			[]string{"the client takes spiffe://example.org/other for its server"}},
		{"another configuration", deleted, []edit{{"file-agent.conf", "trust_bundle_path", "insecure_bootstrap = true #"}}, false,
			[]string{"the agent's configuration is not what it was"}},
		{"a louder log", deleted, []edit{{"file-agent.conf", `log_level      = "INFO"`, `log_level = "DEBUG"`}}, false, nil},
		{"a silenced log", deleted, []edit{{"file-agent.conf", `log_level      = "INFO"`, `log_level = "ERROR"`}}, false,
			[]string{"the agent's configuration is not what it was"}},
		{"a program that believes more", deleted, []edit{{"observer-client-workload", `"bundles":[`, `"bundles":[{"trustDomain":"partner.test","authorities":null},`}}, false,
			[]string{"client-workload believes the SVIDs of another trust domain: partner.test"}},
		{"a program that cannot verify its peer", deleted, []edit{{"observer-server-workload", `"trustDomain":"example.org"`, `"trustDomain":"elsewhere.org"`}}, false,
			[]string{"server-workload cannot verify anybody of example.org", "server-workload believes the SVIDs of another trust domain: elsewhere.org"}},
		{"a name that leads elsewhere too", deleted, []edit{{"trial-root", `"svids":null`, `"svids":null,"addresses":["10.1.2.3"]`}}, false,
			[]string{"whoever asks for the server may meet somebody else"}},
		{"another trust domain", deleted, []edit{{"bundles", `"bundles":[`, `"bundles":[{"trust_domain":"partner.test"}`}}, false,
			[]string{"another trust domain is trusted than before: partner.test"}},
		{"banned", deleted, []edit{{"agents", `"banned":false`, `"banned":true`}}, false,
			[]string{"the host is not admitted: its agent is banned"}},
		{"the cause is not told", []edit{another("/other", "user:client-workload", "")}, []edit{another("/other", "user:client-workload", "")}, false,
			[]string{"what can be seen from here is right, and yet the lab is not as it was before"}},
		{"what the fault changed, changed in another way", []edit{another("/other", "user:client-workload", "")}, []edit{another("/other", "gid:1112", "")}, false,
			[]string{"there is an entry for an identity that there was not: spiffe://example.org/other"}},
		{"other files than those of the fault", []edit{service(t, well, "client", `"writable":false`, `"writable":true`)},
			[]edit{service(t, well, "client", `"type":"volume","name":"`, `"type":"volume","name":"other-`)}, false,
			[]string{"client has other files than before at /tmp/spire-agent/public"}},
		{"what is lost is told once the rest is right", []edit{{"agents", `"banned":false`, `"banned":true`}}, []edit{{"agents", `"banned":false`, `"banned":true`}}, false,
			[]string{"the host is not admitted: its agent is banned"}},
		{"tickets", deleted, []edit{{"observer-client-workload", `"status":200`, `"tickets":1,"status":200`}}, false,
			[]string{"the client is served, but with a ticket for next time: go-spiffe does not verify a resumed connection"}},
		{"tickets of somebody else", deleted, []edit{{"observer-client-workload", `"status":200`, `"tickets":1,"status":200`}, {"observer-client-workload", `"peer":{"id":"spiffe://example.org/server"`, `"peer":{"id":"spiffe://example.org/spire/server"`}}, false, nil},
		{"tickets that cannot be seen", []edit{{"observer-client-workload", `"status":200`, `"tickets":1,"status":200`}}, []edit{{"observer-client-workload", `"status":200`, `"other":200`}}, false,
			[]string{"what the server gives to whoever comes back cannot be seen any more"}},
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

// TestSentences: each kind of difference has a sentence, in which nothing is left to be filled in.
func TestSentences(t *testing.T) {
	for kind := NotAsBefore; kind <= AgentNew; kind++ {
		subject := "subject"
		if kind == Settings {
			subject = "passwd"
		}
		text := Difference{kind, subject, "before", "now"}.String()
		if text == "" || strings.ContainsAny(text, "{}") || strings.HasPrefix(text, "difference ") {
			t.Errorf("kind %d: %q", kind, text)
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
		{"a learner has lost it", well, false, "what the SPIRE server knew is lost: its CA is another one than before"},
		{"a learner has lost it, and the fault something else", well, true, "what the SPIRE server knew is lost: its CA is another one than before"},
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
