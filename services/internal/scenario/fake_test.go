package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// noon is the time that the fake lab's clock always shows.
var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// fakeLab is a lab that answers commands by rules, and that has logs.
type fakeLab struct {
	rules      []rule
	logs       map[string][]engine.Line
	containers []engine.Container
	restarts   int
	unserved   error
	ran        []string // every command that has run
	resets     int
}

// rule answers each command that contains a text. A negative status means that the command cannot be started. The output then says why.
type rule struct {
	command string
	status  int
	output  string
}

func (f *fakeLab) answer(line string) (int, string) {
	f.ran = append(f.ran, line)
	for _, rule := range f.rules {
		if strings.Contains(line, rule.command) {
			return rule.status, rule.output
		}
	}
	return 0, ""
}

func (f *fakeLab) Ready(context.Context, io.Writer) error { return nil }
func (f *fakeLab) Reset(context.Context, io.Writer) error { f.resets++; return nil }
func (f *fakeLab) NeedTools(context.Context, io.Writer) error {
	return nil
}

func (f *fakeLab) Run(_ context.Context, extra, words []string, in io.Reader, out, _ io.Writer) (int, error) {
	if in != nil {
		piped, err := io.ReadAll(in)
		if err != nil {
			return 0, err
		}
		words = append(words, "<", strings.TrimSpace(string(piped)))
	}
	status, text := f.answer(strings.Join(append(extra, words...), " "))
	if status < 0 {
		return 0, errors.New(text)
	}
	fmt.Fprintln(out, text)
	return status, nil
}

func (f *fakeLab) Exec(_ context.Context, out, _ io.Writer, service, user string, args ...string) error {
	status, text := f.answer("exec " + service + " " + user + " " + strings.Join(args, " "))
	fmt.Fprintln(out, text)
	if status != 0 {
		return fmt.Errorf("exit status %d", status)
	}
	return nil
}

func (f *fakeLab) Log(_ context.Context, service string, since time.Time) ([]engine.Line, error) {
	lines, ok := f.logs[service]
	if !ok {
		return nil, fmt.Errorf("%w of %s", engine.ErrNoContainer, service)
	}
	var all []engine.Line
	for _, line := range lines {
		if !line.Time.Before(since) {
			all = append(all, line)
		}
	}
	return all, nil
}

func (f *fakeLab) Containers(context.Context) ([]engine.Container, error) { return f.containers, nil }

func (f *fakeLab) Inspect(context.Context, string) (*engine.Inspection, error) {
	i := &engine.Inspection{}
	i.NetworkSettings.Networks = map[string]struct{ IPAddress string }{"default": {"172.30.0.9"}}
	return i, nil
}

func (f *fakeLab) Process(_ context.Context, service string) (engine.Process, error) {
	f.restarts++ // a test sets restarts to 998, so that the second call returns a different process
	return engine.Process{Service: service, PID: 7, Restarts: f.restarts / 1000}, nil
}

func (f *fakeLab) ClientServed(context.Context) error     { return f.unserved }
func (f *fakeLab) Now(context.Context) (time.Time, error) { return noon, nil }

