package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// expected reads testdata/pictures.txt. The file has the sentences that the diagram must show for each scenario, one after the other.
func expected(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/pictures.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	scenario := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "\t= "):
		case strings.HasPrefix(line, "\t"):
			all[scenario] = append(all[scenario], line[1:])
		default:
			scenario = line
		}
	}
	return all
}

func says(picture Picture) []string {
	var all []string
	for _, box := range picture.Boxes {
		all = append(all, box.Sentence)
	}
	for _, arrow := range picture.Arrows {
		all = append(all, arrow.Sentence)
	}
	return all
}

func (h *Hub) pictureNow() Picture { return h.painter.picture(h.state, h.reader) }

// TestPictures: the recording of each scenario must lead to the pictures that its lesson describes.
func TestPictures(t *testing.T) {
	scripts, err := filepath.Glob("../../../scripts/scenarios/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	all := expected(t)
	if len(all) != len(scripts) {
		t.Errorf("pictures.txt has %d scenarios, and there are %d", len(all), len(scripts))
	}
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".sh")
		t.Run(name, func(t *testing.T) {
			events, err := readRecording("testdata/" + name + ".jsonl")
			if err != nil {
				t.Fatal(err)
			}
			hub := NewHub("lab")
			p := newPlayer(name, hub, events)
			if len(all[name]) == 0 {
				t.Fatal("pictures.txt has no sentence for this scenario")
			}
			var seen []string
			step := 0
			for _, want := range all[name] {
				pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), `\.\.\.`, ".*") + "$")
				found := false
				for ; !found && step < len(p.stops); step++ {
					p.seek(step)
					for _, sentence := range says(hub.pictureNow()) {
						found = found || pattern.MatchString(sentence)
						seen = append(seen, fmt.Sprintf("%d: %s", step+1, sentence))
					}
				}
				if !found {
					t.Fatalf("no step shows %q; the sentences that are shown, each once:\n%s", want, strings.Join(once(seen), "\n"))
				}
				step--
			}
		})
	}
}

func once(lines []string) []string {
	var all []string
	known := map[string]bool{}
	for _, line := range lines {
		_, sentence, _ := strings.Cut(line, ": ")
		if !known[sentence] {
			known[sentence] = true
			all = append(all, line)
		}
	}
	return all
}

// draws gives these log lines of running containers to the hub. It returns the arrows that the picture then has, by their IDs.
func draws(t *testing.T, hub *Hub, lines ...string) map[string]Arrow {
	t.Helper()
	for _, line := range lines {
		hub.Log(line, noon)
	}
	arrows := map[string]Arrow{}
	for _, arrow := range hub.pictureNow().Arrows {
		arrows[arrow.ID] = arrow
	}
	return arrows
}

func running() Facts {
	known := Facts{Agents: []facts.Agent{{ID: exampleID("/spire/agent/x509pop/host")}}}
	for address, service := range []string{lab.SPIREServer, lab.SPIREAgent, lab.Server, lab.Client, lab.Tools} {
		user := map[string]string{lab.Server: lab.ServerUser, lab.Client: lab.ClientUser}[service]
		known.Containers = append(known.Containers, facts.Container{Service: service, User: user, Status: "running",
			Networks: map[string]facts.Network{"lab": {Address: fmt.Sprintf("10.0.0.%d", address+1)}}})
	}
	return known
}

const (
	clientHolds = "client-1 | " + stamp + "identity spiffe://example.org/client, serial AA, expires 2026-11-25T13:00:00Z"
	serverHolds = "server-1 | " + stamp + "identity spiffe://example.org/server, serial BB, expires 2026-11-25T13:00:00Z"
	refusal     = "server-1 | " + stamp + "2026/11/25 12:00:00 http: TLS handshake error from 10.0.0.4:5000: "
)

