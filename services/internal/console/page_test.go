package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const token = "T0KEN"

func open(t *testing.T) (*Hub, *Page, string) {
	t.Helper()
	hub := NewHub("lab")
	lessons := fstest.MapFS{"bad-id.md": {Data: []byte(lesson)}, "bad-server-id.md": {Data: []byte("# x")}, "bad-id.png": {Data: []byte("\x89PNG")}, "ANSWERS.md": {Data: []byte("# no lesson")}}
	page, err := NewPage(hub, token, lessons)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	return hub, page, server.URL
}

func request(t *testing.T, method, url string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
		request.Header.Set(header[i], header[i+1])
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

func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	return request(t, http.MethodGet, url, header...)
}

func TestPage(t *testing.T) {
	_, _, url := open(t)
	size := 0
	for _, path := range []string{"/?token=" + token, "/style.css", "/console.js", "/diagram.js"} {
		status, body := get(t, url+path)
		if status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
		if strings.Contains(body, "https://") || strings.Contains(body, "//cdn") {
			t.Errorf("%s refers to a different site", path)
		}
		size += len(body)
	}
	if size > 120_000 {
		t.Errorf("the page is %d bytes, more than 120 KB", size)
	}
	if _, body := get(t, url+"/?theme=dark&token="+token); !strings.Contains(body, `data-theme="dark"`) {
		t.Error("?theme=dark has no effect")
	}
	if _, body := get(t, url+`/?theme="><script>&token=`+token); strings.Contains(body, "<script>") {
		t.Error("?theme= puts any text into the page")
	}
	for _, name := range []string{"none", "ANSWERS", "..%2Fx"} {
		if status, _ := get(t, url+"/lesson/"+name+"?token="+token); status != http.StatusNotFound {
			t.Errorf("the lesson %s, which does not exist: %d", name, status)
		}
	}
}

// TestToken: without the right token, a request must get no data and start nothing.
func TestToken(t *testing.T) {
	hub, page, url := open(t)
	for _, wrong := range []string{"", "?token=", "?token=t0ken", "?token=" + token + "x", "?token=T0KE", "?Token=" + token} {
		for _, to := range []string{"GET /", "GET /events", "GET /lesson/bad-id", "POST /handshake/client-workload", "POST /trace/nobody"} {
			method, path, _ := strings.Cut(to, " ")
			status, body := request(t, method, url+path+wrong, "Cookie", "token="+token)
			if status != http.StatusForbidden || strings.Count(body, "\n") != 1 || !strings.Contains(body, "open the whole address that scripts/lab console printed") {
				t.Errorf("%s%s: %d %q; want one line with a remedy", to, wrong, status, body)
			}
		}
	}
	if len(hub.browsers) != 0 || len(page.asked) != 0 || hub.trace != nil {
		t.Errorf("without the token, a browser listens (%d), has asked (%d), or has shown a handshake", len(hub.browsers), len(page.asked))
	}
}

