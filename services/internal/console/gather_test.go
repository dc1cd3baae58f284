package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// TestMain: the test program plays docker if FAKE_DOCKER is set.
func TestMain(m *testing.M) {
	if rules := os.Getenv("FAKE_DOCKER"); rules != "" {
		os.Exit(fakeDocker(rules, strings.Join(os.Args[1:], " ")))
	}
	os.Exit(m.Run())
}

// fakeDocker records its command line, and looks for a rule "WORDS => STATUS TEXT" whose words are in the command line. If several rules
// match, the last rule counts. With the status "late" the answer takes too long.
func fakeDocker(rules, line string) int {
	record, err := os.OpenFile(os.Getenv("FAKE_RECORD"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(record, line)
	record.Close()
	for _, rule := range slices.Backward(strings.Split(rules, "\n")) {
		words, answer, ok := strings.Cut(rule, " => ")
		if !ok || !strings.Contains(line, words) {
			continue
		}
		status, text, _ := strings.Cut(answer, " ")
		if status == "late" {
			time.Sleep(time.Minute)
		}
		out := os.Stdout
		if status != "0" {
			out = os.Stderr
		}
		fmt.Fprintln(out, strings.ReplaceAll(text, " | ", "\n"))
		code, _ := strconv.Atoi(status)
		return code
	}
	fmt.Fprintln(os.Stderr, "unexpected:", line)
	return 9
}

// whole has the answers of a healthy lab.
const whole = `ps --all => 0 {"ID":"c1","Project":"spiffe-lab","Networks":"spiffe-lab_default","Service":"client"} | {"ID":"c2","Project":"spiffe-lab","Networks":"spiffe-lab_default","Service":"server"} | {"ID":"c3","Project":"spiffe-lab","Networks":"spiffe-lab_default","Service":"spire-server"}
inspect => 0 [{"Id":"c1","Name":"/l-client-1","Config":{"User":"client-workload","Cmd":["client","-url","https://server:8443/"],"Labels":{"com.docker.compose.service":"client","com.docker.compose.project":"spiffe-lab","com.docker.compose.oneoff":"False"}},"State":{"Status":"running"},"NetworkSettings":{"Networks":{"lab":{"IPAddress":"10.0.0.4"}}}},{"Id":"c2","Name":"/l-server-1","Config":{"User":"server-workload","Labels":{"com.docker.compose.service":"server","com.docker.compose.project":"spiffe-lab","com.docker.compose.oneoff":"False"}},"State":{"Status":"running"},"NetworkSettings":{"Networks":{"lab":{"IPAddress":"10.0.0.3"}}}},{"Id":"c3","Name":"/l-spire-server-1","Config":{"User":"1000:1000","Labels":{"com.docker.compose.service":"spire-server","com.docker.compose.project":"spiffe-lab","com.docker.compose.oneoff":"False"}},"State":{"Status":"running"},"NetworkSettings":{"Networks":{"lab":{"IPAddress":"10.0.0.2"}}}}]
entry show => 0 {"entries":[{"id":"client","expires_at":"0"}],"next_page_token":""}
agent list => 0 {"agents":[]}
localauthority x509 show => 0 {"active":{"authority_id":"aa","expires_at":"7"}}
--user client-workload l-client-1 observer => 0 {"user":"client-workload"}
--user server-workload l-server-1 observer => 0 {"user":"server-workload"}
`

// fake returns a gatherer whose docker answers by the rules, and the file in which this docker records its command lines.
func fake(t *testing.T, rules string) (g *gatherer, record string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(self, filepath.Join(programs, "docker")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, ".cache"), 0o755); err != nil {
		t.Fatal(err)
	}
	settings := "SPIRE_VERSION=1\nSPIRE_REGISTRY=r\nGO_IMAGE=g\nTOOLS_BASE_IMAGE=b\nLAB_TAG=t\n"
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	record = filepath.Join(dir, "record")
	t.Setenv("COMPOSE_PROJECT_NAME", "spiffe-lab")
	t.Setenv("FAKE_DOCKER", rules)
	t.Setenv("FAKE_RECORD", record)
	t.Setenv("PATH", programs)
	e, err := engine.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	g = newGatherer(e)
	g.within = time.Minute // even a busy machine must answer within this time
	return g, record
}

// TestGather: each question that fails must be reported with its reason, and the other questions must still be answered.
func TestGather(t *testing.T) {
	const entries, agents, cas, client = "entries", "agents", "CAs", "the trust bundles of client-workload"
	for _, test := range []struct {
		name, rules string
		want        map[string]string
	}{
		{"all is well", "", nil},
		{"no engine", "ps --all => 1 Cannot connect to the Docker daemon", map[string]string{"what runs": "the engine did not list them (1)"}},
		{"inspect prints nonsense", "inspect => 0 nonsense", map[string]string{"what runs": "docker inspect failed: "}},
		{"exec fails", "entry show => 1 connection error", map[string]string{entries: "exit status 1: connection error"}},
		{"the engine fails", "agent list => 1 Error response from daemon: no", map[string]string{agents: "docker exec failed: Error response from daemon: no"}},
		{"no JSON", "x509 show => 0 x", map[string]string{cas: "docker exec failed: its answer cannot be read: invalid character"}},
		{"no answer", "l-client-1 observer => late", map[string]string{client: "no answer within 4 s"}},
		{"the SPIRE server is down", `inspect => 0 [{"Id":"c1","Name":"/l-client-1","Config":{"User":"client-workload","Cmd":["client","-url","https://server:8443/"],"Labels":{"com.docker.compose.service":"client","com.docker.compose.project":"spiffe-lab","com.docker.compose.oneoff":"False"}},"State":{"Status":"running"},"NetworkSettings":{"Networks":{"lab":{"IPAddress":"10.0.0.4"}}}},{"Id":"c2","Name":"/l-server-1","Config":{"User":"server-workload","Labels":{"com.docker.compose.service":"server","com.docker.compose.project":"spiffe-lab","com.docker.compose.oneoff":"False"}},"State":{"Status":"running"},"NetworkSettings":{"Networks":{"lab":{"IPAddress":"10.0.0.3"}}}},{"Id":"c3","Name":"/l-spire-server-1","Config":{"User":"1000:1000","Labels":{"com.docker.compose.service":"spire-server","com.docker.compose.project":"spiffe-lab","com.docker.compose.oneoff":"False"}},"State":{"Status":"exited"},"NetworkSettings":{"Networks":{"lab":{"IPAddress":"10.0.0.2"}}}}]`,
			map[string]string{entries: "spire-server is exited", agents: "spire-server is exited", cas: "spire-server is exited"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, _ := fake(t, whole+test.rules)
			if strings.HasSuffix(test.rules, "late") {
				g.within = answerWithin
			}
			got := g.gather(t.Context())
			if !maps.EqualFunc(got.Unknown, test.want, strings.HasPrefix) {
				t.Fatalf("unknown is %q, want %q", got.Unknown, test.want)
			}
			if known := got.Containers != nil; known == (test.want["what runs"] != "") {
				t.Errorf("the containers are %+v", got.Containers)
			}
			if test.want != nil {
				return
			}
			if got.user("client") != "client-workload" || got.service("10.0.0.4") != "client" || got.Entries[0].ID != "client" || got.Agents == nil ||
				got.user("spire-server") != "" || got.Authorities.Active.ID != "aa" || len(got.Observations) != 2 || got.Observations[0].User != "client-workload" {
				t.Errorf("the facts are %+v", got)
			}
		})
	}
}

// TestLockIsHonoured: while a scenario pauses a container, the console must not start a process in a container, and must not touch the
// scenario's lock.
func TestLockIsHonoured(t *testing.T) {
	g, record := fake(t, whole)
	g.gather(t.Context())
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	g.patience = 300 * time.Millisecond
	holder := strconv.Itoa(os.Getppid()) + "\n" // the process ID of a different process, which still runs
	if err := os.WriteFile(g.lock, []byte(holder), 0o644); err != nil {
		t.Fatal(err)
	}
	got := g.gather(t.Context())
	if why := got.Unknown["what runs now"]; !strings.Contains(why, "a scenario pauses the lab") || len(got.Containers) != 3 {
		t.Errorf("the facts are %+v", got)
	}
	if asked, err := os.ReadFile(record); err == nil {
		t.Errorf("it asks although a scenario has the lock: %s", asked)
	}
	if text, err := os.ReadFile(g.lock); err != nil || string(text) != holder {
		t.Errorf("the lock is %q, %v", text, err)
	}
	if err := os.Remove(g.lock); err != nil {
		t.Fatal(err)
	}
	got = g.gather(t.Context())
	if asked, err := os.ReadFile(record); err != nil || strings.Contains(string(asked), " -url ") || strings.Contains(string(asked), "guest-workload") {
		t.Errorf("an observer sends requests, which would be rows: %s %v", asked, err)
	}
	if len(got.Unknown) != 0 {
		t.Errorf("without the lock: %q", got.Unknown)
	}
	if _, err := os.Stat(g.lock); err == nil {
		t.Error("it keeps the lock")
	}
}

// TestScreenFile: each line of a scenario must be read once, even if the file of the next scenario has the same length.
func TestScreenFile(t *testing.T) {
	s := screenFile{file: filepath.Join(t.TempDir(), "screen")}
	for i, test := range []struct{ text, want string }{
		{"", ""},
		{"begin a: x\nstep 1. y\nsai", "begin a: x|step 1. y"},
		{"begin a: x\nstep 1. y\nsaid z\n", "said z"},
		{"begin a: x\nstep 1. y\nsaid z\n", ""},
		{"begin b: x\nstep 1. y\nsaid z\nend PASS\n", "begin b: x|step 1. y|said z|end PASS"},
		{"begin b: x\n", "begin b: x"},
	} {
		if err := os.WriteFile(s.file, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		lines, _, err := s.next()
		if err != nil || strings.Join(lines, "|") != test.want {
			t.Errorf("%d: %q, %v; want %q", i, lines, err, test.want)
		}
	}
	s.file += "-none"
	if lines, _, err := s.next(); len(lines) != 0 || err != nil {
		t.Errorf("no file: %q, %v", lines, err)
	}
}

// TestInOrder: the lines that several logs have at the start of the console must be sorted by time.
func TestInOrder(t *testing.T) {
	got := inOrder("server-1 | 2026-11-25T12:00:03Z c\nserver-1 | 2026-11-25T12:00:05Z e\nclient-1 | 2026-11-25T12:00:01Z a\nclient-1 | 2026-11-25T12:00:04.5Z d\n")
	var texts string
	for _, line := range got {
		texts += line[len(line)-1:]
	}
	if texts != "acde" {
		t.Errorf("the order is %s", texts)
	}
}

// TestSeen: a line that Compose repeats after a restart must not make a second row.
func TestSeen(t *testing.T) {
	var s seen
	for i := range 3 * mostSeen {
		if line := logged(i); !s.first(line) || s.first(line) || i > 100 && s.first(logged(i-100)) {
			t.Fatalf("line %d is not seen once", i)
		}
	}
	for _, again := range []string{strings.Replace(logged(3*mostSeen-1), " |", "     |", 1), "\x1b[K" + logged(3*mostSeen-1)} {
		if s.first(again) {
			t.Errorf("%q counts as another line", again)
		}
	}
	for range 2 {
		if !s.first("server-1 exited with code 0") {
			t.Error("the second exit of a container is not read")
		}
	}
	if len(s.lines) > mostSeen || len(s.order) != len(s.lines) {
		t.Errorf("%d and %d lines are remembered, more than %d", len(s.lines), len(s.order), mostSeen)
	}
}

// TestLogsThatFail: if the logs cannot be read, the page must show why.
func TestLogsThatFail(t *testing.T) {
	g, _ := fake(t, "logs => 1 no such option")
	err := follow(g.Docker(t.Context(), "logs"), func(string) {})
	if got := reason(t.Context(), err); got != "docker compose logs failed: no such option" {
		t.Errorf("the reason is %q", got)
	}
	g, _ = fake(t, "logs => 0 a | b")
	var lines []string
	if err := follow(g.Docker(t.Context(), "logs"), func(line string) { lines = append(lines, line) }); err != nil || strings.Join(lines, "") != "ab" {
		t.Errorf("%q, %v", lines, err)
	}
}

// TestMissedContainer: if a container has started while Compose started, the console must start Compose again, and must read what the
// container has logged meanwhile.
func TestMissedContainer(t *testing.T) {
	const row = `ps => 0 {"ID":"a","Service":"server","State":"running"}` + "\n"
	began := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for started, want := range map[string]bool{`0 "2026-11-25T11:59:59Z"`: false, `0 "2026-11-25T11:59:59Z" | "2026-11-25T12:00:01.5Z"`: true, "1 no such object": true} {
		g, _ := fake(t, row+"inspect => "+started)
		if got := startedSince(t.Context(), g.Engine, began); got != want {
			t.Errorf("with the start times %s, a container was missed: %v", started, got)
		}
	}
	g, record := fake(t, row+`inspect => 0 "2026-11-25T12:00:01Z"
version => 0 {"Server":{"APIVersion":"1.44","Version":"25","Os":"linux","Arch":"arm64"}}
info => 0 {}
logs => late
--tail => 0`)
	self, err := os.Executable()
	if err := errors.Join(err, os.Mkdir(g.Cache("bin"), 0o755), os.Symlink(self, g.OwnCompose()), g.Connect(t.Context())); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	hub, done := NewHub("lab"), make(chan struct{})
	go func() {
		followLogs(ctx, g.Engine, hub, func() time.Time { return began }, func() {})
		close(done)
	}()
	defer func() { end(); <-done }()
	var commands string
	for limit := time.Now().Add(30 * time.Second); strings.Count(commands, "--follow") < 2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("Compose was not started again:\n%s", commands)
		}
		text, _ := os.ReadFile(record)
		commands = string(text)
	}
	if want := "--follow --since 2026-11-25T11:59:55Z"; !strings.Contains(commands, want) {
		t.Errorf("no command has %q:\n%s", want, commands)
	}
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if text := hub.trouble["the logs"].text; text != "" {
		t.Errorf("the page says %q", text)
	}
}

