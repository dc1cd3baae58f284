package fault

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report/reporttest"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// fakeLab is a lab that answers commands by rules.
type fakeLab struct {
	rules    []rule
	services []engine.Container
	unserved error
	report   *facts.Facts
	ran      []string // every command that has run
	built    []string // every image that was built
	unbuilt  error
	resets   int

	refusedAfter string // the client is refused as soon as this command has run
	recreates    string // this command gives every container a new ID

	mu sync.Mutex // because some commands run at the same time
}

// rule answers commands that contain a text.
type rule struct {
	command string
	status  int
	output  string
}

type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }
func (s status) ExitCode() int { return int(s) }

func (f *fakeLab) answer(line string) (int, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ran = append(f.ran, line)
	if f.refusedAfter != "" && strings.Contains(line, f.refusedAfter) {
		f.unserved = errors.New("refused")
	}
	if f.recreates != "" && strings.Contains(line, f.recreates) {
		for i := range f.services {
			f.services[i].ID += "2"
		}
	}
	if f.unserved != nil && strings.Contains(line, "exec client client-workload client") {
		return 4, "bad certificate"
	}
	for _, rule := range f.rules {
		if strings.Contains(line, rule.command) {
			return rule.status, rule.output
		}
	}
	return 0, ""
}

func (f *fakeLab) Run(_ context.Context, _, words []string, in io.Reader, out, _ io.Writer) (int, error) {
	line := strings.Join(words, " ")
	if in != nil {
		text, err := io.ReadAll(in)
		if err != nil {
			return 0, err
		}
		line += " < " + strings.TrimSpace(string(text))
	}
	code, text := f.answer(line)
	_, err := io.WriteString(out, text)
	return code, err
}

func (f *fakeLab) Exec(_ context.Context, out, _ io.Writer, service, user string, args ...string) error {
	code, text := f.answer("exec " + service + " " + user + " " + strings.Join(args, " "))
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if code != 0 {
		return status(code)
	}
	return nil
}

func (f *fakeLab) Ready(context.Context, io.Writer) error { return nil }
func (f *fakeLab) NeedTools(context.Context, io.Writer) error {
	f.built = append(f.built, lab.Tools)
	return f.unbuilt
}
func (f *fakeLab) Reset(context.Context, io.Writer) error { f.resets++; return nil }
func (f *fakeLab) Log(context.Context, string, time.Time) ([]engine.Line, error) {
	return []engine.Line{{Text: `Request received from "spiffe://example.org/client": GET "/"`},
		{Text: `http: TLS handshake error from 172.21.0.4:1: unexpected ID "spiffe://example.org/server"`}}, nil
}
func (f *fakeLab) Containers(context.Context) ([]engine.Container, error) { return f.services, nil }
func (f *fakeLab) Inspect(context.Context, string) (*engine.Inspection, error) {
	return &engine.Inspection{}, nil
}
func (f *fakeLab) Process(context.Context, string) (engine.Process, error) {
	return engine.Process{}, nil
}
func (f *fakeLab) ClientServed(context.Context) error                 { return f.unserved }
func (f *fakeLab) Now(context.Context) (time.Time, error)             { return noon, nil }
func (f *fakeLab) Image(name string) string                           { return lab.ImagePrefix + name + ":local" }
func (f *fakeLab) Report(context.Context, time.Duration) *facts.Facts { return f.report }

func (f *fakeLab) ImageWithFile(_ context.Context, image, base, path string, mode os.FileMode, content []byte) error {
	f.built = append(f.built, fmt.Sprintf("%s from %s with %s, mode %o: %s", image, base, path, mode, content))
	return f.unbuilt
}

