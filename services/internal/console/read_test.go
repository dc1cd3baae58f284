package console

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
)

var updateRows = flag.Bool("update", false, "write the rows of the recorded logs; read them before you commit them")

// TestRecorded: the recording of each scenario must lead to the expected rows.
func TestRecorded(t *testing.T) {
	scripts, err := filepath.Glob("../../../scripts/scenarios/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".sh")
		t.Run(name, func(t *testing.T) {
			events, err := readRecording("testdata/" + name + ".jsonl")
			if err != nil {
				t.Fatalf("the scenario has to be recorded: %v", err)
			}
			got := story(events)
			golden := "testdata/" + name + ".rows"
			if *updateRows {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("rows differ from %s; got\n%s", golden, got)
			}
		})
	}
}

// story returns all rows except served requests, each in its latest version.
func story(events []event) string {
	hub, known := NewHub("lab"), parts{}
	last := map[int]Row{}
	most := 0
	for _, e := range events {
		feed(hub, e, known)
		for _, row := range hub.rows {
			last[row.Number] = row
			most = max(most, row.Number)
		}
	}
	var out strings.Builder
	served := 0
	for n := 1; n <= most; n++ {
		row := last[n]
		if row.Verdict == Served {
			served++
			continue
		}
		fmt.Fprintf(&out, "%s", row.Verdict)
		if row.RefusedBy != "" {
			fmt.Fprintf(&out, " by %s", row.RefusedBy)
		}
		fmt.Fprintf(&out, ": %s -> %s", name(row.From), name(row.To))
		if row.Count > 1 {
			out.WriteString(", again")
		}
		if row.Lesson != "" {
			fmt.Fprintf(&out, " [%s]", row.Lesson)
		}
		out.WriteByte('\n')
		for _, said := range row.Said {
			fmt.Fprintf(&out, "    %s: %s\n", said.Who, said.Text)
		}
	}
	fmt.Fprintf(&out, "rows of what was served: %d\n", served)
	return out.String()
}

func name(p Party) string {
	if s := strings.TrimSpace(p.ID + " " + p.User + " " + p.Where); s != "" {
		return s
	}
	return "?"
}

const stamp = "2026-11-25T12:00:00Z "

func read(t *testing.T, lines ...string) []Row {
	t.Helper()
	reader := NewReader()
	reader.Know(Facts{Containers: []facts.Container{
		{Service: "client", User: "client-workload", Status: "running", Networks: map[string]facts.Network{"lab": {Address: "172.20.0.4"}}},
		{Service: "server", User: "server-workload", Status: "running", Networks: map[string]facts.Network{"lab": {Address: "172.20.0.3"}}},
	}}, noon)
	last := map[int]Row{}
	for _, text := range lines {
		line, ok := ParseLine(text)
		if !ok {
			t.Fatalf("not a line of Compose: %q", text)
		}
		for _, row := range reader.Read(line) {
			last[row.Number] = row
		}
	}
	var rows []Row
	for n := 1; n <= len(last); n++ {
		rows = append(rows, last[n])
	}
	return rows
}