// TestServeRefuses: if the console cannot start, the problem must be one line with a remedy.
func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	const connected = `version => 0 {"Server":{"APIVersion":"1.44","Version":"25","Os":"linux","Arch":"arm64"}}
info => 0 {"ClientInfo":{"Plugins":[{"Name":"compose","Version":"v2.40.0","Path":"/bin/sh"}]}}
`
	for _, test := range []struct {
		name, port, rules, what, remedy string
		lock                            bool
	}{
		{"a word", "eighty", "", `the port "eighty" is not a number from 1024 to 65535`, "scripts/lab console --port ", false},
		{"too small", "80", "", `the port "80" is not a number from 1024 to 65535`, "scripts/lab console --port ", false},
		{"too large", "65536", "", `the port "65536" is not a number from 1024 to 65535`, "scripts/lab console --port ", false},
		{"no lab", port, "ps --all => 0 ", "the lab spiffe-lab is not running", "make up", false},
		{"two", port, "", "a console of the lab spiffe-lab is running already (process " + strconv.Itoa(os.Getppid()) + ")", "Ctrl-C", true},
		{"taken", port, "", "the port " + port + " is in use on this machine", "scripts/lab console --port ", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, _ := fake(t, whole+connected+test.rules)
			if test.lock {
				if err := os.WriteFile(lockFile(g.Engine), []byte(strconv.Itoa(os.Getppid())), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := Serve(t.Context(), &launch.Launcher{Engine: g.Engine, Screen: screen.Plain(io.Discard)}, Options{Port: test.port})
			var problem *engine.Problem
			if !errors.As(err, &problem) || problem.What != test.what || !strings.Contains(problem.Remedy, test.remedy) {
				t.Errorf("%v %+v; want %q and %q", err, problem, test.what, test.remedy)
			}
			if left, _ := filepath.Glob(g.Cache("*")); len(left) > 0 && !test.lock {
				t.Errorf("it leaves %q", left)
			}
		})
	}
}