func healthy() *fakeLab {
	return &fakeLab{
		rules: []rule{
			{"--user client-workload client client", 0, "Success!!!"},
			{"--user server-workload client client", 4, `Error connecting to "https://server:8443/": Get "https://server:8443/": remote error: tls: bad certificate`},
		},
		logs: map[string][]engine.Line{
			lab.Server: {{Time: noon.Add(time.Second), Text: `http: TLS handshake error from 1.2.3.4:5: unexpected ID "spiffe://example.org/server"`},
				{Time: noon.Add(-time.Hour), Text: "shutting down"}},
			lab.Client: {{Time: noon, Text: "identity spiffe://example.org/client, serial AB, expires 2026-11-28T13:00:00Z"}},
		},
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func play(t *testing.T, l Lab, script Script) (bool, string) {
	t.Helper()
	var out bytes.Buffer
	place := Place{Dir: root(t), Cache: t.TempDir(), Project: "p"}
	passed := Run(context.Background(), l, place, script, screen.Plain(&out), Options{RunLimit: time.Minute, LogLimit: 50 * time.Millisecond})
	return passed, out.String()
}

func script(t *testing.T, lines string) Script {
	t.Helper()
	file := filepath.Join(t.TempDir(), "try.sh")
	if err := os.WriteFile(file, []byte("# scripts/lab scenario try\n# it must do this\n\n"+lines+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestHelpers: each helper function must pass in one case, and fail in another case.
func TestHelpers(t *testing.T) {
	ran := "run docker compose exec --user client-workload client client\n"
	refused := "run docker compose exec --user server-workload client client\n"
	for _, c := range []struct {
		name, lines string
		want        string // a text of the output; it begins with "FAIL try: " if the script must fail
		change      func(*fakeLab)
	}{
		{"expect_success", ran + "expect_success why", "ok why", nil},
		{"expect_success of a command that fails", refused + "expect_success why", "FAIL try: why: exit status is 4, not 0", nil},
		{"expect_exit", refused + "expect_exit 4 why", "ok why", nil},
		{"expect_exit of another status", ran + "expect_exit 4 why", "FAIL try: why: exit status is 0, not 4", nil},
		{"expect_output", ran + "expect_output Success why", "ok why", nil},
		{"expect_output of what is not there", ran + "expect_output never why", "FAIL try: why: the output lacks: never", nil},
		{"expect_no_output", ran + "expect_no_output never why", "ok why", nil},
		{"expect_no_output of what is there", ran + "expect_no_output Success why", "FAIL try: why: the output has: Success", nil},
		{"expect_soon", "expect_soon 1 Success why docker compose exec --user client-workload client client", "ok why", nil},
		{"expect_soon of what never comes", "expect_soon 0 never why docker compose exec --user client-workload client client", "FAIL try: why: after 0 s the output lacks: never", nil},
		{"a variable, and a pipe", "run FIRST=1 docker compose ps '|' docker compose exec tools cat\nexpect_output '< one' why", "ok why",
			func(f *fakeLab) {
				f.rules = []rule{{"FIRST=1 docker compose ps", 0, "one"}, {"cat < one", 0, "got < one"}}
			}},
		{"a pipe to a tool", "run docker compose ps '|' grep -E '^tw'\nexpect_output two why", "ok why", func(f *fakeLab) { f.rules = []rule{{"ps", 0, "one\ntwo"}} }},
		{"a pipe to a tool that finds nothing", "run docker compose ps '|' grep -E three\nexpect_success why", "FAIL try: why: exit status is 1, not 0", func(f *fakeLab) { f.rules = []rule{{"ps", 0, "one"}} }},
		{"run of another program", "run curl example.org", "FAIL try: run: curl is neither docker nor a tool", nil},
		{"passed", "passed why", "ok why", nil},
		{"fail", "fail why", "FAIL try: why (0 checks", nil},
		{"expect", "expect why true", "ok why", nil},
		{"expect of a function", "yes() { test a = a; }\nexpect why yes", "ok why", nil},
		{"expect of what does not hold", "expect why test a = b", "FAIL try: why: this does not hold: test a = b", nil},
		{"eventually", "eventually 1 why true", "ok why", nil},
		{"eventually of what never holds", "eventually 0 why false", "FAIL try: why: not within 0 s: false", nil},
		{"expect_log", `expect_log server 'unexpected ID' why`, "ok why", nil},
		{"expect_log of what was not logged", "expect_log server never why", "FAIL try: why: server did not log within 0 s: never", nil},
		{"expect_log of what was logged before the step", "expect_log server 'shutting down' why", "FAIL try: why: server did not log", nil},
		{"expect_log without a log", "expect_log tools . why", "FAIL try: why: the log of tools cannot be read: there is no container of tools, so there is no log", nil},
		{"expect_no_log", "expect_no_log server never why", "ok why", nil},
		{"expect_no_log of what was logged", "expect_no_log server unexpected why", "FAIL try: why: server logged: ", nil},
		{"expect_no_log without a log", "expect_no_log tools never why", "FAIL try: why: the log of tools cannot be read", nil},
		{"expect_log_within", "expect_log_within 2 2026-11-28T12:00:00Z server unexpected why", "server logs, 1.00 s later: ", nil},
		{"expect_log_within of what came too late", "expect_log_within 60 2020-01-01T00:00:00Z server unexpected why", "FAIL try: why: it took ", nil},
		{"logged", "expect why logged server unexpected", "ok why", nil},
		{"logged of what was not logged", "expect why logged server never", "FAIL try: why: this does not hold", nil},
		{"log_of", `expect why test "$(log_of server | count)" = 2`, "ok why", nil},
		{"log_of without a log", `expect why test -n "$(log_of tools)"`, "FAIL try: ", nil},
		{"new_lines", `expect why test "$(new_lines server | count)" = 1`, "ok why", nil},
		{"new_lines without a log", `lines=$(new_lines tools)`, "FAIL try: a command failed with exit status 1", nil},
		{"engine_time", `expect why test "$(engine_time)" = 2026-11-28T12:00:00Z`, "ok why", nil},
		{"engine_time with an argument", `engine_time now`, "FAIL try: want: engine_time", nil},
		{"held_until", `expect why test "$(held_until client)" = 2026-11-28T13:00:00Z`, "ok why", nil},
		{"held_until of a program that has logged nothing", `expect why test -n "$(held_until server)"`, "FAIL try: why: this does not hold", nil},
		{"quick", `expect why test "$(quick a b)" = b`, "ok why", nil},
		{"quick with one argument", `quick a`, "FAIL try: want: quick QUICK FULL", nil},
		{"expect_past", "expect_past 0 2026-11-28T11:00:00Z why", "ok why", nil},
		{"expect_past of what is far off", "expect_past 1 2100-01-01T00:00:00Z why", "FAIL try: why: ", nil},
		{"expect_left", "expect_left least 60 0 why client", "ok why", nil},
		{"expect_left of what is valid for too long", "expect_left most 60 0 why client", "FAIL try: why: not within 0 s: the SVID of client has", nil},
		{"countdown", "countdown client", "ok the SVID of client has expired", func(f *fakeLab) {
			f.logs[lab.Client] = []engine.Line{{Time: noon, Text: "identity x, serial AB, expires 2026-11-28T11:00:00Z"}}
		}},
		{"countdown of a program that has logged nothing", "countdown server", "FAIL try: server has not logged which SVID it holds", nil},
		{"expect_rotations", "expect_rotations client spiffe://example.org/client", "ok client: 1 rotations", func(f *fakeLab) {
			f.logs[lab.Client] = []engine.Line{{Time: noon, Text: "X.509-SVID of spiffe://example.org/client rotated: serial AA -> BB, expires 2026-11-28T13:00:00Z"}}
		}},
		{"expect_rotations without one", "expect_rotations client spiffe://example.org/client", "FAIL try: client: there is no rotation", nil},
		{"traffic", "traffic_begins\ntraffic_ends\nexpect_lossless why", "ok why", traffic1},
		{"traffic that does not begin", "traffic_begins", "FAIL try: ", func(f *fakeLab) { f.rules = []rule{{"steady", 1, ""}} }},
		{"traffic_ends without traffic", "traffic_ends", "FAIL try: there is no traffic: traffic_begins comes first", nil},
		{"expect_lossless without traffic", "expect_lossless why", "FAIL try: there is no traffic to judge", nil},
		{"expect_outage without a failure", "traffic_begins\ntraffic_ends\nexpect_outage x why 2026-11-28T12:00:00Z", "FAIL try: why: not one of 1 requests failed", traffic1},
		{"expect_outage", "traffic_begins\ntraffic_ends\nexpect_outage 'bad certificate$' why 2026-11-28T12:00:00Z", "ok why", trafficWithOutage},
		{"expect_outage with other words", "traffic_begins\ntraffic_ends\nexpect_outage ': EOF$' why 2026-11-28T12:00:00Z", "FAIL try: why: ", trafficWithOutage},
		{"expect_lossless of what was lost", "traffic_begins\ntraffic_ends\nexpect_lossless why", "FAIL try: why: ", trafficWithOutage},
		{"expect_same_processes", "see_processes client\nexpect_same_processes why", "ok why", nil},
		{"expect_same_processes of another one", "see_processes client\nexpect_same_processes why", "FAIL try: why: before: client is process 7", func(f *fakeLab) { f.restarts = 998 }},
		{"expect_same_processes without one", "expect_same_processes why", "FAIL try: there is no process to compare", nil},
		{"extras", "extras tools\npassed why", "ok why", nil},
		{"extras of what is not one", "extras server", "FAIL try: extras: server is not a service of", nil},
		{"extras that do not start", "extras tools", "FAIL try: could not start tools", func(f *fakeLab) { f.rules = []rule{{"up --detach", 1, ""}} }},
		{"present", "present server", "ok the client that has been running all the time is served too", nil},
		{"present where docker does not start", "present server", "FAIL try: no docker", func(f *fakeLab) { f.rules = []rule{{"up --detach", -1, "no docker"}} }},
		{"short_lived", "short_lived 3600 client", "ok the running client hold SVIDs with that lifetime", nil},
		{"short_lived of what has no entry", "short_lived 10 tools", "FAIL try: tools has no registration entry", nil},
		{"usual_lives", "usual_lives", "ok both programs hold an SVID", func(f *fakeLab) { f.logs[lab.Server] = f.logs[lab.Client] }},
		{"usual_lives of one", "usual_lives client", "ok both programs hold an SVID", func(f *fakeLab) {
			f.logs[lab.Server] = f.logs[lab.Client]
			f.rules = []rule{{"-entryID server", 1, ""}}
		}},
		{"usual_lives where the update fails", "usual_lives", "FAIL try: the entry for server has the default TTL again: exit status", func(f *fakeLab) { f.rules = []rule{{"entry update", 1, ""}} }},
		{"forge", "forge tools name spiffe://example.org/client\npassed why", "ok why", nil},
		{"forge without openssl", "forge tools name id", "FAIL try: the home-made CA could not be made", func(f *fakeLab) { f.rules = []rule{{"openssl", 127, ""}} }},
		{"join without a token", "join host-b spire-server id", "FAIL try: spire-server generated no token", nil},
		{"expect_refused", "expect_refused 'bad certificate' 'unexpected ID' why", "ok the server refused it for the same reason", func(f *fakeLab) {
			f.rules = []rule{{"openssl s_client", 1, "alert bad certificate"}}
		}},
		{"expect_refused where curl is served", "expect_refused 'bad certificate' 'unexpected ID' why", "FAIL try: curl is not served: the output has: Success!!!", func(f *fakeLab) { f.rules = []rule{{"curl", 0, "Success!!!"}} }},
		{"client_served", "expect why client_served", "ok why", nil},
		{"client_served of a client that is refused", "expect why client_served", "FAIL try: why", func(f *fakeLab) { f.unserved = errors.New("refused") }},
		{"served", "expect why served", "ok why", nil},
		{"served where a new client is refused", "expect why served", "FAIL try: why", func(f *fakeLab) { f.rules = []rule{{"exec client", 4, ""}} }},
		{"spire_server_answers", "expect why spire_server_answers", "ok why", nil},
		{"spire_server_answers of a silent server", "expect why spire_server_answers", "FAIL try: why", func(f *fakeLab) { f.rules = []rule{{"healthcheck", 1, ""}} }},
		{"inside", `expect why test "$(inside tools root echo)" = hello`, "ok why", func(f *fakeLab) { f.rules = []rule{{"exec tools root echo", 0, "hello"}} }},
		{"inside of what is no service", "inside nowhere root true", `SERVICE is "nowhere": want one of`, nil},
		{"server_cli", "server_cli entry show\npassed why", "ok why", nil},
		{"server_cli that fails", "server_cli entry show", "FAIL try: a command failed with exit status 1", func(f *fakeLab) { f.rules = []rule{{"entry show", 1, ""}} }},
		{"volume_exists", "expect why volume_exists disk", "ok why", nil},
		{"volume_exists of one that does not", "expect why volume_exists disk", "FAIL try: why", func(f *fakeLab) { f.rules = []rule{{"volume inspect disk", 1, "no such volume"}} }},
		{"uid_of", `expect why test "$(uid_of client-workload)" -gt 0`, "ok why", nil},
		{"uid_of of nobody", `uid=$(uid_of nobody-here)`, "FAIL try: ", nil},
		{"captured", `expect why test "$(log_of client | captured 'serial ([A-Z]+)')" = AB`, "ok why", nil},
		{"grep", `expect why test "$(log_of server | grep -cE 'ID|down')" = 2`, "ok why", nil},
		{"grep without -E", `log_of server | grep ID`, "FAIL try: want: grep -E REGEX", nil},
		{"tail", `expect why test "$(log_of server | tail -n 1)" = "shutting down"`, "ok why", nil},
		{"tail without a number", `log_of server | tail`, "FAIL try: want: tail -n N", nil},
		{"head", `expect why test "$(log_of server | head -n 1 | grep -cE unexpected)" = 1`, "ok why", nil},
		{"head without a number", `log_of server | head -1`, "FAIL try: want: head -n N", nil},
		{"count with a file", `log_of server | count file`, "FAIL try: count takes no arguments", nil},
		{"key_id", `expect why test "$(say ' 0A:FF ' | key_id)" = 0aff`, "ok why", nil},
		{"key_id with an argument", `say a | key_id b`, "FAIL try: key_id takes no arguments", nil},
		{"authority", "run docker compose ps\nexpect why test \"$(say \"$output\" | authority Active)\" = ab", "ok why", func(f *fakeLab) {
			f.rules = []rule{{"ps", 0, "Active X.509 authority:\n  Authority ID: ab\nPrepared X.509 authority:\n  Authority ID: cd"}}
		}},
		{"authority of no state", `say a | authority`, "FAIL try: want: authority Active|Prepared|Old", nil},
		{"captured without parentheses", `log_of client | captured serial`, "FAIL try: captured: want one pair of parentheses", nil},
		{"another program", "curl example.org", "FAIL try: curl is not a helper function", nil},
		{"a wrong argument", "expect_log server '(' why", "FAIL try: want: expect_log SERVICE REGEX WHY, and REGEX is", nil},
		{"no check", "step nothing", "FAIL try: it has no check", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := healthy()
			if c.change != nil {
				c.change(l)
			}
			passed, said := play(t, l, script(t, c.lines))
			if want := strings.HasPrefix(c.want, "ok") || strings.HasPrefix(c.want, "server logs"); passed != want || !strings.Contains(said, c.want) {
				t.Errorf("passed is %t, want %t and %q in:\n%s", passed, want, c.want, said)
			}
			if !passed && !strings.Contains(c.want, "it has no check") && !strings.Contains(said, "try.sh:") && !strings.Contains(said, "exit status 1") {
				t.Errorf("the failure does not name file and line:\n%s", said)
			}
		})
	}
}

// traffic1 sets logs with one request, which was served.
func traffic1(f *fakeLab) {
	f.logs[lab.Steady] = []engine.Line{{Time: noon, Text: "Success!!!"}, {Time: noon, Text: "1 requests sent: 1 served, 0 failed"}}
	f.logs[lab.Server] = []engine.Line{{Time: noon, Text: `2026/11/28 12:00:00 Request received from "spiffe://example.org/client": GET "/steady"`}}
}

// trafficWithOutage sets logs with a refused request between two served requests.
func trafficWithOutage(f *fakeLab) {
	f.logs[lab.Steady] = []engine.Line{{Time: noon, Text: "Success!!!"},
		{Time: noon.Add(time.Second), Text: `Error connecting to "https://server:8443/steady": Get "https://server:8443/steady": remote error: tls: bad certificate`},
		{Time: noon.Add(2 * time.Second), Text: "Success!!!"}, {Time: noon.Add(3 * time.Second), Text: "3 requests sent: 2 served, 1 failed"}}
	received := engine.Line{Time: noon, Text: `2026/11/28 12:00:00 Request received from "spiffe://example.org/client": GET "/steady"`}
	f.logs[lab.Server] = []engine.Line{received, {Time: noon, Text: "http: TLS handshake error from 172.30.0.9:1: unexpected ID"}, received}
}

// TestEveryHelperHasACase: TestHelpers must test every helper function.
func TestEveryHelperHasACase(t *testing.T) {
	text, err := os.ReadFile("fake_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range helpers {
		switch name {
		case "step", "explain", "say", "run", "mark_logs", "__held", "see_processes":
			continue // these functions check nothing, and every scenario calls them
		}
		if !strings.Contains(string(text), `"`+name) && !strings.Contains(string(text), name+`\n`) {
			t.Errorf("no case is for %s", name)
		}
	}
}

// TestQuick: the option Quick must select the quick form of a scenario.
func TestQuick(t *testing.T) {
	for quick, want := range map[bool]string{true: "a", false: "b"} {
		var out bytes.Buffer
		place := Place{Dir: root(t), Cache: t.TempDir(), Project: "p"}
		if !Run(context.Background(), healthy(), place, script(t, `expect why test "$(quick a b)" = `+want), screen.Plain(&out), Options{Quick: quick, RunLimit: time.Minute}) {
			t.Errorf("with Quick %t:\n%s", quick, &out)
		}
	}
}

// endless is a lab whose commands never exit by themselves.
type endless struct{ *fakeLab }

func (e endless) Run(ctx context.Context, _, _ []string, _ io.Reader, _, _ io.Writer) (int, error) {
	<-ctx.Done()
	return 143, nil
}

// TestRunLimit: a command that does not exit must be stopped, and the scenario must fail.
func TestRunLimit(t *testing.T) {
	var out bytes.Buffer
	place := Place{Dir: root(t), Cache: t.TempDir(), Project: "p"}
	passed := Run(context.Background(), endless{healthy()}, place, script(t, "run docker compose logs --follow client\npassed why"), screen.Plain(&out), Options{RunLimit: time.Second})
	if passed || !strings.Contains(out.String(), "FAIL try: this did not end within 1 s: docker compose logs --follow client") {
		t.Errorf("passed is %t:\n%s", passed, &out)
	}
}

// TestAFailureResetsTheLab: if a scenario has changed the lab and fails, the lab must be reset. If a scenario fails without a change, the
// lab must not be reset.
func TestAFailureResetsTheLab(t *testing.T) {
	l := healthy()
	if passed, said := play(t, l, script(t, "run docker compose stop server\nfail why")); passed || l.resets != 1 {
		t.Errorf("passed is %t, and the lab was reset %d times\n%s", passed, l.resets, said)
	}
	l = healthy()
	if passed, said := play(t, l, script(t, "run docker compose logs server\nfail why")); passed || l.resets != 0 {
		t.Errorf("a scenario that changed nothing: passed is %t, and the lab was reset %d times\n%s", passed, l.resets, said)
	}
}

// TestBadID: the real script must pass if the server refuses the client. It must fail if the server accepts the client or logs nothing.
func TestBadID(t *testing.T) {
	bad, err := Find(root(t), "bad-id")
	if err != nil {
		t.Fatal(err)
	}
	if passed, said := play(t, healthy(), bad); !passed {
		t.Errorf("it fails:\n%s", said)
	}
	open := healthy()
	open.rules = []rule{{"exec", 0, "Success!!!"}}
	if passed, said := play(t, open, bad); passed || !strings.Contains(said, "exit status is 0, not 4") {
		t.Errorf("with a server that lets it in:\n%s", said)
	}
	silent := healthy()
	silent.logs[lab.Server] = []engine.Line{{Time: noon, Text: "nothing of interest"}}
	if passed, said := play(t, silent, bad); passed || !strings.Contains(said, "server did not log") {
		t.Errorf("with a silent server:\n%s", said)
	}
}

// TestScenarios: every scenario must satisfy Lint.
func TestScenarios(t *testing.T) {
	all, err := List(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range all {
		problems, err := Lint(script)
		if err != nil {
			t.Error(err)
		}
		for _, problem := range problems {
			t.Error(problem)
		}
	}
}

// TestFind: for a mistyped name, the error must propose the right name.
func TestFind(t *testing.T) {
	for name, want := range map[string]string{
		"Bad-ID": "did you mean bad-id? \"make scenarios\" lists them",
		"bad":    "did you mean bad-id or bad-server-id? \"make scenarios\" lists them",
		"xyz":    "\"make scenarios\" lists them",
		"":       "\"make scenarios\" lists them",
	} {
		_, err := Find(root(t), name)
		var problem *engine.Problem
		if !errors.As(err, &problem) || problem.Remedy != want {
			t.Errorf("%q: the hint is %+v, want %q", name, problem, want)
		}
	}
}

// TestNames: the name of a scenario may have letters, digits and dashes, and its folder may have any name.
func TestNames(t *testing.T) {
	odd := `my [lab]* \1`
	if runtime.GOOS == "windows" { // Windows does not allow these names
		odd = "my [lab] 1"
	}
	dir := filepath.Join(t.TempDir(), odd)
	if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(folder)), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"http-1-0", "http-1", "2nd-try", "x", "A-1"} {
		file := filepath.Join(dir, filepath.FromSlash(folder), name+".sh")
		if err := os.WriteFile(file, []byte("# scripts/lab scenario "+name+"\n# the client must be served in "+name+"\nstep \"One\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		script, err := Find(dir, name)
		if err != nil || script.Name != name || script.Expectation != "the client must be served in "+name {
			t.Errorf("%s: %+v, %v", name, script, err)
			continue
		}
		if problems, err := Lint(script); err != nil || len(problems) > 0 {
			t.Errorf("%s: %q, %v", name, problems, err)
		}
	}
}

// TestLint: each thing that a script must not have must be found.
func TestLint(t *testing.T) {
	for lines, want := range map[string]string{
		"curl example.org":           "try.sh:4: curl is not a helper function",
		"passed why &":               "& is not allowed",
		"[[ a = a ]]":                "[[ is not allowed",
		"list=(a b)":                 "arrays are not allowed",
		"grep a < <(say a)":          "process substitution",
		"say a >file":                "reads and writes no files",
		"say a 3>&1":                 "no file descriptor 3",
		"path=/tmp":                  "the variable path has a different meaning on Windows",
		"Path=/tmp":                  "must have lower-case letters only",
		"export x=1":                 "export is not allowed",
		"step() { true; }":           "hides the helper function",
		`"$1" a`:                     "must not come from a variable",
		"printf -v x a":              "printf -v is not allowed",
		"eval true":                  "eval is not a helper function",
		`. "lib.sh"`:                 ". is not a helper function",
		"trap true EXIT":             "trap is not a helper function",
		"passed why\nexpect a true":  "",
		"x=$(quick 1 2)\nsay \"$x\"": "",
	} {
		problems, err := Lint(script(t, lines))
		if err != nil {
			t.Errorf("%s: %v", lines, err)
		}
		if said := strings.Join(problems, "\n"); want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%s: want %q, got %q", lines, want, said)
		}
	}
}

// TestLock: only one process can hold a lock, and only this process can release it. After the death of this process, another process must
// be able to take over the lock.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(path, "it is in use")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path, "it is in use"); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("it is in use (process %d)", os.Getpid())) {
		t.Errorf("a held lock: %v", err)
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	unlock()
	if holder(path) != "1" {
		t.Error("a process released a lock that another process held")
	}
	if err := os.WriteFile(path, []byte("999999999\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if unlock, err = Lock(path, "it is in use"); err != nil {
		t.Errorf("the lock of a process that has died: %v", err)
	} else {
		unlock()
	}
}

// TestReadsOnly: a command must count as a change unless it is in the list of commands that change nothing.
func TestReadsOnly(t *testing.T) {
	for line, want := range map[string]bool{
		"docker compose exec spire-server /opt/spire/bin/spire-server entry show":   true,
		"docker compose exec spire-server /opt/spire/bin/spire-server x509 mint -a": true,
		"docker compose exec spire-server /opt/spire/bin/spire-server entry delete": false,
		"docker compose exec --user client-workload client client":                  true,
		"docker compose exec --detach tools sh":                                     false,
		"docker compose logs server":                                                true,
		"docker compose stop server":                                                false,
		"docker volume rm x":                                                        false,
	} {
		if got := readsOnly(strings.Fields(line)); got != want {
			t.Errorf("%s: %t, want %t", line, got, want)
		}
	}
}

// TestTyped: a command must be printed in a form that a learner can type.
func TestTyped(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"docker", "ps", "|", "grep", ""}, "docker ps | grep ''"},
		{[]string{"sh", "-c", "cat >x"}, "sh -c 'cat >x'"},
		{[]string{"echo", "it's"}, `echo "it's"`},
	} {
		if got := typed(c.words); got != c.want {
			t.Errorf("typed(%q) = %s, want %s", c.words, got, c.want)
		}
	}
}

// TestWritingNamesEveryHelper: the page for authors must name every helper function and filter, and no others.
func TestWritingNamesEveryHelper(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "scripts", "scenarios", "WRITING.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{slices.Collect(maps.Keys(helpers)), slices.Collect(maps.Keys(tools))} {
		for _, name := range names {
			if name != "__held" && !regexp.MustCompile(`(?m)(^|[ ;:,] ?)`+name+`\b`).Match(text) {
				t.Errorf("WRITING.md does not name %s", name)
			}
		}
	}
	for _, block := range regexp.MustCompile("(?s)```\n(.*?)```").FindAllSubmatch(text, -1) {
		for _, found := range regexp.MustCompile(`(?m)^([a-z_]+)[ ,].*$`).FindAllSubmatch(block[1], -1) {
			if name := string(found[1]); helpers[name] == nil && tools[name] == nil {
				t.Errorf("WRITING.md names %s, which does not exist", name)
			}
		}
	}
}