func TestWhoRefused(t *testing.T) {
	server := "server-1 | " + stamp + "2026/11/25 12:00:00 http: TLS handshake error from 172.20.0.4:5000: "
	client := "client-1 | " + stamp + `Error connecting to "https://server:8443/": Get "https://server:8443/": `
	for _, test := range []struct{ line, verdict, by, lesson string }{
		{server + `unexpected ID "spiffe://example.org/server"`, Refused, theServer, "bad-id"},
		{server + "tls: client didn't provide a certificate", Refused, theServer, "no-certificate"},
		{server + "tls: client offered only unsupported versions: [302 301]", Refused, theServer, "old-tls"},
		{server + "client sent an HTTP request to an HTTPS server", Refused, theServer, "plain-http"},
		{server + "x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority", Refused, theServer, "foreign-ca"},
		{server + `x509svid: could not get X509 bundle: x509bundle: no X.509 bundle for trust domain "partner.test"`, Refused, theServer, "foreign-trust-domain"},
		{server + "remote error: tls: bad certificate", Refused, theClient, ""},
		{server + "EOF", NotReached, "", ""},
		{server + "read tcp 172.20.0.3:8443->172.20.0.4:5000: i/o timeout", NotReached, "", ""},
		{client + `unexpected ID "spiffe://example.org/impostor"`, Refused, theClient, "bad-server-id"},
		{client + "x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority", Refused, theClient, "foreign-server-ca"},
		{client + "x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: current time", Refused, theClient, "expired"},
		{client + "remote error: tls: bad certificate", Refused, theServer, ""},
		{client + "dial tcp 172.20.0.3:8443: connect: connection refused", NotReached, "", ""},
		{client + "context deadline exceeded (Client.Timeout exceeded while awaiting headers)", NotReached, "", ""},
	} {
		rows := read(t, test.line)
		if len(rows) != 1 {
			t.Fatalf("%s: %d rows, want 1", test.line, len(rows))
		}
		if row := rows[0]; row.Verdict != test.verdict || row.RefusedBy != test.by || row.Lesson != test.lesson {
			t.Errorf("%s:\n  %q by %q, lesson %q; want %q by %q, lesson %q", test.line, row.Verdict, row.RefusedBy, row.Lesson, test.verdict, test.by, test.lesson)
		}
	}
}

// TestJoined: a line of the client and a line of the server about the same connection must become one row. Their order
// must not matter.
func TestJoined(t *testing.T) {
	server := "server-1 | 2026-11-25T12:00:00.2Z 2026/11/25 12:00:00 http: TLS handshake error from 172.20.0.4:5000: "
	client := "client-1 | 2026-11-25T12:00:00.1Z " + `Error connecting to "https://server:8443/": Get "https://server:8443/": `
	wrong, alert := `unexpected ID "spiffe://example.org/server"`, "remote error: tls: bad certificate"
	for _, test := range []struct {
		lines []string
		by    string
	}{
		{[]string{server + wrong, client + alert}, theServer},
		{[]string{client + alert, server + wrong}, theServer},
		{[]string{client + wrong, server + alert}, theClient},
		{[]string{server + alert, client + wrong}, theClient},
	} {
		rows := read(t, test.lines...)
		if len(rows) != 1 || len(rows[0].Said) != 2 || rows[0].RefusedBy != test.by || rows[0].From.Where != "client" || rows[0].To.Where != "server" {
			t.Errorf("%q made %+v; want one row with the messages of both sides, refused by %s", test.lines, rows, test.by)
		}
	}
	apart := strings.Replace(client+alert, "12:00:00.1Z", "12:00:09Z", 1)
	if rows := read(t, server+wrong, apart); len(rows) != 2 {
		t.Errorf("lines 9 s apart made %d rows, want 2", len(rows))
	}
	other := strings.Replace(client+alert, "client-1", "steady-1", 1)
	if rows := read(t, server+wrong, other); len(rows) != 2 {
		t.Errorf("lines of two clients made %d rows, want 2", len(rows))
	}
}

func TestServedAreCounted(t *testing.T) {
	var lines []string
	for second := range 5 {
		lines = append(lines, fmt.Sprintf(`server-1 | 2026-11-25T12:00:%02d.1Z 2026/11/25 12:00:00 Request received from "spiffe://example.org/client": GET "/"`, second),
			fmt.Sprintf("client-1 | 2026-11-25T12:00:%02d.2Z Success!!!", second))
	}
	rows := read(t, lines...)
	if len(rows) != 1 || rows[0].Count != 5 || rows[0].From.ID != "spiffe://example.org/client" {
		t.Errorf("5 served requests made %+v; want one row that counts 5", rows)
	}
}