// TestServe: the page must be served with the stored token, and at the end only the token may be left.
func TestServe(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	free.Close()
	g, _ := fake(t, whole+`version => 0 {"Server":{"APIVersion":"1.44","Version":"25","Os":"linux","Arch":"arm64"}}
info => 0 {"ClientInfo":{"Plugins":[{"Name":"compose","Version":"v2.40.0","Path":"/bin/false"}]}}
json .SystemTime => 0 "2026-11-25T12:00:00Z"
`)
	if err := (Access{Token: token}).Write(accessFile(g.Engine)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	said, says := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, &launch.Launcher{Engine: g.Engine, Screen: screen.Plain(says)}, Options{Port: port, Open: true})
		says.Close()
	}()
	lines := bufio.NewScanner(said)
	address := "http://127.0.0.1:" + port + "/?token=" + token
	if lines.Scan(); lines.Text() != address+" shows the lab spiffe-lab; Ctrl-C ends it" {
		t.Fatalf("it prints %q: %v", lines.Text(), lines.Err())
	}
	if status, body := get(t, address); status != http.StatusOK || !strings.Contains(body, "spiffe-lab") {
		t.Errorf("the page: %d %s", status, body)
	}
	cancel()
	if lines.Scan(); lines.Text() != "the console has ended" {
		t.Errorf("at its end it prints %q", lines.Text())
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(g.Cache("*")); len(left) != 1 || left[0] != accessFile(g.Engine) {
		t.Errorf("it leaves %q", left)
	}
	if access, err := ReadAccess(accessFile(g.Engine)); err != nil || access != (Access{Token: token}) {
		t.Errorf("it has stored %+v, %v", access, err)
	}
}