// TestArrows: each event must change the right arrow. The arrow must have the side that refused, and the message of this side.
func TestArrows(t *testing.T) {
	clientSays := "client-1 | " + stamp + `Error connecting to "https://server:8443/": Get "https://server:8443/": `
	agentSays := "spire-agent-1 | " + stamp + `time="2026-11-25T12:00:00Z" level=error msg=`
	serverSays := "spire-server-1 | " + stamp + `time="2026-11-25T12:00:00Z" level=info msg=`
	for _, test := range []struct{ line, arrow, verdict, refuser, reason, label string }{
		{`server-1 | ` + stamp + `2026/11/25 12:00:00 Request received from "spiffe://example.org/client": GET "/"`, "request-client-server", Served, "", "", "served"},
		{refusal + `unexpected ID "spiffe://example.org/server"`, "request-process-server", Refused, cellServer, `unexpected ID "spiffe://example.org/server"`, "REFUSED"},
		{refusal + `unexpected ID "spiffe://example.org/client"`, "request-client-server", Refused, cellServer, `unexpected ID "spiffe://example.org/client"`, "REFUSED"},
		{strings.Replace(refusal, "10.0.0.4", "10.0.0.5", 1) + "tls: client didn't provide a certificate", "request-process-server", Refused, cellServer, "tls: client didn't provide a certificate", "REFUSED"},
		{clientSays + `unexpected ID "spiffe://example.org/server/no"`, "request-client-extra", Refused, cellClient, `unexpected ID "spiffe://example.org/server/no"`, "REFUSED"},
		{clientSays + "remote error: tls: bad certificate", "request-client-server", Refused, cellServer, "bad certificate", "REFUSED"},
		{clientSays + "dial tcp 10.0.0.3:8443: connect: connection refused", "request-client-server", NotReached, "", "", NotReached},
		{agentSays + `"No identity issued" selectors="unix:user:guest-workload,unix:path:/bin/svid"`, "identity-process-agent", Refused, cellAgent, "the agent has no entry that matches the process", "NO IDENTITY"},
		{agentSays + `"No identity issued" selectors="unix:user:client-workload,unix:path:/opt/spiffe-lab/bin/client"`, "identity-client-agent", Refused, cellAgent, "the agent has no entry that matches the process", "NO IDENTITY"},
		{agentSays + `"Connection failed during accept" error="could not resolve caller information"`, "identity-process-agent", Refused, cellAgent, "Connection failed during accept: could not resolve caller information", "NO IDENTITY"},
		{agentSays + `"x" error="rpc error: code = PermissionDenied desc = agent is banned"`, "spire-agent-spire-server", Refused, cellSPIREServer, "x: rpc error: code = PermissionDenied desc = agent is banned", "REFUSED"},
		{agentSays + `"x" error="authentication handshake failed: x509svid: no"`, "spire-agent-spire-server", Refused, cellAgent, "x: x509svid: no", "REFUSED"},
		{serverSays + `"Agent deleted"`, "spire-agent-spire-server", Refused, cellSPIREServer, "", "EVICTED"},
		{agentSays + `"Successfully reattested node" spiffe_id="spiffe://example.org/spire/agent/x509pop/host"`, "spire-agent-spire-server", Happened, "", "", "attested"},
		{"server-1 | " + stamp + "X.509-SVID of spiffe://example.org/server rotated: serial BB -> CC, expires 2026-11-25T14:00:00Z", "identity-agent-server", Happened, "", "", "new SVID"},
	} {
		hub := NewHub("lab")
		hub.Know(running(), noon)
		draws(t, hub, clientHolds, serverHolds)
		before := hub.reader.next
		got, ok := draws(t, hub, test.line)[test.arrow]
		if !ok || got.Row <= before || got.Verdict != test.verdict || got.Refuser != test.refuser || got.Reason != test.reason || got.Label != test.label {
			t.Errorf("%s\nchanges %+v;\nwant %+v", test.line, got, test)
		}
		for _, row := range hub.rows {
			if row.Number == got.Row && row.Arrow != got.ID {
				t.Errorf("the row of %s points to %q", got.ID, row.Arrow)
			}
		}
	}
}

