package console

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// open serves a page, and returns its hub and its address.
func open(t *testing.T) (*Hub, *Page, string) {
	t.Helper()
	hub := NewHub("lab")
	page, err := NewPage(hub, 8080)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	page.hosts[strings.TrimPrefix(server.URL, "http://")] = true
	return hub, page, server.URL
}

func get(t *testing.T, url, host string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		request.Host = host
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestPage(t *testing.T) {
	_, _, url := open(t)
	size := 0
	for _, path := range []string{"/", "/style.css", "/console.js"} {
		status, body := get(t, url+path, "")
		if status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
		if strings.Contains(body, "https://") || strings.Contains(body, "//cdn") {
			t.Errorf("%s refers to somewhere else", path)
		}
		size += len(body)
	}
	if size > 100_000 {
		t.Errorf("the page is %d bytes, more than 100 KB", size)
	}
	if _, body := get(t, url+"/?theme=dark", ""); !strings.Contains(body, `data-theme="dark"`) {
		t.Error("?theme=dark has no effect")
	}
	if _, body := get(t, url+`/?theme="><script>`, ""); strings.Contains(body, "<script>") {
		t.Error("?theme= puts what it likes into the page")
	}
	if status, _ := get(t, url+"/", "lab.example:8080"); status != http.StatusMisdirectedRequest {
		t.Errorf("a page by another name was answered with %d", status)
	}
	if status, _ := get(t, url+"/lesson/none", ""); status != http.StatusNotFound {
		t.Errorf("a lesson that does not exist: %d", status)
	}
}

func TestLesson(t *testing.T) {
	hub, _, url := open(t)
	text := "# bad-id: a claim\n\nSome text with [a link](bad-server-id.md)\nthat goes on.\n\n```console\n$ <b>make</b>\n\nError\n```\n\n| a | b |\n|---|---|\n"
	hub.Lesson("bad-id", text)
	status, body := get(t, url+"/lesson/bad-id", "")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	for _, want := range []string{"<h2>bad-id: a claim</h2>", "<p>Some text with a link that goes on.</p>", "$ &lt;b&gt;make&lt;/b&gt;\n\nError</pre>", "| a | b |\n|---|---|</pre>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the lesson lacks %q:\n%s", want, body)
		}
	}
}