func (f *fakeLab) ServerVariant(_ context.Context, image, old, replacement string) error {
	f.built = append(f.built, fmt.Sprintf("%s with %q for %q", image, replacement, old))
	return f.unbuilt
}

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// healthy returns a lab whose services run and whose client is served.
func healthy(t *testing.T) *fakeLab {
	t.Helper()
	f := &fakeLab{report: reporttest.Healthy(t), rules: []rule{
		{"exec client client-workload client -wait 5s -server-id", 4, `unexpected ID "spiffe://example.org/server"`},
		{"exec client client-workload client", 0, "Success!!!"},
		{"exec client server-workload client", 4, "remote error: tls: bad certificate"},
		{"exec client 0:0 observer", 0, `{"user":"root"}`},
		{"exec client client-workload svid", 0, "SPIFFE ID   spiffe://example.org/client\nserial      AB\nvalid from  2026-11-28T11:59:50Z\nvalid until 2026-11-28T13:00:00Z\n"},
		{"exec client guest-workload svid", 1, "no identity issued"},
		{"-output json", 0, "{}"},
		{"entry show", 0, "Entry ID         : client\nSPIFFE ID        : spiffe://example.org/client\n"},
		{"docker inspect --format {{.Config.Image}} id-of-server", 0, "spiffe-lab/workload:local\n"},
		{"docker cp id-of-client:/file -", 0, archive(t, "content")},
		{"docker cp", 1, "no such file"},
	}}
	for _, service := range lab.Services {
		state := "running"
		if !lab.Lasts(service) {
			state = "exited"
		}
		f.services = append(f.services, engine.Container{ID: "id-of-" + service, Service: service, State: state})
	}
	return f
}

