package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/go-units"
	"gotest.tools/v3/icmd"
)

// checks are the tests that cannot be scenarios, because they run programs besides docker, or read files.
var checks = []test{
	{"bench", bench},
	{"bootstrap", bootstrapped},
	{"classroom", classroom},
	{"commands", commands},
	{"compose-up", composeUp},
	{"console", console},
	{"doctor", doctor},
	{"environments", environments},
	{"faults", faults},
	{"footprint", footprint},
	{"health", health},
	{"least-privilege", leastPrivilege},
	{"pictures", pictures},
	{"programs", programs},
	{"readme", readme},
	{"recovery", recovery},
	{"try-it", tryIt},
	{"without-the-program", withoutTheProgram},
}

// bench: bench must measure a real lab, and must write the results as a table for people and as JSON for programs.
func bench(t *testing.T, l *lab) {
	out := t.TempDir()
	measure := func(only string) *icmd.Result {
		return l.exec(t, []string{"BENCH_OUT=" + out}, "make", "--no-print-directory", "bench", "QUICK=1", "ONLY="+only)
	}
	l.exec(t, nil, "go", "-C", "scripts/dev/tools/bench", "test", "./...").Assert(t, icmd.Success)

	refused(t, measure("start speed"), 2, `ONLY names "speed", which is not a part of the measurement`)

	contains(t, measure("propagation").Assert(t, icmd.Success).Stdout(), "entry created to SVID")
	results, err := os.ReadFile(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(results), `"entry created to SVID": {`)
	if left := l.said(t, "ps", "--all", "--quiet", "--filter", "name=^"+l.project+"-bench-"); left != "" {
		t.Fatalf("the lab of bench still exists: %s", left)
	}
}

// classroom: a classroom must refuse an impossible request before it changes anything, must verify its labs, and must remove everything at
// the end.
func classroom(t *testing.T, l *lab) {
	// The classroom has a separate project name, because a trainer may already have a classroom on this machine.
	class := &lab{project: l.project + "-check"}
	t.Cleanup(func() { class.run(t, "classroom-down") })
	traces := func() string {
		all := ""
		for _, kind := range []string{"container", "network", "volume"} {
			args := []string{kind, "ls", "--quiet", "--filter", "name=^" + class.project + "-"}
			if kind == "container" {
				args = append(args, "--all")
			}
			all += l.said(t, args...)
		}
		return all
	}
	// None of these values is a valid number of labs.
	for _, n := range []string{"", "0", "abc", "-1", "08", "1.5", "201"} {
		refused(t, class.make(t, "classroom", "N="+n), 2, fmt.Sprintf(`N is "%s": want a number of labs from 1 to 200`, n), "hint: make classroom N=20")
	}
	// No lab has been built with this tag.
	refused(t, class.exec(t, []string{"LAB_TAG=not-built"}, "make", "--no-print-directory", "classroom", "N=1"), 2,
		"no lab has been built on this machine yet: there is no image spiffe-lab/", "hint: make up")
	if left := traces(); left != "" {
		t.Fatalf("one of these commands has left a trace: %s", left)
	}

	// A classroom with one lab must not disturb the lab of this test.
	row := regexp.MustCompile(regexp.QuoteMeta(class.project) + `-class-01 +[0-9.]+ s +[0-9.]+ MiB +ok`)
	if table := class.make(t, "classroom", "N=1").Assert(t, icmd.Success).Stdout(); !row.MatchString(table) {
		t.Fatalf("the table does not have the lab, when it was ready, its memory and its result:\n%s", table)
	}
	refused(t, class.make(t, "classroom", "N=1"), 2, "a classroom exists already, with these labs (1): "+class.project+"-class-01", `hint: "make classroom-down" removes it`)
	l.served(t, 15*time.Second)

	class.make(t, "classroom-down").Assert(t, icmd.Success)
	if left := traces(); left != "" {
		t.Fatalf("the classroom has left: %s", left)
	}
	l.served(t, 15*time.Second)
}

// composeUp: plain `docker compose up` must show the output of the lab's programs, but not SPIRE's own log.
func composeUp(t *testing.T, l *lab) {
	l.run(t, "down").Assert(t, icmd.Success)
	up := l.background(t, "docker", "compose", "up", "--no-color")
	until(t, 30*time.Second, "docker compose up shows the client's success", up.out.has("Success!!!"))
	until(t, 10*time.Second, "docker compose up shows the server's log", up.out.has(`Request received from "spiffe://example.org/client"`))
	contains(t, up.out.String(), "$ spire-server entry create")
	if spire := regexp.MustCompile(`(?m)^spire-(agent|server)-1 .*`).FindString(up.out.String()); spire != "" {
		t.Fatalf("docker compose up shows SPIRE's own log: %s", spire)
	}
	up.end(syscall.SIGTERM)

	contains(t, l.said(t, "compose", "logs", "--no-color", "--tail", "3", "spire-agent"), "spire-agent-1")

	l.docker(t, "compose", "up", "--detach").Assert(t, icmd.Success)
	l.served(t, 30*time.Second)
}

// environments: on an unprepared machine the lab must start. If it cannot, it must say why in two lines before it changes anything. This
// test plays the environments that do not start a lab. `make environments` plays all environments.
func environments(t *testing.T, _ *lab) { playEnvironments(t, true, "") }