// TestRefusalStays: a refusal must stay until the next event between the same two parts. A served request between other parts must change
// neither the arrow nor the headline.
func TestRefusalStays(t *testing.T) {
	hub := NewHub("lab")
	hub.Know(running(), noon)
	served := `server-1 | ` + strings.Replace(stamp, "12:00:00", "12:00:09", 1) + `2026/11/25 12:00:00 Request received from "spiffe://example.org/client": GET "/"`
	arrows := draws(t, hub, clientHolds, serverHolds, refusal+`unexpected ID "spiffe://example.org/server"`, served)
	if arrows["request-process-server"].Verdict != Refused || arrows["request-client-server"].Verdict != Served {
		t.Errorf("the arrows are %+v", arrows)
	}
	if got := hub.pictureNow(); !got.Refused || !strings.Contains(got.Headline, "unexpected ID") || got.Arrow != "request-process-server" {
		t.Errorf("the headline is %q", got.Headline)
	}
	draws(t, hub, strings.Replace(refusal, "12:00:00", "12:00:20", 1)+`unexpected ID "spiffe://example.org/client"`, strings.Replace(served, "12:00:09", "12:00:30", 1))
	if got := hub.pictureNow(); got.Refused || got.Headline != "server serves client as spiffe://example.org/client" {
		t.Errorf("after the pair was served the headline is %q", got.Headline)
	}
	hub.Screen("begin ban: x", noon)
	if arrows := draws(t, hub); arrows["request-process-server"].ID != "" || arrows["request-client-server"].Verdict != Served {
		t.Errorf("the next scenario begins with %+v", arrows)
	}
}

// TestStoppedPart: a stopped part must be crossed out. The arrows to and from this part must be dashed.
func TestStoppedPart(t *testing.T) {
	for service, want := range map[string][]string{
		lab.SPIREAgent:  {"identity-agent-client", "identity-agent-server", "spire-agent-spire-server"},
		lab.SPIREServer: {"spire-agent-spire-server"},
		lab.Server:      {"identity-agent-server", "request-client-server"},
	} {
		hub := NewHub("lab")
		hub.Know(running(), noon)
		arrows := draws(t, hub, clientHolds, serverHolds, service+"-1 exited with code 0")
		var dashed []string
		for _, id := range []string{"identity-agent-client", "identity-agent-server", "request-client-server", "spire-agent-spire-server"} {
			if arrows[id].Dashed {
				dashed = append(dashed, id)
			}
		}
		if fmt.Sprint(dashed) != fmt.Sprint(want) {
			t.Errorf("without %s these are dashed: %q, want %q", service, dashed, want)
		}
		for _, box := range hub.pictureNow().Boxes {
			if (box.Stopped != "") != (box.Cell == cellOf[service]) {
				t.Errorf("without %s: %s is %q", service, box.Cell, box.Stopped)
			}
		}
	}
}

// TestLatestWord: the latest source decides whether a part runs. The sources are the engine, Compose, and the part's log.
func TestLatestWord(t *testing.T) {
	at := func(clock string) string { return strings.Replace(stamp, "12:00:00", clock, 1) }
	hub := NewHub("lab")
	unknown := map[string]string{}
	know := func(status string, after time.Duration) {
		known := running()
		known.Unknown = unknown
		known.Containers[3].Status = status
		hub.Know(known, noon.Add(after))
	}
	says := func(when, want string) {
		t.Helper()
		for _, box := range hub.pictureNow().Boxes {
			if box.Cell == cellClient && box.Stopped != want {
				t.Errorf("%s the client is %q, want %q", when, box.Stopped, want)
			}
		}
		if dashed := draws(t, hub)["request-client-server"].Dashed; dashed != (want != "") {
			t.Errorf("%s its arrow is dashed: %t", when, dashed)
		}
	}
	know("paused", 10*time.Second)
	says("paused,", "paused")
	draws(t, hub, "client-1 | "+at("12:00:07")+"Success!!!")
	says("after a line from before the pause", "paused")
	draws(t, hub, "client-1 | "+at("12:00:11")+"Success!!!")
	says("after a line that came later", "")
	unknown[runsNow] = "a scenario pauses the lab"
	know("paused", 12*time.Second)
	says("with the same facts, because nothing was asked,", "")
	delete(unknown, runsNow)
	know("paused", 13*time.Second)
	says("paused again,", "paused")
	know("running", 14*time.Second)
	draws(t, hub, "client-1 exited with code 0")
	says("exited, as Compose says,", "exited")
	know("exited", 20*time.Second)
	says("ended", "exited")
	know("running", 30*time.Second)
	says("started again, and silent,", "")
}