// TestForwarded: the page must work under any forwarded name, scheme and path: through ssh -L, through an editor's remote connection,
// through Codespaces, and through a reverse proxy, whether the proxy removes its path or not.
func TestForwarded(t *testing.T) {
	_, page, url := open(t)
	hosts := []string{"", "127.0.0.1:9000", "localhost:9000", "localhost", "LOCALHOST:8089", "[::1]:8089", "name-8089.app.github.dev", "127.0.0.1.lab.example:8089"}
	for _, host := range hosts {
		for _, path := range []string{"/", "/absproxy/8089/", "/user/me/proxy/8089/"} {
			header := []string{"Host", host, "X-Forwarded-Proto", "https", "X-Forwarded-Host", host}
			if status, body := get(t, url+path+"?token="+token, header...); status != http.StatusOK || !strings.Contains(body, "Who spoke to whom") {
				t.Errorf("Host %q, path %s: %d", host, path, status)
			}
			if status, _ := get(t, url+path+"console.js", header...); status != http.StatusOK {
				t.Errorf("Host %q, path %sconsole.js: %d", host, path, status)
			}
			if status, _ := get(t, url+path+"lesson/bad-id?token="+token, header...); status != http.StatusOK {
				t.Errorf("Host %q, path %slesson/bad-id: %d", host, path, status)
			}
		}
	}
	for _, origin := range []string{url, strings.Replace(url, "http:", "https:", 1), "https://name-8089.app.github.dev", "null"} {
		if status, body := request(t, http.MethodPost, url+"/proxy/handshake/client-workload?token="+token, "Origin", origin); status != http.StatusAccepted {
			t.Errorf("a handshake that the page at %s requests: %d %s", origin, status, body)
		}
		select {
		case <-page.asked:
		default:
		}
	}
	answer, err := http.Get(url + "/events?token=" + token)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := answer.Header.Get("X-Accel-Buffering"); got != "no" {
		t.Errorf("X-Accel-Buffering is %q: a proxy may hold events back", got)
	}
	for _, path := range []string{"/?token=" + token, "/lesson/bad-id?token=" + token} {
		answer, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if absolute := regexp.MustCompile(`(?:href|src)="(/[^"]*)"`).FindSubmatch(body); absolute != nil {
			t.Errorf("%s has the absolute link %s", path, absolute[1])
		}
		if answer.Header.Get("Set-Cookie") != "" || answer.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s sets a cookie, or sends its address as the referrer: %v", path, answer.Header)
		}
	}
}

const lesson = "# bad-id: a claim\n\nSome text with [a link](bad-server-id.md), [a file](../../README.md) and [a source](https://go.dev/x)\nthat goes on. <script>\n\n![a picture](bad-id.png)\n\n" +
	"```console\n$ <b>make</b>\n\nError\n```\n\n| a | b |\n|---|---|\n| c | d |\n"

func TestLesson(t *testing.T) {
	_, _, url := open(t)
	status, body := get(t, url+"/lesson/bad-id?theme=dark&token="+token)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	for _, want := range []string{"<h1>bad-id: a claim</h1>", `<a href="bad-server-id?token=T0KEN&amp;theme=dark">a link</a>, a file and <a href="https://go.dev/x">a source</a>`,
		"$ &lt;b&gt;make&lt;/b&gt;\n\nError\n</code></pre>", "<td>c</td>", `<a href="../?token=T0KEN&amp;theme=dark">`} {
		if !strings.Contains(body, want) {
			t.Errorf("the lesson lacks %q:\n%s", want, body)
		}
	}
	if !strings.Contains(body, `<img src="bad-id.png?token=T0KEN&amp;theme=dark" alt="a picture">`) {
		t.Errorf("the lesson's picture is not in the page:\n%s", body)
	}
	if status, picture := get(t, url+"/lesson/bad-id.png?token="+token); status != http.StatusOK || picture != "\x89PNG" {
		t.Errorf("the lesson's picture: %d %q", status, picture)
	}
	if status, _ := get(t, url+"/lesson/bad-id.png"); status != http.StatusForbidden {
		t.Errorf("the lesson's picture without the token: %d", status)
	}
	if strings.Contains(body, "<script>") {
		t.Errorf("the lesson's HTML is in the page:\n%s", body)
	}
}

func TestHandshakeIsOneAtATime(t *testing.T) {
	_, page, url := open(t)
	for _, test := range []struct {
		as   string
		want int
	}{
		{"root", http.StatusBadRequest},
		{"client-workload", http.StatusAccepted},
		{"client-workload", http.StatusConflict},
	} {
		if got, _ := request(t, http.MethodPost, url+"/handshake/"+test.as+"?token="+token); got != test.want {
			t.Errorf("as %s: %d, want %d", test.as, got, test.want)
		}
	}
	if as := <-page.asked; as != "client-workload" {
		t.Errorf("asked for %q", as)
	}
	page.asked = nil // a replay has no lab that can do a handshake
	if got, body := request(t, http.MethodPost, url+"/handshake/client-workload?token="+token); got != http.StatusConflict || !strings.Contains(body, "a handshake needs a lab") {
		t.Errorf("without a lab: %d %s", got, body)
	}
}