// archive returns what docker cp prints for a file.
func archive(t *testing.T, content string) string {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	if err := errors.Join(writer.WriteHeader(&tar.Header{Name: "file", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))})); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(writer, content); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sample returns a fault with these functions, and with the functions that every fault must have.
func sample(t *testing.T, lines string) *Fault {
	t.Helper()
	f, err := readSample(t, lines)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func readSample(t *testing.T, lines string) (*Fault, error) {
	t.Helper()
	return Read(writeSample(t, t.TempDir(), lines))
}

func writeSample(t *testing.T, dir, lines string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "01-sample.sh")
	if err := os.WriteFile(file, []byte(sampleText+lines+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

const sampleText = `# shellcheck shell=bash
# somebody complains
level 1
category "entry: deleted; agent: stopped"
doctor LAB063

ticket() {
	cat <<'END'
  The ticket.
END
}
right() { true; }
wrong one 'client_1' 'why'
wrong_one() { true; }
wrong two 'client_2' 'why'
wrong_two() { true; }
wrong three 'client_3' 'why'
wrong_three() { true; }
hint '! client_served' 'The first.'
hint 'entry_has "^Entry ID"' 'The second.'
hint true 'The third.'
debrief() {
	cat <<'END'
  What it was.
END
}
cause a 'The first.'
answer b 'The second.' 'The log.' 'make svid'
answer c 'The third.' 'The list.' 'docker ps'
answer d 'The fourth.' 'The hash.' 'scripts/lab entries'
also one
right_one() { true; }
also two
right_two() { true; }
states 'The  ticket.' client_served
wrong four 'client_4' 'why' 'client_served'
wrong_four() { true; }
wrong five 'client_5' 'why'
wrong_five() { true; }
`

// injected runs these lines as the function inject of a fault.
func injected(t *testing.T, l Lab, lines string) error {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "settings.conf"), []byte("one = 1\ntwo = 2\n\nthree = 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := newSession(l, scenario.Place{Dir: dir, Cache: dir, Project: "p"}, progress.Of(dir, "p"), sample(t, "inject() {\n"+lines+"\n}"))
	if err != nil {
		t.Fatal(err)
	}
	s.pause = time.Millisecond
	if err := s.snapshot(context.Background(), brokenFile); err != nil {
		t.Fatal(err)
	}
	return s.do(context.Background(), "inject")
}

// startedAt sets the time at which the client was started. If moment is empty, startedAt sets the time in the report.
func startedAt(moment string) func(*fakeLab) {
	return func(f *fakeLab) {
		if moment == "" {
			moment = f.report.Service(lab.Client).StartedAt.Format(time.RFC3339Nano)
		}
		f.rules = append([]rule{{"{{.State.StartedAt}} id-of-client", 0, moment + "\n"}}, f.rules...)
	}
}

// TestHelpers: each helper function must succeed in one case, and fail in another case.
func TestHelpers(t *testing.T) {
	fails := func(command string) func(*fakeLab) {
		return func(f *fakeLab) {
			f.rules = append([]rule{{command, 1, "it failed"}}, f.rules...)
		}
	}
	unbuilt := func(f *fakeLab) { f.unbuilt = errors.New("no compiler") }
	const yaml = "<<-'END'\n\t\tservices: {server: {user: root}}\n\tEND"
	for _, c := range []struct {
		name, lines string
		want        string         // a part of a command that must run, or of the name of an image that must be built
		fails       string         // a part of the error, or empty if the function must succeed
		change      func(*fakeLab) // changes the healthy lab
	}{
		{"others", "others", "entry create -entryID billing -parentID spiffe://example.org/host-2 -spiffeID spiffe://example.org/billing -selector unix:user:billing-workload", "", nil},
		{"others that fail", "others", "", "it failed", fails("entry create")},
		{"others_go", "others_go", "entry delete -entryID backup", "", nil},
		{"others_go that fails", "others_go", "entry delete -entryID billing", "it failed", fails("entry delete -entryID backup")},
		{"restarted", "restarted server client", "docker restart --time 6 id-of-client", "", nil},
		{"restarted of what is not there", "restarted partner-server", "", "there is no container of partner-server", nil},
		{"restarted of no service", "restarted nonsense", "", `SERVICE`, nil},
		{"remake", "remake server " + yaml, "--file - up --detach --no-deps --force-recreate server < services: {server: {user: root}}", "", nil},
		{"remake that fails", "remake server " + yaml, "", "it failed", fails("--force-recreate")},
		{"remake without a file", "remake server", "", "remake wants a Compose file", nil},
		{"wrong_server", "wrong_server old new", `with "new" for "old"`, "", nil},
		{"wrong_server that is not built", "wrong_server old new", "", "no compiler", unbuilt},
		{"any_client", "any_client", `with "tlsconfig.AuthorizeAny()"`, "", nil},
		{"any_client that is not built", "any_client", "", "no compiler", unbuilt},
		{"client_as", "client_as 0:0", `--force-recreate client < services: {client: {user: "0:0"}}`, "", nil},
		{"client_as that fails", "client_as 0:0", "", "it failed", fails("--force-recreate")},
		{"client_asks", "client_asks https://x:8444/", `{command: ["client", "-interval", "5s", "-health", "127.0.0.1:8080", "-url", "https://x:8444/"]}}`, "", nil},
		{"client_asks that fails", "client_asks https://x:8444/", "", "it failed", fails("--force-recreate")},
		{"run_beside", "run_beside second server-workload server -listen :8444", "docker run --detach --name p-second --network p_default --network-alias second --pid container:id-of-node --user server-workload " +
			"--volume p_workload-api:/tmp/spire-agent/public:ro --env SPIFFE_ENDPOINT_SOCKET=unix:///tmp/spire-agent/public/api.sock spiffe-lab/workload:local server -listen :8444", "", nil},
		{"run_beside that fails", "run_beside second server-workload server", "", "it failed", fails("docker run")},
		{"run_beside of no program", "run_beside second server-workload", "", "want: run_beside NAME USER COMMAND", nil},
		{"other_image", "printf text | other_image server /etc/file 755", "from spiffe-lab/workload:local with /etc/file, mode 755: text", "", nil},
		{"other_image that is recreated", "printf text | other_image server /etc/file", `< services: {server: {image: "spiffe-lab/workload:local.fault-`, "", nil},
		{"other_image that is not built", "printf text | other_image server /etc/file", "", "no compiler", unbuilt},
		{"other_image without a file", "other_image server /etc/file", "", "other_image wants the file", nil},
		{"other_image with a wrong mode", "printf text | other_image server /etc/file 9", "", "with a MODE such as 755", nil},
		{"last_image", "wrong_server old new\ndocker pull \"$(last_image)\"", "docker pull spiffe-lab/workload:local.fault-", "", nil},
		{"last_image without one", "image=$(last_image)", "", "no image was built yet", nil},
		{"override", "override " + yaml + "\noverride_has 'user: root'\nedited compose.override.yaml root guest | override\noverride_has 'user: guest' && docker load", "docker load", "", nil},
		{"override without a file", "override", "", "override wants a Compose file", nil},
		{"override that remake reads", "override " + yaml + "\nremake server " + yaml, "compose.override.yaml --file - up", "", nil},
		{"override of a service", "override client " + yaml, "docker compose up --detach --no-deps client", "", nil},
		{"override of no service", "override nonsense " + yaml, "", "SERVICE", nil},
		{"override of a service that is not recreated", "override client " + yaml, "", "it failed", fails("--no-deps client")},
		{"override_adds", "override " + yaml + "\noverride_adds server <<<'# night shift'\noverride_has 'user: root' && override_has night", "docker compose up --detach --no-deps server", "", nil},
		{"override_adds without an override", "override_adds " + yaml, "", "no such file", nil},
		{"override_adds without a file", "override " + yaml + "\noverride_adds", "", "override_adds wants a Compose file", nil},
		{"override_adds of no service", "override " + yaml + "\noverride_adds nonsense " + yaml, "", "SERVICE", nil},
		{"override_has what it has not", "override " + yaml + "\noverride_has guest", "", "no line of compose.override.yaml matches guest", nil},
		{"override_has without an override", "override_has guest", "", "no such file", nil},
		{"no_override", "override " + yaml + "\nno_override\n! override_has root && docker load", "docker load", "", nil},
		{"no_override of a service", "override " + yaml + "\nno_override server", "docker compose up --detach --no-deps server", "", nil},
		{"no_override of no service", "override " + yaml + "\nno_override nonsense", "", "SERVICE", nil},
		{"no_override without one", "no_override", "", "no such file", nil},
		{"lab", "lab up --detach server", "docker compose up --detach server", "", nil},
		{"lab that fails", "lab up", "", "it failed", fails("compose up")},
		{"provision", "provision", "docker compose run --rm --no-deps bootstrap", "", nil},
		{"provision that fails", "provision", "", "it failed", fails("bootstrap")},
		{"own_entries", "own_entries", "exec spire-server  /opt/spire/bin/spire-server entry update -entryID client", "", func(f *fakeLab) {
			f.rules = []rule{{"run --rm", 0, "The entry differs:\n  docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client\n"}}
		}},
		{"own_entries that fail", "own_entries", "", "it failed", fails("bootstrap")},
		{"docker", "say there | docker exec --interactive x cat", "docker exec --interactive x cat < there", "", nil},
		{"docker that fails", "docker stop x", "", "it failed", fails("stop x")},
		{"cli", "cli entry show", "exec spire-server  /opt/spire/bin/spire-server entry show", "", nil},
		{"cli that fails", "cli agent list", "", "it failed", fails("agent list")},
		{"partner_cli", "partner_cli bundle show", "exec partner-server  /opt/spire/bin/spire-server bundle show", "", nil},
		{"partner_cli that fails", "partner_cli bundle show", "", "it failed", fails("bundle show")},
		{"wait_until", "wait_until 1 it client_served", "", "", nil},
		{"wait_until of a function", "never() { false; true; }\nwait_until 0 it never", "", "", nil},
		{"wait_until of what never holds", "wait_until 0 'it comes' nobody client-workload", "", "timed out after 0 s waiting for: it comes: ", nil},
		{"has_identity", "has_identity client-workload spiffe://example.org/client", "", "", nil},
		{"has_identity of another", "has_identity client-workload spiffe://example.org/other", "", `the first SPIFFE ID that client-workload gets is "spiffe://example.org/client", not spiffe://example.org/other`, nil},
		{"has_identity of nobody", "has_identity guest-workload spiffe://example.org/client", "", "no identity issued", nil},
		{"nobody", "nobody guest-workload", "", "", nil},
		{"nobody of somebody", "nobody client-workload", "", "client-workload gets an identity", nil},
		{"entry_has", "entry_has '^Entry ID +: client$'", "", "", nil},
		{"entry_has of what no entry has", "entry_has nonsense", "", "no line of entry show matches nonsense", nil},
		{"entry_has of no expression", "entry_has '('", "", "REGEX", nil},
		{"container_running", "container_running client", "", "", nil},
		{"container_running of what has ended", "container_running bootstrap", "", "bootstrap is not running", nil},
		{"lives_longer", "lives_longer client-workload 1800", "", "", nil},
		{"lives_longer of a short life", "lives_longer client-workload 7200", "", "is valid for 1h0m10s", nil},
		{"was_restarted", "was_restarted client && docker load", "docker load", "", startedAt("2026-11-28T12:00:00Z")},
		{"was_restarted of what was not", "was_restarted client", "", "client has been running since before the fault", startedAt("")},
		{"container_of", "docker stop \"$(container_of client)\"", "docker stop id-of-client", "", nil},
		{"container_of what is not there", "id=$(container_of partner-server)", "", "there is no container of partner-server", nil},
		{"image_of", "docker pull \"$(image_of bootstrap)\"", "docker pull spiffe-lab/bootstrap:local", "", nil},
		{"image_of nothing", "image=$(image_of nonsense)", "", `the lab has no image "nonsense"`, nil},
		{"file_of", "file_of client /file | docker load", "docker load < content", "", nil},
		{"file_of what is not there", "file_of client /nothing", "", "client has no file /nothing", nil},
		{"edited", "edited settings.conf 'two = .' 'two = 22' '^three.*' '' | docker load", "docker load < one = 1\ntwo = 22", "", nil},
		{"edited of what is not there", "edited settings.conf four 4", "", "no line of settings.conf matches four", nil},
		{"edited without a text", "edited settings.conf one", "", "want: edited FILE REGEX TEXT", nil},
		{"need_tools", "need_tools", "tools", "", nil},
		{"need_tools that cannot be built", "need_tools", "", "no compiler", func(f *fakeLab) { f.unbuilt = errors.New("no compiler") }},
		{"cat", "say a | cat | docker load", "docker load < a", "", nil},
		{"cat of a file", "cat settings.conf", "", "want: cat", nil},
		{"same", "say a | same a", "", "", nil},
		{"same of another", "say a | same b || docker load", "docker load", "", nil},
		{"distinct", "docker load \"$(printf '1.2 3.4 1.2' | distinct '[0-9.]+')\"", "docker load 2", "", nil},
		{"distinct of no expression", "say a | distinct '('", "", "REGEX", nil},
		{"$project", "docker volume rm \"${project}_disk\"", "docker volume rm p_disk", "", nil},
		{"what scenarios have", "client_served && inside client root true && docker load", "docker load", "", nil},
		{"another program", "curl example.org", "", "curl is not a helper function", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := healthy(t)
			if c.change != nil {
				c.change(l)
			}
			err := injected(t, l, c.lines)
			switch {
			case c.fails == "" && err != nil:
				t.Errorf("it fails: %v", err)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("want %q, got %v", c.fails, err)
			}
			if all := strings.Join(append(l.ran, l.built...), "\n"); c.want != "" && !strings.Contains(all, c.want) {
				t.Errorf("want %q in\n%s", c.want, all)
			}
		})
	}
}

// TestEveryHelperHasACase: TestHelpers must test every helper function.
func TestEveryHelperHasACase(t *testing.T) {
	text, err := os.ReadFile("fake_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range helpers {
		if cases := regexp.MustCompile(`(?m)^\t\t\{"`+name+`[ "]`).FindAll(text, -1); name != "__found" && len(cases) < 2 {
			t.Errorf("%s has no case in which it succeeds and one in which it fails", name)
		}
	}
}

// TestWritingNamesEveryHelper: the page for authors must name every helper function and every declaration, and no others.
func TestWritingNamesEveryHelper(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "scripts", "faults", "WRITING.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	tables, _, _ := strings.Cut(string(text), "## The reflexes")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(tables, -1) {
		for _, one := range regexp.MustCompile("`([a-z_]+)[^`]*`").FindAllStringSubmatch(row[1], -1) {
			named[one[1]] = true
		}
	}
	for name := range named {
		if helpers[name] == nil && declarations[name] == nil {
			t.Errorf("WRITING.md names %s, which does not exist", name)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(helpers)), slices.Collect(maps.Keys(declarations))) {
		if name != "__found" && !named[name] {
			t.Errorf("WRITING.md does not name %s", name)
		}
	}
}