// TestServerBesideItsClient: a server in the same container as its client must have a separate box. The message of openssl about an alert
// must be shortened.
func TestServerBesideItsClient(t *testing.T) {
	hub := NewHub("lab")
	hub.Know(running(), noon)
	hub.Screen("command docker compose exec --user client-workload tools sh -c 'openssl s_client -ign_eof -connect tools:8443 2>&1'", noon)
	hub.Screen("said 801BAC7AB07F0000:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:../ssl/record/rec_layer_s3.c:1601:SSL alert number 42", noon)
	if got, want := draws(t, hub)["request-process-extra"].Sentence, "another server (in tools) refuses tools (client-workload), which receives only: sslv3 alert bad certificate"; got != want {
		t.Errorf("the arrow says %q, want %q", got, want)
	}
	draws(t, hub, strings.Replace(refusal, "10.0.0.4", "10.0.0.5", 1)+"tls: client didn't provide a certificate")
	if last := hub.rows[len(hub.rows)-1]; len(hub.rows) != 2 || len(last.Said) != 1 || last.To.Where != lab.Server {
		t.Errorf("the message of the lab's server is joined to a request to a different server: %+v", hub.rows)
	}
}

// TestRemovedPart: a part that a scenario has removed must be crossed out until it does something again.
func TestRemovedPart(t *testing.T) {
	hub := NewHub("lab")
	hub.Know(running(), noon)
	says := func(when, want string, dashed bool) {
		t.Helper()
		for _, box := range hub.pictureNow().Boxes {
			if box.Cell == cellProcess && box.Stopped != want {
				t.Errorf("%s the part is %q, want %q", when, box.Stopped, want)
			}
		}
		if got := draws(t, hub)["request-process-server"]; got.ID == "" || got.Dashed != dashed {
			t.Errorf("%s its arrow is %+v", when, got)
		}
	}
	line := strings.Replace(refusal, "10.0.0.4", "10.0.0.5", 1) + "tls: client didn't provide a certificate"
	draws(t, hub, line)
	says("refused,", "", false)
	without := running()
	without.Containers = without.Containers[:4]
	hub.Know(without, noon)
	says("removed,", "not there", true)
	hub.Screen("command docker compose exec tools curl https://server:8443/", noon.Add(20*time.Second))
	hub.Screen("said curl: (56) OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required", noon.Add(20*time.Second))
	says("in a container that the facts do not have yet,", "", false)
	hub.Know(Facts{}, noon)
	hub.Know(running(), noon)
	draws(t, hub, strings.Replace(line, "12:00:00", "12:01:00", 1))
	says("back,", "", false)
}

// TestSteadyWaits: the continuous requests of a scenario must not replace a refusal in the same cell at once.
func TestSteadyWaits(t *testing.T) {
	hub := NewHub("lab")
	hub.Know(running(), noon)
	steady := func(clock string) bool {
		return draws(t, hub, "server-1 | "+strings.Replace(stamp, "12:00:00", clock, 1)+`2026/11/25 12:00:00 Request received from "spiffe://example.org/client": GET "/steady"`)["request-process-server"].ID != ""
	}
	none := `spire-agent-1 | ` + stamp + `time="2026-11-25T12:00:00Z" level=error msg="No identity issued" selectors="unix:user:guest-workload,unix:path:/opt/spiffe-lab/bin/host"`
	if draws(t, hub, none)["identity-process-agent"].Verdict != Refused || steady("12:00:05") || draws(t, hub)["identity-process-agent"].Verdict != Refused {
		t.Errorf("5 s after a refusal: %+v", draws(t, hub))
	}
	if !steady("12:00:16") || draws(t, hub)["identity-process-agent"].ID != "" {
		t.Errorf("16 s after a refusal: %+v", draws(t, hub))
	}
}