func TestTyped(t *testing.T) {
	reader := NewReader()
	reader.Know(Facts{Containers: []facts.Container{{Service: "client", User: "client-workload", Status: "running", Networks: map[string]facts.Network{"lab": {Address: "172.20.0.4"}}}}}, noon)
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	line, _ := ParseLine(`server-1 | 2026-11-25T12:00:00Z 2026/11/25 12:00:00 http: TLS handshake error from 172.20.0.4:5000: unexpected ID "spiffe://example.org/server"`)
	reader.Read(line)
	var screen Screen
	screen.Read("begin bad-id: the expectation", at, reader)
	screen.Read("step 2. The same program", at, reader)
	screen.Read("command docker compose exec --user server-workload client client", at, reader)
	_, rows := screen.Read(`said Error connecting to "https://server:8443/": Get "https://server:8443/": remote error: tls: bad certificate`, at.Add(time.Second), reader)
	if len(rows) != 1 || rows[0].Number != 1 || rows[0].From.User != "server-workload" || len(rows[0].Said) != 2 {
		t.Errorf("the typed command made %+v; want one row with the server's message", rows)
	}
	if screen.Now.Name != "bad-id" || screen.Now.Expectation != "the expectation" || screen.Now.Step != "2. The same program" {
		t.Errorf("the screen shows %+v", screen.Now)
	}
	if _, rows := screen.Read("said nothing that is known", at, reader); rows != nil {
		t.Errorf("other output made %+v", rows)
	}
	alert := "said 4057:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate"
	for command, want := range map[string]string{
		"openssl s_client -connect tools:8443 -ign_eof":       "tools",
		"sh -c 'curl -sS https://path-server:8443/ --cert a'": "path-server",
		"openssl s_client -brief":                             "server",
	} {
		screen.Read("command docker compose exec --user client-workload tools "+command, at, reader)
		if _, rows := screen.Read(alert, at.Add(time.Minute), reader); len(rows) != 1 || rows[0].To.Where != want || rows[0].From.Where != "tools" {
			t.Errorf("%s made %+v, want a request to %s", command, rows, want)
		}
	}
	screen.Read("command docker compose exec impostor cat log", at, reader)
	if _, rows := screen.Read(alert, at, reader); rows != nil {
		t.Errorf("the log of a server is read as a client's connection: %v", rows)
	}
}

func TestLinesAreData(t *testing.T) {
	line, ok := ParseLine("server-1  | " + stamp + "a\x1b[31m\x07\u202e<script>\xff" + strings.Repeat("x", 5000))
	if !ok || strings.ContainsAny(line.Text, "\x1b\x07\u202e") || !strings.Contains(line.Text, "<script>") || len(line.Text) > 2100 {
		t.Errorf("%v %q", ok, line.Text)
	}
	for _, text := range []string{"", "nonsense", "server-1 | yesterday Success!!!", "server | " + stamp + "x", "<b>-1 | " + stamp + "x"} {
		if _, ok := ParseLine(text); ok {
			t.Errorf("%q was read as a line", text)
		}
	}
}

// TestExited: Compose 2.40 prints a message about a container that has exited. This message must not count as a log
// line, and must not be reported as unreadable.
func TestExited(t *testing.T) {
	for _, text := range []string{"server-1 exited with code 0", "\r\x1b[Kserver-1 exited with code 0", "\x1b[Kserver-1  exited with code 0 (restarting)"} {
		line, ok := ParseLine(text)
		if !ok || line.Service != "server" || !line.At.IsZero() {
			t.Errorf("%q made %+v, %t", text, line, ok)
		}
		reader := NewReader()
		reader.svids["server"] = SVID{Serial: "1"}
		if reader.Read(line); !reader.ended["server"] || reader.svids["server"].Serial != "" {
			t.Errorf("%q: the server counts as running", text)
		}
	}
	hub := NewHub("lab")
	hub.Log("\r\x1b[Klab-tools-run-5c87f64bf84d exited with code 0", time.Now())
	hub.Log("lab-tools-run-5c87f64bf84d  | "+stamp+"Success!!!", time.Now())
	if len(hub.state.Problems) != 0 {
		t.Errorf("problems: %q", hub.state.Problems)
	}
}