func TestHandshakeIsAskedForByThePageOnly(t *testing.T) {
	_, page, url := open(t)
	post := func(as, origin string) int {
		request, _ := http.NewRequest(http.MethodPost, url+"/handshake/"+as, nil)
		if origin != "" {
			request.Header.Set("Origin", origin)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	for _, test := range []struct {
		as, origin string
		want       int
	}{
		{"client-workload", "", http.StatusForbidden},
		{"client-workload", "http://elsewhere.example", http.StatusForbidden},
		{"root", url, http.StatusBadRequest},
		{"client-workload", url, http.StatusAccepted},
		{"client-workload", url, http.StatusConflict},
	} {
		if got := post(test.as, test.origin); got != test.want {
			t.Errorf("as %s from %q: %d, want %d", test.as, test.origin, got, test.want)
		}
	}
	if as := <-page.asked; as != "client-workload" {
		t.Errorf("asked for %q", as)
	}
}

// next reads one event of the page.
func next(t *testing.T, in *bufio.Scanner) update {
	t.Helper()
	for in.Scan() {
		if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			var u update
			if err := json.Unmarshal([]byte(data), &u); err != nil {
				t.Fatal(err)
			}
			return u
		}
	}
	t.Fatal("the events have ended")
	return update{}
}

func listen(t *testing.T, url string) *bufio.Scanner {
	t.Helper()
	response, err := http.Get(url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	in := bufio.NewScanner(response.Body)
	in.Buffer(nil, 10<<20)
	return in
}

func logged(i int) string {
	return fmt.Sprintf(`server-1 | %s 2026/11/25 12:00:00 http: TLS handshake error from 10.0.%d.%d:1: unexpected ID "spiffe://example.org/server"`,
		noon.Add(time.Duration(i)*time.Millisecond).Format(time.RFC3339Nano), i/250, i%250)
}

// TestLate: a browser that comes late gets the last 500 rows, and the state.
func TestLate(t *testing.T) {
	hub, _, url := open(t)
	for i := range 700 {
		hub.Feed("log", logged(i), noon)
	}
	hub.Feed("screen", "begin bad-id: the expectation", noon)
	for range 2 {
		u := next(t, listen(t, url))
		if len(u.Rows) != keep || u.Rows[keep-1].Number != 700 {
			t.Errorf("a late browser gets %d rows, want the last %d", len(u.Rows), keep)
		}
		if u.State == nil || u.State.Scenario == nil || u.State.Scenario.Name != "bad-id" {
			t.Errorf("a late browser gets the state %+v", u.State)
		}
	}
}

// TestFlood: what a browser cannot take is counted, row by row.
func TestFlood(t *testing.T) {
	hub, _, url := open(t)
	in := listen(t, url)
	next(t, in)
	const flood = 5000
	for i := range flood {
		hub.Feed("log", logged(i), noon)
	}
	drawn, missed := 0, 0
	for drawn+missed < flood {
		u := next(t, in)
		drawn += len(u.Rows)
		missed += u.Missed
	}
	if drawn+missed != flood || missed == 0 || drawn == 0 {
		t.Errorf("%d drawn and %d said to be missed, of %d", drawn, missed, flood)
	}
}

func TestNonsenseIsNotFed(t *testing.T) {
	hub, _, _ := open(t)
	for _, kind := range []string{"log", "screen", "facts", "nonsense"} {
		for _, text := range []string{"", "nonsense", "{", `{"containers":17}`, "said x", "step", "end"} {
			hub.Feed(kind, text, noon)
		}
	}
	if len(hub.rows) != 0 || hub.state.Known {
		t.Errorf("nonsense made %d rows and the state %+v", len(hub.rows), hub.state)
	}
}

const someFacts = `{"containers":[{"service":"server","user":"server-workload","status":"running","addresses":["10.0.0.3"]},
{"service":"spire-agent","user":"0:0","status":"exited","addresses":[]}],
"entries":{"entries":[{"id":"client","spiffe_id":{"trust_domain":"example.org","path":"/client"},"parent_id":{"trust_domain":"example.org","path":"/host"},"selectors":[{"type":"unix","value":"user:client-workload"},{"type":"unix","value":"gid:7"}]},
{"id":"host","spiffe_id":{"trust_domain":"example.org","path":"/host"},"parent_id":{"trust_domain":"example.org","path":"/spire/server"},"selectors":[{"type":"spiffe_id","value":"spiffe://example.org/spire/agent/x509pop/host"}]}]},
"agents":{"agents":[{"id":{"trust_domain":"example.org","path":"/spire/agent/x509pop/host"},"banned":true,"x509svid_expires_at":"1795639276"}]},
"authorities":{"active":{"authority_id":"aa","expires_at":"1827171663"},"old":{"authority_id":"bb","expires_at":"1827171594"}},
"observations":[{"user":"client-workload","svids":[{"id":"spiffe://example.org/client","serial":"S1","notAfter":"2026-11-25T13:00:00Z","signedBy":"bb"}],"bundles":[{"trustDomain":"example.org","authorities":[{"key":"aa"},{"key":"bb"}]}]},null]}`

func TestState(t *testing.T) {
	facts, err := ParseFacts([]byte(someFacts))
	if err != nil {
		t.Fatal(err)
	}
	state := facts.Describe(map[string]SVID{"server": {ID: "spiffe://example.org/server", Serial: "S1"}}, nil)
	if got := strings.Join(state.Away, " "); got != "spire-server spire-agent client" {
		t.Errorf("away: %q", got)
	}
	if got := strings.Join(facts.Describe(nil, map[string]bool{"server": true}).Away, " "); got != "spire-server spire-agent server client" {
		t.Errorf("away, after the server has ended: %q", got)
	}
	if !state.Agents[0].Banned || state.Agents[0].Expires.IsZero() {
		t.Errorf("agents: %+v", state.Agents)
	}
	if len(state.Trust.Authorities) != 2 || state.Trust.Authorities[0].State != "active" || len(state.Trust.Sides) != 1 || state.Trust.Sides[0].Signed != "bb" {
		t.Errorf("trust: %+v", state.Trust)
	}
	if state.Who[0].SVID == nil || state.Who[0].SVID.SignedBy != "bb" {
		t.Errorf("who: %+v", state.Who)
	}
	why := facts.Why([]string{"unix:user:client-workload", "unix:uid:1112"})
	if len(why.Entries) != 1 || strings.Join(why.Entries[0].Missing, " ") != "unix:gid:7" || why.User != "client-workload" {
		t.Errorf("why: %+v; want the entry of the client, without unix:gid:7, and not that of the host", why)
	}
}

// TestWhyLooksAtTheParent: an entry that the host's agent does not get gives nothing to its processes, even
// if each selector matches. The agent gets the entries below its own ID, its aliases, and these entries.
func TestWhyLooksAtTheParent(t *testing.T) {
	const agent = "/spire/agent/x509pop/host"
	id := func(path string) spiffeID { return spiffeID{"example.org", path} }
	process := "unix:user:guest-workload"
	var facts Facts
	facts.Agents = &agents{}
	if err := json.Unmarshal([]byte(`{"agents":[
		{"id":{"trust_domain":"example.org","path":"/spire/agent/x509pop/host"},"selectors":[{"type":"spiffe_id","value":"spiffe://example.org/spire/agent/x509pop/host"},{"type":"x509pop","value":"serialnumber:7"}]},
		{"id":{"trust_domain":"example.org","path":"/spire/agent/join_token/b"},"selectors":[{"type":"spiffe_id","value":"spiffe://example.org/spire/agent/join_token/b"}]}]}`), facts.Agents); err != nil {
		t.Fatal(err)
	}
	facts.Entries = &entries{}
	add := func(name, parent, path string, selectors ...string) {
		entry := struct {
			ID        string     `json:"id"`
			SPIFFEID  spiffeID   `json:"spiffe_id"`
			ParentID  spiffeID   `json:"parent_id"`
			Selectors []selector `json:"selectors"`
		}{ID: name, ParentID: id(parent), SPIFFEID: id(path)}
		for _, s := range selectors {
			kind, value, _ := strings.Cut(s, ":")
			entry.Selectors = append(entry.Selectors, selector{kind, value})
		}
		facts.Entries.Entries = append(facts.Entries.Entries, entry)
	}
	add("grandchild", "/child", "/grandchild", process)
	add("child", "/by-alias", "/child", process)
	add("by-alias", "/host", "/by-alias", process)
	add("by-agent", agent, "/by-agent", process)
	add("by-serial", "/hosts/seven", "/by-serial", process)
	add("elsewhere", "/elsewhere", "/guest", process)
	add("on-host-b", "/host-b", "/guest", process)
	add("on-both", "/both", "/guest", process)
	add("another-user", "/host", "/client", "unix:user:client-workload")
	add("alias", "/spire/server", "/host", "spiffe_id:spiffe://example.org"+agent)
	add("alias-serial", "/spire/server", "/hosts/seven", "x509pop:serialnumber:7")
	add("alias-b", "/spire/server", "/host-b", "spiffe_id:spiffe://example.org/spire/agent/join_token/b")
	add("alias-both", "/spire/server", "/both", "x509pop:serialnumber:7", "x509pop:serialnumber:8")

	undelivered := map[string]bool{"elsewhere": true, "on-host-b": true, "on-both": true}
	why := facts.Why([]string{process})
	if len(why.Entries) != 9 {
		t.Errorf("%d entries are explained, not the 9 of processes: %+v", len(why.Entries), why.Entries)
	}
	for i, entry := range why.Entries {
		if entry.Undelivered != undelivered[entry.ID] {
			t.Errorf("%s, with the parent %s: undelivered is %t", entry.ID, entry.Parent, entry.Undelivered)
		}
		if comesAfter := i >= 5; comesAfter != (entry.lacks() > 0) {
			t.Errorf("%s lacks %d and is number %d: the nearest do not come first", entry.ID, entry.lacks(), i+1)
		}
		if missing := strings.Join(entry.Missing, " "); (missing != "") != (entry.ID == "another-user") {
			t.Errorf("%s: the process has not %q", entry.ID, missing)
		}
	}
	facts.Agents.Agents = nil // not attested: of its selectors only its own ID is known before
	for _, entry := range facts.Why([]string{process}).Entries {
		if want := undelivered[entry.ID] || entry.ID == "by-serial"; entry.Undelivered != want {
			t.Errorf("%s, without an agent: undelivered is %t", entry.ID, entry.Undelivered)
		}
	}
	facts.Agents = nil
	if why := facts.Why([]string{process}); why.Entries != nil {
		t.Errorf("nobody knows the agent's aliases, but the entries are explained: %+v", why.Entries)
	}
}

func TestWants(t *testing.T) {
	hub, _, _ := open(t)
	if !hub.Wants(time.Time{}, noon) {
		t.Error("nothing is asked at first")
	}
	hub.Feed("facts", strings.Replace(strings.ReplaceAll(someFacts, "\n", ""), `"exited"`, `"running"`, 1), noon)
	hub.state.Away = nil
	if hub.Wants(noon, noon.Add(9*time.Second)) || !hub.Wants(noon, noon.Add(10*time.Second)) {
		t.Error("a quiet lab is not asked every 10 s")
	}
	hub.Feed("log", logged(1), noon.Add(time.Minute))
	if hub.Wants(noon.Add(time.Minute), noon.Add(61*time.Second)) || !hub.Wants(noon.Add(time.Minute), noon.Add(62*time.Second)) {
		t.Error("a lab in which something happens is not asked every 2 s")
	}
}

func TestTrace(t *testing.T) {
	for _, test := range []struct {
		file, end, by string
		steps         int
		done          bool
	}{
		{"served.trace", "served: Success!!!", "", 12, true},
		{"refused.trace", "refused by the server: bad certificate", "server", 12, false},
		{"nobody.trace", "refused by the server: certificate required", "server", 10, false},
	} {
		text, err := os.ReadFile("testdata/" + test.file)
		if err != nil {
			t.Fatal(err)
		}
		trace, err := ParseTrace("client-workload", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(trace.Steps) != test.steps || trace.End != test.end || trace.By != test.by || trace.Done != test.done {
			t.Errorf("%s: %d steps, %q by %q, %v; want %+v", test.file, len(trace.Steps), trace.End, trace.By, trace.Done, test)
		}
		if first := trace.Steps[0]; first.By != "client" || first.Message != "ClientHello" || first.Secret || !trace.Steps[2].Secret {
			t.Errorf("%s: the steps are %+v", test.file, trace.Steps)
		}
		var out strings.Builder
		trace.Print(&out)
		for _, line := range strings.Split(out.String(), "\n") {
			if len([]rune(line)) > 80 {
				t.Errorf("wider than a terminal: %q", line)
			}
		}
	}
	if _, err := ParseTrace("x", strings.NewReader("connect: refused\n")); err == nil {
		t.Error("no handshake is no error")
	}
}

// TestTraceTells looks at what the steps of the recorded handshakes are said to mean.
func TestTraceTells(t *testing.T) {
	const svid, none = "My X.509-SVID, with my SPIFFE ID in it", "No certificate: the list in this message is empty"
	const late, unread = "The client had completed its handshake before this alert,", "and had sent its request. The server does not handle it."
	for _, test := range []struct{ file, certificate, last, means, details string }{
		{"served.trace", svid, "server ApplicationData", "The HTTP response", ""},
		{"refused.trace", svid, "server Alert", "bad certificate (alert 42): the server refuses the client", late + "\n" + unread},
		{"nobody.trace", none, "server Alert", "certificate required (alert 116): the server refuses the client", "The client had completed its handshake before this alert."},
	} {
		text, err := os.ReadFile("testdata/" + test.file)
		if err != nil {
			t.Fatal(err)
		}
		trace, err := ParseTrace("x", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]string{}
		for _, step := range trace.Steps {
			if step.Message == "Certificate" {
				shown[step.By] = step.Means
			}
		}
		if shown["client"] != test.certificate || shown["server"] != svid {
			t.Errorf("%s: the Certificate messages are explained as %q", test.file, shown)
		}
		last := trace.Steps[len(trace.Steps)-1]
		if got := last.By + " " + last.Message; got != test.last || last.Means != test.means || strings.Join(last.Details, "\n") != test.details {
			t.Errorf("%s ends with %s: %q, %q", test.file, got, last.Means, last.Details)
		}
	}
	early := "Sent Record\n    ClientHello, Length=100\nReceived Record\n    Level=fatal(2), description=protocol version(70)\n"
	trace, err := ParseTrace("x", strings.NewReader(early))
	if err != nil {
		t.Fatal(err)
	}
	if last := trace.Steps[1]; last.Means != "protocol version (alert 70): the server refuses the client" || last.Details != nil {
		t.Errorf("an alert in the handshake is explained as %q, %q", last.Means, last.Details)
	}
}

// TestFed goes all the way: by the socket in, by a browser out.
func TestFed(t *testing.T) {
	socket := t.TempDir() + "/feed.sock"
	ready, wrote := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		failed <- run(t.Context(), []string{"serve", "-socket", socket, "-listen", "127.0.0.1:0"}, nil, wrote)
	}()
	said, err := bufio.NewReader(ready).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(strings.TrimPrefix(said, "serving on "))
	for kind, text := range map[string]string{"log": logged(1) + "\n", "lesson": "bad-id " + base64.StdEncoding.EncodeToString([]byte("# x")) + "\n"} {
		if err := run(t.Context(), []string{"feed", kind, "-socket", socket}, strings.NewReader(text), io.Discard); err != nil {
			t.Errorf("feeding a %s: %v", kind, err)
		}
	}
	if err := run(t.Context(), []string{"feed", "trace", "-socket", socket}, strings.NewReader("nothing"), io.Discard); err == nil || !strings.Contains(err.Error(), "no handshake was seen") {
		t.Errorf("a trace of nothing: %v", err)
	}
	if err := run(t.Context(), []string{"feed", "nonsense", "-socket", socket}, strings.NewReader(""), io.Discard); err == nil {
		t.Error("an unknown kind is fed")
	}
	if status, _ := get(t, "http://"+address+"/lesson/bad-id", "127.0.0.1:8080"); status != http.StatusOK {
		t.Errorf("the lesson that was fed: %d", status)
	}
	wants := &firstLine{found: make(chan string, 1)}
	facts, feeding := io.Pipe()
	go func() { _ = run(t.Context(), []string{"facts", "-socket", socket}, facts, wants) }()
	if got := <-wants.found; got != "facts\n" {
		t.Errorf("the console wants %q first", got)
	}
	feeding.Close()
	select {
	case err := <-failed:
		t.Errorf("it has ended: %v", err)
	default:
	}
}

type firstLine struct{ found chan string }

func (f *firstLine) Write(text []byte) (int, error) {
	select {
	case f.found <- string(text):
	default:
	}
	return len(text), nil
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"nonsense"}, {"feed"}, {"serve", "-nonsense"}, {"handshake", "extra"}} {
		if err := run(t.Context(), args, strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("%q is no mistake", args)
		}
	}
}