// TestAnotherAnswers: while the server is stopped, a different process that answers under the server's name must have a separate box.
func TestAnotherAnswers(t *testing.T) {
	clientSays := "client-1 | " + stamp + `Error connecting to "https://server:8443/": Get "https://server:8443/": `
	hub := NewHub("lab")
	known := running()
	known.Containers[2].Status = "exited"
	known.Containers = append(known.Containers, facts.Container{Service: impostor, Status: "running"})
	hub.Know(known, noon)
	arrows := draws(t, hub, clientHolds, clientSays+"dial tcp 10.0.0.3:8443: connect: connection refused")
	if arrows["request-client-extra"].ID != "" {
		t.Errorf("nobody answered, and the arrow is %+v", arrows["request-client-extra"])
	}
	unknown := "x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority"
	got := draws(t, hub, clientSays+unknown)["request-client-extra"]
	if got.Verdict != Refused || got.Refuser != cellClient || got.Dashed || got.Sentence != `client refuses impostor (answers to the name "server"): `+unknown {
		t.Errorf("the client refuses: %+v", got)
	}
	for _, box := range hub.pictureNow().Boxes {
		if want := `impostor: answers to the name "server"; certificate of an unknown CA`; box.Cell == cellExtra && box.Sentence != want {
			t.Errorf("the other part is %q, want %q", box.Sentence, want)
		}
	}
	for i, status := range []string{"running", "paused"} {
		known := running()
		known.Containers[2].Status = status
		hub.Know(known, noon.Add(time.Minute))
		before := hub.reader.next
		got := draws(t, hub, strings.Replace(clientSays, "12:00:00", fmt.Sprintf("12:0%d:01", i+1), 1)+unknown)
		if arrow := got["request-client-server"]; arrow.Row <= before || (status == "running") != (arrow.Refuser == cellClient) {
			t.Errorf("with a server that is %s: %+v", status, arrow)
		}
	}
}

// TestIdentityComesAndGoes: if a process got an SVID and was also refused one, the later event must decide which arrow is drawn. The result
// must be the same in every run.
func TestIdentityComesAndGoes(t *testing.T) {
	none := "spire-agent-1 | " + stamp + `time="2026-11-25T12:00:00Z" level=error msg="No identity issued" selectors="unix:user:client-workload,unix:path:/opt/spiffe-lab/bin/client"`
	for range 20 {
		hub := NewHub("lab")
		hub.Know(running(), noon)
		if arrows := draws(t, hub, clientHolds, none); arrows["identity-agent-client"].ID != "" || arrows["identity-client-agent"].Verdict != Refused {
			t.Fatalf("without an identity: %+v", arrows)
		}
		if arrows := draws(t, hub, strings.Replace(clientHolds, "serial AA", "serial CC", 1)); arrows["identity-agent-client"].Verdict != Happened || arrows["identity-client-agent"].ID != "" {
			t.Fatalf("with an SVID again: %+v", arrows)
		}
	}
}

// TestMarks: each CA must keep its letter while the console runs. A CA of another trust domain must have a different shape.
func TestMarks(t *testing.T) {
	hub := NewHub("lab")
	known := running()
	see := func(keys ...string) {
		own := observation.Bundle{TrustDomain: lab.TrustDomain}
		for _, key := range keys {
			own.Authorities = append(own.Authorities, observation.Certificate{Key: key})
		}
		known.Observations = []*observation.Observation{{User: lab.ServerUser, SVIDs: []observation.Certificate{{ID: lab.ServerID, Serial: "BB", SignedBy: keys[len(keys)-1]}},
			Bundles: []observation.Bundle{own, {TrustDomain: "partner.test", Authorities: []observation.Certificate{{Key: "77"}}}}}}
		hub.Know(known, noon)
	}
	known.Authorities = &facts.Authorities{Active: &facts.Authority{ID: "11"}}
	see("11")
	draws(t, hub, serverHolds)
	known.Authorities = &facts.Authorities{Active: &facts.Authority{ID: "22"}, Old: &facts.Authority{ID: "11"}}
	see("11", "22")
	boxes := map[string]string{}
	for _, box := range hub.pictureNow().Boxes {
		boxes[box.Cell] = box.Sentence
	}
	if got, want := boxes[cellServer], "server: spiffe://example.org/server; SVID until 13:00:00, signed by CA B; trusts CA A and CA B and CA P of partner.test"; got != want {
		t.Errorf("the server's box says %q, want %q", got, want)
	}
	if got, want := boxes[cellSPIREServer], "SPIRE server: signs CA B; old CA A"; got != want {
		t.Errorf("the SPIRE server's box says %q, want %q", got, want)
	}
	see("22")
	for _, box := range hub.pictureNow().Boxes {
		if box.Cell == cellServer && (len(box.Trusts) != 2 || box.Trusts[0].Letter != "B" || box.Trusts[1].Foreign != "partner.test") {
			t.Errorf("the server trusts %+v", box.Trusts)
		}
	}
}

