package fault

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// fakeLab answers commands by rules.
type fakeLab struct {
	rules    []rule
	services []engine.Container
	unserved error
	report   *facts.Facts
	ran      []string // every command
	built    []string // every image
	unbuilt  error
	resets   int

	refusedAfter string // the command after which the client is refused

	mu sync.Mutex // commands are run side by side
}

// rule answers commands that contain a text.
type rule struct {
	command string
	status  int
	output  string
}

// status is how a program ended in the fake lab.
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

func (f *fakeLab) Ready(context.Context, io.Writer) error     { return nil }
func (f *fakeLab) NeedTools(context.Context, io.Writer) error { return nil }
func (f *fakeLab) Reset(context.Context, io.Writer) error     { f.resets++; return nil }
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

// healthy is a lab whose services run and whose client is served.
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

// archive is what docker cp prints of a file.
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

// root is the lab's folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sample is a fault, with these functions beside those that every fault has.
func sample(t *testing.T, lines string) *Fault {
	t.Helper()
	file := filepath.Join(t.TempDir(), "01-sample.sh")
	text := `# shellcheck shell=bash
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
wrong one 'words' 'why'
wrong_one() { true; }
wrong two 'words' 'why'
wrong_two() { true; }
wrong three 'words' 'why'
wrong_three() { true; }
hint '! client_served' 'The first.'
hint 'entry_has "^Entry ID"' 'The second.'
hint true 'The third.'
debrief() {
	cat <<'END'
  What it was.
END
}
`
	if err := os.WriteFile(file, []byte(text+lines+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// injected runs lines as the function inject of a fault.
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
	return s.do(context.Background(), "inject")
}

// TestHelpers has, for each helper function, a case in which it does what it says and one in which it fails.
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
		want        string         // of a command that must have run, or an image that must have been built
		fails       string         // of the error; nothing if it must succeed
		change      func(*fakeLab) // of the healthy lab
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
		{"other_image", "printf text | other_image server /etc/file 755", "from spiffe-lab/workload:local with /etc/file, mode 755: text", "", nil},
		{"other_image that is recreated", "printf text | other_image server /etc/file", `< services: {server: {image: "spiffe-lab/workload:local.fault-`, "", nil},
		{"other_image that is not built", "printf text | other_image server /etc/file", "", "no compiler", unbuilt},
		{"other_image without a file", "other_image server /etc/file", "", "other_image wants the file", nil},
		{"other_image with a wrong mode", "printf text | other_image server /etc/file 9", "", "MODE is as 755", nil},
		{"last_image", "wrong_server old new\ndocker pull \"$(last_image)\"", "docker pull spiffe-lab/workload:local.fault-", "", nil},
		{"last_image without one", "image=$(last_image)", "", "no image was made", nil},
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
		{"container_running of what has ended", "container_running bootstrap", "", "bootstrap does not run", nil},
		{"lives_longer", "lives_longer client-workload 1800", "", "", nil},
		{"lives_longer of a short life", "lives_longer client-workload 7200", "", "is valid for 1h0m10s", nil},
		{"container_of", "docker stop \"$(container_of client)\"", "docker stop id-of-client", "", nil},
		{"container_of what is not there", "id=$(container_of partner-server)", "", "there is no container of partner-server", nil},
		{"image_of", "docker pull \"$(image_of bootstrap)\"", "docker pull spiffe-lab/bootstrap:local", "", nil},
		{"image_of nothing", "image=$(image_of nonsense)", "", `the lab has no image "nonsense"`, nil},
		{"file_of", "file_of client /file | docker load", "docker load < content", "", nil},
		{"file_of what is not there", "file_of client /nothing", "", "client has no file /nothing", nil},
		{"edited", "edited settings.conf 'two = .' 'two = 22' '^three.*' '' | docker load", "docker load < one = 1\ntwo = 22", "", nil},
		{"edited of what is not there", "edited settings.conf four 4", "", "no line of settings.conf matches four", nil},
		{"edited without a text", "edited settings.conf one", "", "want: edited FILE REGEX TEXT", nil},
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

// TestEveryHelperHasACase sees that TestHelpers leaves none out.
func TestEveryHelperHasACase(t *testing.T) {
	text, err := os.ReadFile("fake_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range helpers {
		if name != "__found" && strings.Count(string(text), `{"`+name) < 2 {
			t.Errorf("%s has no case in which it succeeds and one in which it fails", name)
		}
	}
}