// TestHandshakeIsShown: the running console must show the handshake that `lab handshake` has traced.
func TestHandshakeIsShown(t *testing.T) {
	_, _, address := open(t)
	e := &engine.Engine{Dir: t.TempDir(), Project: "lab"}
	if err := os.Mkdir(e.Cache(), 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/nobody.trace")
	if err != nil {
		t.Fatal(err)
	}
	in := listen(t, address)
	next(t, in)
	write := func(token string) {
		if err := (Access{Token: token, Address: strings.TrimPrefix(address, "http://")}).Write(accessFile(e)); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong")
	if err := send(t.Context(), e, Nobody, text); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("with a wrong token: %v", err)
	}
	write(token)
	if err := send(t.Context(), e, Nobody, []byte("nothing")); err == nil || !strings.Contains(err.Error(), "no handshake was seen") {
		t.Errorf("a trace without a handshake: %v", err)
	}
	if err := send(t.Context(), e, Nobody, text); err != nil {
		t.Fatal(err)
	}
	u := next(t, in)
	for u.Trace == nil {
		u = next(t, in)
	}
	if u.Trace.As != Nobody || u.Trace.By != "server" {
		t.Errorf("the page gets %+v", u.Trace)
	}
	if err := (Access{Token: token, Address: "127.0.0.1:1"}).Write(accessFile(e)); err != nil {
		t.Fatal(err)
	}
	if err := send(t.Context(), e, Nobody, text); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("without a console, the error has the token, or there is none: %v", err)
	}
}