// footprint: an idle lab must use less than 120 MiB.
func footprint(t *testing.T, l *lab) {
	// The engine counts a cached file as memory of the container that read the file first. So the test recreates the lab, whose files are
	// then in the cache already.
	l.docker(t, "compose", "up", "--detach", "--force-recreate").Assert(t, icmd.Success)
	l.served(t, 30*time.Second)
	containers := strings.Fields(l.said(t, "compose", "ps", "--quiet"))
	said := l.said(t, append([]string{"stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}"}, containers...)...)
	total := int64(0)
	for _, line := range lines(said) {
		_, usage, _ := strings.Cut(line, " ")
		used, _, _ := strings.Cut(usage, " / ")
		bytes, err := units.RAMInBytes(used)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		total += bytes
	}
	t.Logf("%s%s in all", said, units.BytesSize(float64(total)))
	if total < 10*units.MiB {
		t.Fatalf("the engine counts only %s: that cannot be a lab", units.BytesSize(float64(total)))
	}
	if total > 120*units.MiB {
		t.Fatalf("the lab uses %s:\n%s", units.BytesSize(float64(total)), said)
	}
}

// readme: every quote in README.md must be in the output of its command.
func readme(t *testing.T, l *lab) {
	var printed strings.Builder
	show := func(command string, result *icmd.Result) {
		fmt.Fprintf(&printed, "$ %s\n%s\n", command, result.Combined())
	}
	l.run(t, "down").Assert(t, icmd.Success)
	show("make up", l.make(t, "up").Assert(t, icmd.Success))
	until(t, 15*time.Second, "the server has been asked twice", func() (bool, string) {
		log := l.said(t, "compose", "logs", "--no-color", "server")
		return strings.Count(log, "Request received") >= 2, log
	})
	show("docker compose logs server", l.docker(t, "compose", "logs", "--no-color", "server"))
	show("make scenario-bad-id", l.make(t, "scenario-bad-id").Assert(t, icmd.Success))

	// README.md quotes the next commands in the part "Find the fault".
	l.learner(t)
	show("make break NAME=clean-up", l.make(t, "break", "NAME=clean-up"))
	show("make check", l.make(t, "check"))
	show("make hint", l.make(t, "hint"))
	for _, typed := range []string{
		"docker compose logs --no-log-prefix --tail 1 spire-agent",
		"docker compose exec spire-server /opt/spire/bin/spire-server entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload",
	} {
		show(typed, l.exec(t, nil, strings.Fields(typed)...))
	}
	// In a terminal of 80 columns, check asks for the cause.
	typed := filepath.Join(t.TempDir(), "typed")
	show("make check", l.exec(t, nil, "sh", "-c", `{ for i in $(seq 300); do grep -q "^Its number" "$0" 2>/dev/null && break; sleep 0.3; done; echo 3; } |
		script -qefc "stty cols 80; NO_COLOR=1 sh scripts/lab check --patience 60s" "$0" >/dev/null; tr -d "\r" <"$0"`, typed))

	for _, name := range []string{"README.md", "scripts/faults/README.md", "scripts/scenarios/README.md"} {
		for _, line := range missingQuotes(read(t, name), printed.String()) {
			t.Errorf("%s quotes what is not printed: %s", name, line)
		}
	}
	if t.Failed() {
		t.Log(printed.String())
	}
	// A start on empty volumes restores the lab's own entries.
	l.run(t, "down").Assert(t, icmd.Success)
	l.make(t, "up").Assert(t, icmd.Success)
}

// withoutTheProgram runs the commands of scripts/START.md for people who must not run the program lab.
func withoutTheProgram(t *testing.T, l *lab) {
	section := regexp.MustCompile("(?s)## Without the program.*?```\n(.*?)```").FindStringSubmatch(read(t, "scripts/START.md"))
	if section == nil {
		t.Fatal("scripts/START.md has no commands for those who run the lab without the program")
	}
	l.run(t, "down").Assert(t, icmd.Success)
	var said []string
	for _, line := range lines(section[1]) {
		result := l.exec(t, nil, "sh", "-c", line)
		said = append(said, line+"\n"+result.Combined())
		wrong := strings.Contains(line, "--user server-workload")
		switch {
		case wrong && result.ExitCode != 4, !wrong && result.ExitCode != 0:
			t.Fatalf("%s: exit status %d:\n%s", line, result.ExitCode, result.Combined())
		case wrong:
			contains(t, result.Combined(), "remote error: tls: bad certificate")
		case strings.Contains(line, "--user client-workload"):
			contains(t, result.Combined(), "Success!!!")
		case strings.Contains(line, "logs"):
			contains(t, result.Combined(), `unexpected ID "spiffe://example.org/server"`)
		}
	}
	for _, part := range []string{"up --detach", "--user client-workload", "--user server-workload", "logs", "down"} {
		if !slices.ContainsFunc(said, func(one string) bool { return strings.Contains(one, part) }) {
			t.Errorf("scripts/START.md has no command with %q", part)
		}
	}
	if left := l.said(t, "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+l.project); left != "" {
		t.Errorf("the last line of scripts/START.md leaves containers: %s", left)
	}
	l.run(t, "up").Assert(t, icmd.Success)
}

// container has the fields of `docker inspect` that the tests need.
type container struct {
	HostConfig struct {
		Privileged, ReadonlyRootfs   bool
		CapDrop, CapAdd, SecurityOpt []string
		PortBindings                 map[string]any
		Devices                      []any
		PidMode                      string
	}
	Config struct{ User, Image string }
	Mounts []struct {
		Type, Name, Source, Destination string
		RW                              bool
	}
	Id string
}

func (l *lab) inspect(t *testing.T, service string) container {
	t.Helper()
	var all []container
	if err := json.Unmarshal([]byte(l.said(t, "inspect", l.container(service))), &all); err != nil {
		t.Fatal(err)
	}
	return all[0]
}
