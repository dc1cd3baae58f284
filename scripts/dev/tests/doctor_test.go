package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

var (
	parent = []string{"-parentID", "spiffe://example.org/host"}
	id     = []string{"-spiffeID", "spiffe://example.org/client"}
	user   = []string{"-selector", "unix:user:client-workload"}
)

func words(all ...[]string) []string {
	var joined []string
	for _, some := range all {
		joined = append(joined, some...)
	}
	return joined
}

// doctor: the doctor must find nothing in a healthy lab. In a lab with a failure it must name the first cause. Its
// report must contain no secret.
func doctor(t *testing.T, l *lab) {
	d := &patient{lab: l, report: filepath.Join(t.TempDir(), "report")}
	d.healthy(t, "a healthy lab")
	contains(t, l.run(t, "doctor", "-o", "json").Assert(t, icmd.Success).Stdout(), `{"well":`)
	d.noSecrets(t)
	d.deadParts(t)
	d.wrongEntry(t)
	d.otherEntries(t)
	d.impostor(t)

	// The doctor finds the missing entry in the last report, although the lab is healthy by now.
	contains(t, l.run(t, "doctor", d.report).Combined(), "LAB063: client has no entry")

	d.noStart(t)
	d.openFault(t)
}

// patient is the lab that the doctor examines.
type patient struct {
	*lab
	report string // the file name of the doctor's report
}