// TestAccess: after a restart of the console, an open page must work again. No other user of the machine may be able to read the
// console's token.
func TestAccess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "console-lab.json")
	first, err := ReadAccess(file)
	if err != nil || len(first.Token) < 26 {
		t.Fatalf("the token %q of %v is short", first.Token, err)
	}
	if other, _ := ReadAccess(file); other.Token == first.Token {
		t.Error("two consoles have the same token")
	}
	if err := os.WriteFile(file, []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	first.Address = "127.0.0.1:8089"
	if err := first.Write(file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the token's file has the mode %o", mode)
	}
	if again, err := ReadAccess(file); err != nil || again != first {
		t.Errorf("after a restart: %+v, %v; want %+v", again, err, first)
	}
	for _, text := range []string{"", "nonsense", `{"token":""}`, `{"token":7}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if access, err := ReadAccess(file); err != nil || access.Token == "" || access.Token == first.Token || access.Address != "" {
			t.Errorf("%q gives %+v, %v; want a new token", text, access, err)
		}
	}
}

// next returns the next event that the page receives.
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
	response, err := http.Get(url + "/events?token=" + token)
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

// TestLate: a browser that connects late must get the state, and the last 500 rows.
func TestLate(t *testing.T) {
	hub, _, url := open(t)
	for i := range 700 {
		hub.Log(logged(i), noon)
	}
	hub.Screen("begin bad-id: the expectation", noon)
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

// TestFlood: each row that a browser is too slow for must be counted.
func TestFlood(t *testing.T) {
	hub, _, url := open(t)
	in := listen(t, url)
	next(t, in)
	const flood = 5000
	for i := range flood {
		hub.Log(logged(i), noon)
	}
	drawn, missed := 0, 0
	for drawn+missed < flood {
		u := next(t, in)
		drawn += len(u.Rows)
		missed += u.Missed
	}
	if drawn+missed != flood || missed == 0 || drawn == 0 {
		t.Errorf("%d rows are drawn and %d are counted as missed, of %d", drawn, missed, flood)
	}
}

// TestNonsenseIsSaid: an unreadable line must not make a row, and the page must report it for a minute.
func TestNonsenseIsSaid(t *testing.T) {
	hub, _, _ := open(t)
	for _, text := range []string{"", "nonsense", "said x", "step", "end"} {
		hub.Screen(text, noon)
		if text != "" {
			hub.Log(text+"\x1b[31m", noon)
		}
	}
	if len(hub.rows) != 0 || hub.state.Known {
		t.Errorf("nonsense made %d rows and the state %+v", len(hub.rows), hub.state)
	}
	if got := strings.Join(hub.state.Problems, "; "); got != `a line of the logs could not be read: "end [31m"` {
		t.Errorf("problems: %s", got)
	}
	hub.Expire(noon.Add(2 * time.Minute))
	if len(hub.state.Problems) != 0 {
		t.Errorf("the problems do not go: %q", hub.state.Problems)
	}
}

// TestTrouble: the page must show what the console cannot read or ask. Questions that fail for the same reason must be in one message.
func TestTrouble(t *testing.T) {
	hub, _, _ := open(t)
	hub.Trouble("the logs", "docker compose logs failed: exit status 17")
	hub.Know(Facts{Unknown: map[string]string{"CAs": "spire-server is not running", "entries": "spire-server is not running", "what runs": "docker ps: no"}}, noon)
	want := "cannot tell what runs: docker ps: no; cannot tell CAs, entries: spire-server is not running; cannot read the logs: docker compose logs failed: exit status 17"
	if got := strings.Join(hub.state.Problems, "; "); got != want || hub.state.Known {
		t.Errorf("problems %q, known %t; want %q", got, hub.state.Known, want)
	}
	hub.Trouble("the logs", "")
	hub.Know(Facts{Containers: []facts.Container{}}, noon)
	if len(hub.state.Problems) != 0 || !hub.state.Known || len(hub.state.Down) != 4 {
		t.Errorf("without trouble the state is %+v", hub.state)
	}
}

// TestResult: the result of a scenario must stay for a minute. A scenario that was killed must be shown as interrupted.
func TestResult(t *testing.T) {
	hub, _, _ := open(t)
	hub.Screen("begin bad-id: the expectation", noon)
	hub.Screen("end PASS (4 checks)", noon.Add(time.Second))
	hub.ScenarioEnds(noon.Add(2 * time.Second))
	hub.Expire(noon.Add(60 * time.Second))
	if s := hub.state.Scenario; s == nil || s.Ended != "PASS (4 checks)" {
		t.Errorf("after 59 s the result is %+v", s)
	}
	hub.Expire(noon.Add(61 * time.Second))
	if s := hub.state.Scenario; s != nil {
		t.Errorf("after a minute the result is still %+v", s)
	}
	hub.Screen("begin ban: the expectation", noon)
	hub.Screen("step 1. x", noon)
	hub.Expire(noon.Add(time.Hour))
	if s := hub.state.Scenario; s == nil || s.Ended != "" {
		t.Errorf("a long scenario is %+v", s)
	}
	hub.ScenarioEnds(noon.Add(time.Hour))
	if s := hub.state.Scenario; s == nil || s.Ended != "interrupted" {
		t.Errorf("a scenario that was killed is %+v", s)
	}
}

// someFacts returns the facts of a lab whose agent has exited.
func someFacts() Facts {
	return Facts{
		Containers: []facts.Container{
			{Service: "server", User: "server-workload", Status: "running", Networks: map[string]facts.Network{"lab": {Address: "10.0.0.3"}}},
			{Service: "spire-agent", User: "0:0", Status: "exited"},
		},
		Entries: []facts.Entry{
			{ID: "client", SPIFFEID: exampleID("/client"), ParentID: exampleID("/host"), Selectors: []facts.Selector{{Type: "unix", Value: "user:client-workload"}, {Type: "unix", Value: "gid:7"}}},
			{ID: "host", SPIFFEID: exampleID("/host"), ParentID: exampleID("/spire/server"), Selectors: []facts.Selector{{Type: "spiffe_id", Value: lab.AgentID}}},
		},
		Agents:      []facts.Agent{{ID: exampleID("/spire/agent/x509pop/host"), Banned: true, ExpiresAt: 1795639276}},
		Authorities: &facts.Authorities{Active: &facts.Authority{ID: "aa", ExpiresAt: 1827171663}, Old: &facts.Authority{ID: "bb", ExpiresAt: 1827171594}},
		Observations: []*observation.Observation{{User: "client-workload", SVIDs: []observation.Certificate{{ID: lab.ClientID, Serial: "S1", SignedBy: "bb"}},
			Bundles: []observation.Bundle{{TrustDomain: lab.TrustDomain, Authorities: []observation.Certificate{{Key: "aa"}, {Key: "bb"}}}}}},
	}
}

func exampleID(path string) facts.ID { return facts.ID{TrustDomain: lab.TrustDomain, Path: path} }

func TestState(t *testing.T) {
	known := someFacts()
	state := known.Describe(map[string]SVID{"server": {ID: "spiffe://example.org/server", Serial: "S1"}})
	if got := strings.Join(state.Down, " "); got != "spire-server spire-agent client" {
		t.Errorf("down: %q", got)
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
	why := known.Why([]string{"unix:user:client-workload", "unix:uid:1112"})
	if len(why.Entries) != 1 || strings.Join(why.Entries[0].Missing, " ") != "unix:gid:7" || why.User != "client-workload" {
		t.Errorf("why: %+v; want the client's entry, which lacks unix:gid:7, and not the host's entry", why)
	}
}

// TestWhyLooksAtTheParent: an entry that the host's agent does not get must be shown as undelivered, even if its selectors match the
// process. The agent gets the entries whose parent is its own ID or one of its aliases, and the descendants of these entries.
func TestWhyLooksAtTheParent(t *testing.T) {
	const agent = "/spire/agent/x509pop/host"
	process := "unix:user:guest-workload"
	known := Facts{
		Agents: []facts.Agent{
			{ID: exampleID(agent), Selectors: []facts.Selector{{Type: "spiffe_id", Value: lab.AgentID}, {Type: "x509pop", Value: "serialnumber:7"}}},
			{ID: exampleID("/spire/agent/join_token/b"), Selectors: []facts.Selector{{Type: "spiffe_id", Value: "spiffe://example.org/spire/agent/join_token/b"}}},
		},
	}
	add := func(name, parent, path string, selectors ...string) {
		entry := facts.Entry{ID: name, ParentID: exampleID(parent), SPIFFEID: exampleID(path)}
		for _, s := range selectors {
			kind, value, _ := strings.Cut(s, ":")
			entry.Selectors = append(entry.Selectors, facts.Selector{Type: kind, Value: value})
		}
		known.Entries = append(known.Entries, entry)
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
	why := known.Why([]string{process})
	if len(why.Entries) != 9 {
		t.Errorf("%d entries are explained, not the 9 entries for processes: %+v", len(why.Entries), why.Entries)
	}
	for i, entry := range why.Entries {
		if entry.Undelivered != undelivered[entry.ID] {
			t.Errorf("%s, with the parent %s: undelivered is %t", entry.ID, entry.Parent, entry.Undelivered)
		}
		if comesAfter := i >= 5; comesAfter != (entry.lacks() > 0) {
			t.Errorf("%s lacks %d and is number %d: the best matches are not first", entry.ID, entry.lacks(), i+1)
		}
		if missing := strings.Join(entry.Missing, " "); (missing != "") != (entry.ID == "another-user") {
			t.Errorf("%s: the process lacks %q", entry.ID, missing)
		}
	}
	known.Agents = []facts.Agent{} // no agent has attested, so its own ID is the only known selector
	for _, entry := range known.Why([]string{process}).Entries {
		if want := undelivered[entry.ID] || entry.ID == "by-serial"; entry.Undelivered != want {
			t.Errorf("%s, without an agent: undelivered is %t", entry.ID, entry.Undelivered)
		}
	}
	known.Agents = nil
	if why := known.Why([]string{process}); why.Entries != nil {
		t.Errorf("the agent's aliases are not known, but the entries are explained: %+v", why.Entries)
	}
}

func TestWants(t *testing.T) {
	hub, _, _ := open(t)
	if !hub.Wants(time.Time{}, noon) {
		t.Error("the first questions are not asked")
	}
	hub.Know(someFacts(), noon)
	hub.state.Down = nil
	if hub.Wants(noon, noon.Add(9*time.Second)) || !hub.Wants(noon, noon.Add(10*time.Second)) {
		t.Error("a quiet lab is not asked every 10 s")
	}
	hub.Log(logged(1), noon.Add(time.Minute))
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
		t.Error("a trace without a handshake gives no error")
	}
}

// TestTraceTells: each step of the recorded handshakes must have the right explanation.
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