// TestProcessIsNamed: a process must have the name that a person typed, although the agent sees the target of the link with this name.
func TestProcessIsNamed(t *testing.T) {
	for _, test := range []struct{ user, path, want string }{
		{"guest-workload", "/opt/spiffe-lab/bin/host", "guest-workload runs svid"},
		{"guest-workload", "/opt/spiffe-lab/bin/client", "guest-workload runs client"},
		{"", "/opt/spiffe-lab/bin/host", "user 4242 runs svid"},
		{lab.ClientUser, "/opt/spiffe-lab/bin/host", "client-workload runs host"},
	} {
		why := &Why{User: test.user, Selectors: []string{"unix:uid:4242", "unix:path:" + test.path}}
		if got := newPainter().process(&Row{Why: why}).Who; got != test.want {
			t.Errorf("%s of %q: %q, want %q", test.path, test.user, got, test.want)
		}
	}
}

// TestMissing: if a process gets no identity, the reason must name what is missing.
func TestMissing(t *testing.T) {
	entry := func(id string, undelivered bool, selectors, missing []string) WhyEntry {
		return WhyEntry{ID: id, Parent: "spiffe://example.org/x", Undelivered: undelivered, Selectors: selectors, Missing: missing}
	}
	user, hash := "unix:user:guest-workload", "unix:sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		why  Why
		want string
	}{
		{Why{}, "the process had exited before the agent could examine it"},
		{Why{Selectors: []string{"unix:uid:4242"}}, "the agent knows no name for its user, so the process has no selector unix:user"},
		{Why{User: "guest-workload", Selectors: []string{user}, Entries: []WhyEntry{entry("client", false, []string{"unix:user:a"}, []string{"unix:user:a"})}}, "no entry has the selector unix:user:guest-workload"},
		{Why{User: "guest-workload", Selectors: []string{user}, Entries: []WhyEntry{entry("client", false, []string{"unix:user:a"}, []string{"unix:user:a"}), entry("guest", false, []string{user, hash}, []string{hash})}}, "the entry guest also requires unix:sha256:01234567…"},
		{Why{User: "guest-workload", Selectors: []string{user}, Entries: []WhyEntry{entry("guest", true, []string{user}, nil)}}, "the entry guest has the parent spiffe://example.org/x, which is not this host"},
		{Why{User: "guest-workload", Selectors: []string{user}, Entries: []WhyEntry{entry("guest", false, []string{user}, nil)}}, "the agent has no SVID for the entry guest now"},
	} {
		if got := test.why.reason(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestEntryOfJustNow: the console learns about a new entry only after a delay. Even after this delay, an entry must explain an earlier
// refusal if the process lacks a selector of the entry. An entry that matches cannot explain the refusal, because the entry was created
// after the refusal.
func TestEntryOfJustNow(t *testing.T) {
	hub := NewHub("lab")
	known := running()
	hub.Know(known, noon)
	draws(t, hub, `spire-agent-1 | `+stamp+`time="2026-11-25T12:00:00Z" level=error msg="No identity issued" selectors="unix:user:guest-workload,unix:path:/bin/svid"`)
	entry := facts.Entry{ID: "guest", SPIFFEID: exampleID("/guest"), ParentID: exampleID("/spire/agent/x509pop/host"), Selectors: []facts.Selector{{Type: "unix", Value: "user:guest-workload"}, {Type: "unix", Value: "path:/bin/other"}}}
	know := func(after time.Duration, selectors []facts.Selector) string {
		entry.Selectors = selectors
		known.Entries = []facts.Entry{entry}
		hub.Know(known, noon.Add(after))
		for _, arrow := range hub.pictureNow().Arrows {
			if arrow.ID == "identity-process-agent" {
				return arrow.Reason
			}
		}
		return "no arrow"
	}
	both := entry.Selectors
	if got := know(time.Second, both[:1]); got != "the agent has no entry that matches the process" {
		t.Errorf("an entry that was made later and matches: %q", got)
	}
	if got := know(2*time.Second, both); got != "the entry guest also requires unix:path:/bin/other" {
		t.Errorf("an entry that lacks a selector: %q", got)
	}
	if got := know(time.Minute, append(both, facts.Selector{Type: "unix", Value: "gid:7"})); got != "the entry guest also requires unix:path:/bin/other" {
		t.Errorf("a minute later: %q", got)
	}
	hub.Screen("command docker compose exec spire-server x entry create -entryID a", noon.Add(time.Hour))
	if !hub.Wants(noon.Add(time.Hour), noon.Add(time.Hour+500*time.Millisecond)) || hub.Wants(noon.Add(time.Hour), noon.Add(time.Hour+600*time.Millisecond)) {
		t.Error("after a change of an entry, the facts are not asked for at once, or twice")
	}
}

// TestPresentWhy: the selectors of a workload must be compared with the entries even before the workload asks for an SVID.
func TestPresentWhy(t *testing.T) {
	known := someFacts()
	known.Observations = []*observation.Observation{{User: "client-workload", UID: 1112, GID: 7, Program: "client", Programs: map[string]string{"/bin/client": "abc", "/bin/server": "def"}}}
	why := known.Describe(nil).Why
	if len(why) != 1 || strings.Join(why[0].Selectors, " ") != "unix:user:client-workload unix:uid:1112 unix:gid:7 unix:path:/bin/client unix:sha256:abc" || why[0].Entries[0].lacks() != 0 {
		t.Errorf("the present state is %+v", why)
	}
}

// TestServedCostsNothing: while all requests are served, the picture must stay the same, so that no browser draws it again.
func TestServedCostsNothing(t *testing.T) {
	hub := NewHub("lab")
	hub.Know(running(), noon)
	b := hub.join()
	draws(t, hub, clientHolds, serverHolds)
	for second := range 3 {
		draws(t, hub, fmt.Sprintf(`server-1 | %s2026/11/25 12:00:00 Request received from "spiffe://example.org/client": GET "/"`, strings.Replace(stamp, "12:00:00", fmt.Sprintf("12:01:%02d", second), 1)))
		u := hub.take(b, noon)
		if (u.Picture != nil) != (second == 0) || len(u.Rows) == 0 || u.Rows[len(u.Rows)-1].Arrow != "request-client-server" {
			t.Errorf("request %d: the picture is %s, and the rows are %+v", second+1, u.Picture, u.Rows)
		}
	}
}

// TestRecordAndReplay: a replay must show the same page as the recorded lab.
func TestRecordAndReplay(t *testing.T) {
	live := NewHub("lab")
	live.Know(running(), noon)
	draws(t, live, clientHolds, serverHolds, "client-1 | "+stamp+"of no interest")
	var out bytes.Buffer
	live.Record(&out, noon)
	later := noon.Add(time.Minute)
	live.Screen("begin bad-id: the expectation", later)
	live.Screen("step 1. x", later)
	live.Screen("command docker compose exec --user server-workload client client", later)
	live.Screen("said -----BEGIN PRIVATE KEY-----", later)
	live.Log(refusal+`unexpected ID "spiffe://example.org/server"`, later)
	known := running()
	known.Containers[1].Status = "exited"
	known.Entries = someFacts().Entries
	live.Know(known, later)
	live.Know(known, later.Add(time.Second))
	live.ScenarioEnds(later.Add(time.Second))
	live.ScenarioEnds(later.Add(2 * time.Second))
	if !strings.Contains(out.String(), "serial AA") || !strings.Contains(out.String(), "serial BB") {
		t.Errorf("the recording does not begin with the SVIDs that the programs hold:\n%s", out.String())
	}
	if strings.Contains(out.String(), "PRIVATE KEY") {
		t.Errorf("what a program printed is in the recording:\n%s", out.String())
	}
	if lines := strings.Count(out.String(), "\n"); lines != 9 {
		t.Errorf("the recording has %d lines, want 9: unchanged parts are not written again\n%s", lines, out.String())
	}
	file := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	events, err := readRecording(file)
	if err != nil {
		t.Fatal(err)
	}
	hub := NewHub("lab")
	p := newPlayer(file, hub, events)
	p.seek(len(p.stops))
	want, _ := json.Marshal(live.pictureNow())
	got, _ := json.Marshal(hub.pictureNow())
	if string(got) != string(want) {
		t.Errorf("the replay shows\n%s\nand the lab showed\n%s", got, want)
	}
	if hub.state.Scenario == nil || hub.state.Scenario.Ended != "interrupted" || p.clock() != later.Add(time.Second) {
		t.Errorf("the replay ends at %v with the scenario %+v", p.clock(), hub.state.Scenario)
	}

	// Steps back and forward must lead to the same picture. After a step back, the browser must drop the later rows.
	b := hub.join()
	hub.take(b, noon)
	p.do("back")
	if u := hub.take(b, noon); !u.Fresh || u.State.Replay.Step != len(p.stops)-1 {
		t.Errorf("one step back: %+v, %+v", u, u.State.Replay)
	}
	p.do("1")
	if got := hub.pictureNow(); got.Refused {
		t.Errorf("the first step shows %q", got.Headline)
	}
	for range len(p.stops) {
		p.do("next")
	}
	if got, _ := json.Marshal(hub.pictureNow()); string(got) != string(want) {
		t.Errorf("back and forward again shows\n%s", got)
	}
}

// TestPlay: the player must play a recording to its end, and stop there.
func TestPlay(t *testing.T) {
	events := []event{{At: noon, Log: clientHolds}, {At: noon.Add(time.Millisecond), Log: serverHolds}, {At: noon.Add(20 * time.Millisecond), Log: refusal + "tls: x"}}
	hub := NewHub("lab")
	p := newPlayer("x", hub, events)
	go p.run(t.Context())
	p.asked <- "1"
	p.asked <- "play"
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		hub.mu.Lock()
		replay := *hub.replay
		hub.mu.Unlock()
		if !replay.Playing && replay.Step == replay.Steps {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it does not reach its end: %+v", replay)
		}
	}
}

// TestNoRecording: a file that is no recording must be refused with its name and a reason.
func TestNoRecording(t *testing.T) {
	dir := t.TempDir()
	first := `{"recording":"` + format + `","at":"2026-11-25T12:00:00Z"}` + "\n"
	event := `{"at":"2026-11-25T12:00:00Z","idle":true}` + "\n"
	for name, test := range map[string]struct{ text, want string }{
		"none":          {"", "no such file"},
		"empty":         {"\n", "line 1"},
		"a log":         {"server-1 | x\n", "line 1"},
		"another":       {`{"recording":"x"}` + "\n" + event, "its first line does not say"},
		"only begun":    {first, "it has no event"},
		"broken":        {first + "nonsense\n" + event, "line 2"},
		"a wrong fact":  {first + `{"facts":{"entries":7}}` + "\n" + event, "line 2: the entries"},
		"cut, but good": {first + event + `{"at":"2026-`, ""},
	} {
		file := filepath.Join(dir, name)
		if name != "none" {
			if err := os.WriteFile(file, []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, err := readRecording(file)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file)) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
	if _, err := createRecording(filepath.Join(dir, "broken")); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a file that exists: %v", err)
	}
	if _, err := createRecording(filepath.Join(dir, "none", "x")); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("a folder that does not exist: %v", err)
	}
}