// write writes a report. The command report waits up to 30 s, so that it gets every answer.
func (p *patient) write(t *testing.T) string {
	t.Helper()
	p.run(t, "report", "--patience", "30s", p.report).Assert(t, icmd.Success)
	text, err := os.ReadFile(p.report)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// found returns the doctor's output as soon as the doctor's first finding has this code.
func (p *patient) found(t *testing.T, code, why string) string {
	t.Helper()
	var said string
	began := time.Now()
	until(t, time.Minute, why+": the doctor finds "+code, func() (bool, string) {
		said = p.run(t, "doctor").Stdout()
		return strings.HasPrefix(said, code+": "), said
	})
	t.Logf("%s: %s (%.0f s)", why, code, time.Since(began).Seconds())
	return said
}

// healthy is an assertion: the doctor prints one line and has the exit status 0.
func (p *patient) healthy(t *testing.T, why string) {
	t.Helper()
	until(t, time.Minute, why+": the doctor finds nothing", func() (bool, string) {
		result := p.run(t, "doctor")
		said := result.Combined()
		return result.ExitCode == 0 && strings.HasPrefix(said, "all is well: ") && len(lines(said)) == 1, said
	})
}

var proposal = regexp.MustCompile(`(?m)^  do: .*(docker compose exec spire-server .*)$`)

// remedied is an assertion: the doctor finds a cause, the command that it prints works unchanged, and then the doctor
// finds nothing.
func (p *patient) remedied(t *testing.T, code, why string) {
	t.Helper()
	said := p.found(t, code, why)
	command := proposal.FindStringSubmatch(said)
	if command == nil {
		t.Fatalf("%s: the doctor proposes no command:\n%s", code, said)
	}
	p.exec(t, nil, "sh", "-c", command[1]).Assert(t, icmd.Success)
	p.healthy(t, code+": after the command that the doctor proposes")
}

// file returns the content of a file in a service's container.
func (p *patient) file(t *testing.T, service, path string) string {
	t.Helper()
	archive := tar.NewReader(strings.NewReader(p.said(t, "cp", p.container(service)+":"+path, "-")))
	if _, err := archive.Next(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// noSecrets checks that the report has no text in the form of a secret, none of the lab's secrets, and no path of this
// machine.
func (p *patient) noSecrets(t *testing.T) {
	// The server logs the path of each request, so the planted secrets get to the report, which must hide them.
	for _, path := range []string{"token=planted-token", "home/planted-user/file", "-----BEGIN%20PRIVATE%20KEY-----planted-key-----END%20PRIVATE%20KEY-----"} {
		p.docker(t, "exec", "--user", "client-workload", p.container("client"), "client", "-url", "https://server:8443/"+path).Assert(t, icmd.Success)
	}
	report := p.write(t)
	contains(t, report, `GET \"~/file\"`)
	secrets := []string{"planted-token", "planted-user", "planted-key", root() + "/"}
	if home := os.Getenv("HOME"); home != "" && home != "/" {
		secrets = append(secrets, home+"/")
	}
	keys := 0
	for _, line := range lines(p.file(t, "spire-agent", "/run/host-credential/key.pem")) {
		if !strings.Contains(line, "-----") {
			secrets, keys = append(secrets, line), keys+1
		}
	}
	for _, key := range regexp.MustCompile(`[A-Za-z0-9+/=]{60,}`).FindAllString(p.file(t, "spire-server", "/var/lib/spire/server/keys.json"), -1) {
		secrets, keys = append(secrets, key), keys+1
	}
	if keys < 3 {
		t.Fatal("the lab's own keys were not found")
	}
	for _, secret := range secrets {
		if strings.Contains(report, secret) {
			t.Fatalf("the report has %s", secret)
		}
	}
}

// deadParts stops the parts of the lab, one at a time.
func (p *patient) deadParts(t *testing.T) {
	parts := func(report string) int { return strings.Count(report, `"question": `) }
	before := parts(p.write(t))
	p.said(t, "stop", p.container("spire-agent"))
	p.found(t, "LAB051", "the agent is stopped")
	if now := parts(p.write(t)); now != before {
		t.Fatalf("the report has %d sections now, and had %d before", now, before)
	}
	p.said(t, "start", p.container("spire-agent"))
	p.said(t, "stop", p.container("spire-server"))
	p.found(t, "LAB041", "the SPIRE server is stopped")
	p.said(t, "start", p.container("spire-server"))
	until(t, 30*time.Second, "the SPIRE server answers", succeeds(func() *icmd.Result {
		return p.docker(t, "exec", p.container("spire-server"), "/opt/spire/bin/spire-server", "healthcheck")
	}))
	p.said(t, "pause", p.container("server"))
	p.found(t, "LAB033", "the server is paused")
	p.said(t, "unpause", p.container("server"))
}

// updated uses `entry update` for the client's entry: it sets the given fields, and further fields that no remedy may
// lose.
func (p *patient) updated(t *testing.T, fields ...string) {
	t.Helper()
	p.cli(t, append([]string{"entry", "update", "-entryID", "client", "-dns", "client.example.org", "-hint", "it's the client's", "-x509SVIDTTL", "600", "-jwtSVIDTTL", "120",
		"-entryExpiry", "4102444800", "-jwtSVIDIncludeJTI"}, fields...)...)
}

// wrongEntry: the doctor's command corrects the wrong field of an entry, and changes no other field.
func (p *patient) wrongEntry(t *testing.T) {
	p.updated(t, words(parent, []string{"-spiffeID", "spiffe://example.org/cleint"}, user)...)
	p.remedied(t, "LAB064", "a slip in the SPIFFE ID")
	p.updated(t, words([]string{"-parentID", "spiffe://example.org/elsewhere"}, id, user)...)
	p.remedied(t, "LAB065", "the wrong parent")
	p.updated(t, words(parent, id, user, []string{"-selector", "unix:uid:1"})...)
	p.remedied(t, "LAB067", "one selector too many")
	p.updated(t, words(parent, id, []string{"-selector", "unix:path:/opt/spiffe-lab/bin/client"})...)
	p.remedied(t, "LAB111", "every user who runs the program gets the SVID")
	entry := p.cli(t, "entry", "show", "-entryID", "client")
	for _, field := range []string{"X509-SVID TTL *: 600", "JWT-SVID TTL *: 120", "Expiration time *: 2100-01-01 ", "DNS name *: client.example.org", "Hint *: it's the client's",
		"JwtSvidIncludeJti *: true", "Selector *: unix:path:/opt/spiffe-lab/bin/client", "Selector *: unix:user:client-workload"} {
		if !regexp.MustCompile("(?m)^" + field).MatchString(entry) {
			t.Fatalf("a remedy has lost %q:\n%s", field, entry)
		}
	}
	p.updated(t, words(parent, id, user, []string{"-x509SVIDTTL", "5"})...)
	p.remedied(t, "LAB072", "SVIDs that are valid for 5 s")
}

// otherEntries: the doctor must find each additional entry that is harmful, and a missing entry.
func (p *patient) otherEntries(t *testing.T) {
	create := func(entry string, fields ...string) {
		t.Helper()
		p.cli(t, append([]string{"entry", "create", "-entryID", entry}, fields...)...)
	}
	other := []string{"-spiffeID", "spiffe://example.org/other"}
	create("0-scenario", words(parent, other, user)...)
	p.remedied(t, "LAB068", "the default SVID is that of the entry whose ID sorts first")
	create("scenario-other", words(parent, other, user)...)
	p.remedied(t, "LAB112", "a second SVID, which is not the default")
	create("scenario-wide", words(parent, id, []string{"-selector", "unix:user:guest-workload"})...)
	p.remedied(t, "LAB111", "the guest gets the SVID of the client")
	create("scenario-admin", words(parent, []string{"-spiffeID", "spiffe://example.org/ops", "-selector", "unix:path:/opt/the ops' tool", "-admin", "-downstream"})...)
	p.remedied(t, "LAB116", "an entry that controls the SPIRE server")
	if kept := p.cli(t, "entry", "show", "-entryID", "scenario-admin"); !regexp.MustCompile(`Selector *: unix:path:/opt/the ops' tool`).MatchString(kept) {
		t.Fatalf("the client's entry has changed:\n%s", kept)
	}
	p.cli(t, "entry", "delete", "-entryID", "scenario-admin")
	p.cli(t, "entry", "delete", "-entryID", "client")
	p.found(t, "LAB063", "the entry is deleted")
	p.write(t)
	p.remedied(t, "LAB063", "the entry is deleted")
}

// impostor: the doctor must find an additional container that has the server's DNS name.
func (p *patient) impostor(t *testing.T) {
	name := p.project + "-scenario-impostor"
	t.Cleanup(func() { p.docker(t, "rm", "--force", name) })
	p.said(t, "run", "--detach", "--name", name, "--network", p.project+"_default", "--network-alias", "server",
		"--label", "com.docker.compose.project=", "--label", "com.docker.compose.service=", p.inspect(t, "client").Config.Image, "node")
	p.found(t, "LAB103", "a different container answers under the server's name")
	p.said(t, "rm", "--force", name)
	p.healthy(t, "after the impostor is removed")
}

// noStart: the doctor must name the cause without an engine, without images, and after a failed start.
func (p *patient) noStart(t *testing.T) {
	other := &lab{project: p.project + "-2"}
	program := filepath.Join(root(), "scripts", "lab")
	contains(t, p.exec(t, []string{"DOCKER_HOST=unix:///nowhere"}, program, "doctor").Combined(), "LAB003")
	contains(t, other.exec(t, []string{"LAB_TAG=nowhere"}, program, "doctor").Combined(), "LAB024")

	// The test's plugin for Compose fails at each `up`.
	config := t.TempDir()
	plugin := filepath.Join(config, "cli-plugins", "docker-compose")
	compose := strings.TrimSpace(p.said(t, "info", "--format", `{{range .ClientInfo.Plugins}}{{if eq .Name "compose"}}{{.Path}}{{end}}{{end}}`))
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *' up '*) echo 'failed to create network' >&2 && exit 1 ;; esac\nexec '%s' \"$@\"\n", compose)
	if err := os.MkdirAll(filepath.Dir(plugin), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plugin, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(cache("up-" + other.project + ".json")) })
	refused(t, other.exec(t, []string{"DOCKER_CONFIG=" + config}, program, "up"), 1, "LAB025")
}

// openFault: the doctor must be off while a fault is open that the learner must solve without the doctor.
func (p *patient) openFault(t *testing.T) {
	p.learner(t)
	open := filepath.Join(p.kept(), "open")
	if err := os.MkdirAll(open, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(open) }) // else the cleanup of the helper learner tries to reset this fault, which does not exist
	if err := os.WriteFile(filepath.Join(open, "fault"), []byte("number=7\nname=planted\nlevel=2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, p.run(t, "doctor"), 4, "the doctor is off while fault 7 is open")
	contains(t, p.exec(t, []string{"FORCE=1"}, filepath.Join(root(), "scripts", "lab"), "doctor").Combined(), "all is well")
	hints, err := os.ReadFile(filepath.Join(open, "hints"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "\n"+string(hints), "\ndoctor\n") // the use of the doctor counts as a hint
}
