package launch

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/engine/enginetest"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// fake returns a launcher whose docker answers by the rules, and the launcher's output.
func fake(t *testing.T, rules string) (*Launcher, *bytes.Buffer) {
	t.Helper()
	e, err := engine.New(enginetest.Start(t, rules+enginetest.Version+enginetest.Info))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"compose.yaml": "name: p\n", "scripts/scenarios/extras.yaml": "x\n", "spire/a.conf": "a\n", "services/a.go": "a\n"} {
		file := filepath.Join(e.Dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	return &Launcher{Engine: e, Screen: screen.Plain(&said)}, &said
}

// quiet are rules for an engine that has no container, network or volume.
const quiet = "ps --all => 0\ncontainer ls => 0\nnetwork ls => 0\nvolume ls => 0\n"

// TestPreflight: each problem that prevents a start must end the start before it changes anything.
func TestPreflight(t *testing.T) {
	other := t.TempDir()
	for name, c := range map[string]struct {
		rules         string
		change        func(*testing.T, *Launcher)
		problem, hint string
	}{
		"nothing":                  {quiet, nil, "", ""},
		"a policy":                 {quiet, func(t *testing.T, _ *Launcher) { t.Setenv("DOCKER_CONTENT_TRUST", "1") }, "DOCKER_CONTENT_TRUST is set", "unset DOCKER_CONTENT_TRUST"},
		"no folder for temporary":  {quiet, func(t *testing.T, _ *Launcher) { t.Setenv("TMPDIR", "/nowhere") }, "TMPDIR is /nowhere", "unset TMPDIR"},
		".cache is a file":         {quiet, func(t *testing.T, l *Launcher) { write(t, l, ".cache", "") }, "cannot be written", "git clone"},
		"line endings":             {quiet, func(t *testing.T, l *Launcher) { write(t, l, "spire/a.conf", "a\r\n") }, "spire/a.conf has the line endings of Windows", "git checkout -- spire/a.conf"},
		"line endings of an image": {quiet, func(t *testing.T, l *Launcher) { write(t, l, "services/a.png", "a\r\n") }, "", ""},
		"line endings of test data": {quiet, func(t *testing.T, l *Launcher) {
			if err := os.Mkdir(filepath.Join(l.Dir, "services", "testdata"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, l, "services/testdata/a.log", "a\r\n")
		}, "", ""},
		"a name with capitals":        {quiet, func(t *testing.T, l *Launcher) { l.Project = "My Lab" }, `"My Lab", which is not a valid name of a Compose project`, "COMPOSE_PROJECT_NAME=my-lab"},
		"a name of nothing but signs": {quiet, func(t *testing.T, l *Launcher) { l.Project = "-_" }, "not a valid name", "COMPOSE_PROJECT_NAME=my-lab"},
		"another folder's lab": {`ps --all => 0 {"ID":"a","Project":"p","Folder":"` + other + `"}` + "\n" + quiet, nil,
			"p is in use: its containers were started from " + other, "COMPOSE_PROJECT_NAME=p-2"},
		"somebody's container": {`ps --all --no-trunc => 0` + "\n" + `container ls => 0 {"Name":"p-client-1","Project":""}` + "\n" + quiet, nil,
			"the container p-client-1 exists and was not created by this lab", "COMPOSE_PROJECT_NAME=p-2"},
		"somebody's network": {`network ls => 0 {"Name":"p_default","Project":"q"}` + "\n" + quiet, nil, "the network p_default exists", "COMPOSE_PROJECT_NAME=p-2"},
		"somebody's volume":  {`volume ls => 0 {"Name":"p_workload-api","Project":""}` + "\n" + quiet, nil, "the volume p_workload-api exists", "COMPOSE_PROJECT_NAME=p-2"},
		"a docker that crashes": {"ps --all --no-trunc => 0\ncontainer ls => 2 fork: resource temporarily unavailable\n" + quiet, nil,
			"cannot tell: docker container failed: fork: resource temporarily unavailable", "docker container must work"},
		"a name like one": {`volume ls => 0 {"Name":"p_mine","Project":""}` + "\n" + quiet, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := fake(t, c.rules)
			if c.change != nil {
				c.change(t, l)
			}
			err := l.Preflight(context.Background())
			if c.problem == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var problem *engine.Problem
			if !errors.As(err, &problem) || !strings.Contains(problem.What, c.problem) || !strings.Contains(problem.Remedy, c.hint) {
				t.Errorf("the error is %+v, want %q and the hint %q", err, c.problem, c.hint)
			}
		})
	}
}

func write(t *testing.T, l *Launcher, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(l.Dir, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDown: the lab's volumes must be removed. A volume that the lab did not create must be kept and named. If the engine does not remove the
// network, down must say why.
func TestDown(t *testing.T) {
	l, said := fake(t, "down --volumes => 0\nvolume ls --quiet => 0 p_spire-server-empty-disk | p_mine\nvolume rm p_spire-server-empty-disk => 0\n"+quiet)
	if err := l.Need(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := l.Down(context.Background()); err != nil || !strings.Contains(said.String(), "the volume p_mine stays") {
		t.Errorf("%v\n%s", err, said)
	}
	const refused, listed = "down --volumes => 1 network p_default has active endpoints\nconfig --quiet => 0\n", "network ls --format {{.Name}} => 0 p_default\n"
	for name, c := range map[string]struct{ rules, says string }{
		"the engine refuses once":     {refused + listed + "network inspect => 0\nonce network rm p_default => 1 has active endpoints\nnetwork rm p_default => 0\n", ""},
		"the engine refuses for good": {refused + listed + "network inspect => 0\nnetwork rm p_default => 1 has active endpoints\n", "the network p_default stays: docker network: has active endpoints."},
		"another container":           {"down --volumes => 0\n" + listed + "network inspect => 0 mine\n", "did not create is connected to it: mine\n"},
	} {
		l, said = fake(t, c.rules+"volume ls --quiet => 0 p_workload-api\nonce volume rm p_workload-api => 0\n"+quiet)
		err := errors.Join(l.Need(context.Background()), l.Down(context.Background()))
		if err != nil || !strings.Contains(said.String(), c.says) || c.says == "" && strings.Contains(said.String(), "stays") {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
	l, _ = fake(t, "down --volumes => 1 broken | last\nconfig --quiet => 0\n"+quiet)
	if err := errors.Join(l.Need(context.Background()), l.Down(context.Background())); err == nil || !strings.Contains(err.Error(), "the lab cannot be removed: last") {
		t.Errorf("a down that fails: %v", err)
	}
}

// TestOverrideIsTold: if Compose reads an override in addition to compose.yaml, up and down must report this. If Compose cannot read the
// override, the error must report it, too.
func TestOverrideIsTold(t *testing.T) {
	const sentence = "compose.override.yaml is in force: Compose reads it beside compose.yaml\n"
	l, said := fake(t, "down --volumes => 1 broken\nconfig --quiet => 1 services.x must be a mapping\n"+quiet)
	write(t, l, "compose.override.yaml", "services: {x: 1}\n")
	if err := l.Preflight(context.Background()); err != nil || said.String() != sentence {
		t.Errorf("before a start: %v\n%s", err, said)
	}
	said.Reset()
	err := l.Down(context.Background())
	var problem *engine.Problem
	if !errors.As(err, &problem) || problem.What != "Compose cannot read compose.yaml with compose.override.yaml: services.x must be a mapping" || !strings.Contains(problem.Remedy, "compose.override.yaml, or move it away") {
		t.Errorf("%v", err)
	}
	if !strings.HasPrefix(said.String(), sentence) {
		t.Errorf("down says:\n%s", said)
	}
}

// TestOwns: Owns must accept the shared folder and the lab's own folder, even if the lab's own folder has been deleted. Owns must not
// accept a different folder.
func TestOwns(t *testing.T) {
	l, _ := fake(t, quiet)
	other := t.TempDir()
	for folder, want := range map[string]bool{l.Dir: true, filepath.Join(l.Dir, ".lab", "p", "compose"): true, other: false, filepath.Join(l.Dir, ".lab", "q", "compose"): false, "": false} {
		if l.Owns(folder) != want {
			t.Errorf("%q: %t", folder, !want)
		}
	}
}

// TestServed: a start must not pass on a client that is served only because it still has its SVID.
func TestServed(t *testing.T) {
	const lab = `ps --all => 0 {"ID":"c","Service":"client","State":"running"} | {"ID":"a","Service":"spire-agent","State":"running"}` + "\n"
	for name, c := range map[string]struct{ rules, want string }{
		"both":           {"exec --user client-workload c probe => 0\nexec --user  a /opt/spire => 0\n", ""},
		"not the agent":  {"exec --user client-workload c probe => 0\nexec --user  a /opt/spire => 1\n", "the agent does not answer"},
		"not the client": {"exec --user client-workload c probe => 1 no identity\nexec --user  a /opt/spire => 0\n", "no identity"},
	} {
		l, _ := fake(t, c.rules+lab+quiet)
		err := errors.Join(l.Need(context.Background()), l.served(context.Background()))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestPatientReport: a question that a busy machine has not answered in time must be asked again, but not if somebody has set the limit.
func TestPatientReport(t *testing.T) {
	for limit, late := range map[time.Duration]bool{0: false, time.Second: true} {
		l, _ := fake(t, "once network ls => hangs\n"+quiet)
		if err := l.Connect(context.Background()); err != nil {
			t.Fatal(err)
		}
		f := l.PatientReport(context.Background(), report.Options{Patience: limit})
		if slices.Contains(f.Late(), "networks") != late {
			t.Errorf("limit %s: no answer in time to %q", limit, f.Late())
		}
	}
}

// TestAskAgain: a machine that needs more than the second time limit must get a third one, before a late answer counts as a failure.
func TestAskAgain(t *testing.T) {
	before := patiences
	patiences = []time.Duration{time.Second, time.Minute}
	t.Cleanup(func() { patiences = before })
	l, _ := fake(t, "once network ls => hangs\n"+quiet)
	if err := l.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	if f := l.askAgain(context.Background(), report.Options{}); len(f.Late()) > 0 || f.Host.Patience != time.Minute {
		t.Errorf("with a limit of %s there is no answer in time to %q", f.Host.Patience, f.Late())
	}
}

// TestReplaced: a container with a new ID was replaced. A service that had no container before must not count as replaced.
func TestReplaced(t *testing.T) {
	before := []engine.Container{{ID: "1", Service: "server"}, {ID: "2", Service: "client"}}
	after := []engine.Container{{ID: "1", Service: "server"}, {ID: "3", Service: "client"}, {ID: "4", Service: "tools"}}
	if got := replaced(before, after); !slices.Equal(got, []string{"client"}) {
		t.Errorf("recreated: %q", got)
	}
}

// TestBuild: if sources, versions and images have not changed, nothing must be built. A change of any of these must start a build.
func TestBuild(t *testing.T) {
	l, said := fake(t, "config --quiet => 0\nimage inspect => 0 sha256:1 arm64\n")
	sources := ImageSources
	ImageSources = []string{"compose.yaml", "services"}
	t.Cleanup(func() { ImageSources = sources })
	if err := errors.Join(l.Connect(context.Background()), os.MkdirAll(l.Cache(), 0o755)); err != nil {
		t.Fatal(err)
	}
	built := 0
	build := func() {
		t.Helper()
		if err := l.build(context.Background(), false, func(context.Context, bool) error { built++; return nil }); err != nil {
			t.Fatal(err, said)
		}
	}
	for i, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"the first time", func() {}, 1},
		{"nothing changed", func() {}, 1},
		{"a source", func() { write(t, l, "services/a.go", "b\n") }, 2},
		{"a test", func() { write(t, l, "services/a_test.go", "b\n") }, 2},
		{"a version of the environment", func() { setVersion(t, l, "1.14.0") }, 3},
		{"and back", func() { setVersion(t, l, "1.15.3") }, 4},
		{"a Go image of the environment", func() { t.Setenv("GO_IMAGE", "golang:1.20"); setVersion(t, l, "1.15.3") }, 5},
		{"a registry of the environment", func() { t.Setenv("SPIRE_REGISTRY", "registry.test"); setVersion(t, l, "1.15.3") }, 6},
		{"a base image of the environment", func() { t.Setenv("TOOLS_BASE_IMAGE", "debian"); setVersion(t, l, "1.15.3") }, 7},
		{"the same environment again", func() { setVersion(t, l, "1.15.3") }, 7},
	} {
		if step.do(); true {
			build()
		}
		if built != step.want {
			t.Errorf("step %d, %s: built %d times, want %d", i, step.what, built, step.want)
		}
	}
}

// TestImageSources: every folder that the Dockerfile copies into the images of the containers must count as a source. Otherwise an edit in
// such a folder would not start a build.
func TestImageSources(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	host, rest, _ := strings.Cut(string(text), "FROM ${GO_IMAGE} AS lab-compiler")
	_, rest, _ = strings.Cut(rest, "FROM scratch AS lab\n")
	found := 0
	for line := range strings.Lines(host + rest) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "COPY" || strings.Contains(line, "--from=") {
			continue
		}
		for _, source := range fields[1 : len(fields)-1] {
			if strings.HasPrefix(source, "--") || strings.HasPrefix(source, ".cache/") {
				continue
			}
			found++
			if !slices.ContainsFunc(ImageSources, func(known string) bool { return source == known || strings.HasPrefix(source, known+"/") }) {
				t.Errorf("services/Dockerfile copies %s, which is not among the sources of the images", source)
			}
		}
	}
	if found < 10 {
		t.Errorf("the Dockerfile copies only %d paths", found)
	}
}

// TestImageOfAnotherFolder: two clones of the lab share the tag of the images. If the image of the other clone runs, the lab must report
// this.
func TestImageOfAnotherFolder(t *testing.T) {
	rules := `ps --all => 0 {"ID":"a","Service":"server","State":"running","Project":"p"} | {"ID":"b","Service":"tools","State":"running","Project":"p"}
inspect a => 0 [{"Image":"sha256:MINE"}]
inspect b => 0 [{"Image":"sha256:somebodys"}]
`
	for name, c := range map[string]struct{ stamp, want string }{
		"its own":            {`{"Images":{"x":"sha256:other","y":"sha256:MINE"}}`, ""},
		"another folder's":   {`{"Images":{"x":"sha256:other"}}`, "server"},
		"nothing built here": {"", ""},
		"half a stamp":       {`{"Images`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := fake(t, rules)
			if err := os.MkdirAll(l.Cache(), 0o755); err != nil {
				t.Fatal(err)
			}
			if c.stamp != "" {
				write(t, l, ".cache/built-local.json", c.stamp)
			}
			if got, err := l.ImageOfAnotherFolder(context.Background()); got != c.want || err != nil {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// setVersion reads the settings again, with a different SPIRE_VERSION in the environment.
func setVersion(t *testing.T, l *Launcher, version string) {
	t.Helper()
	t.Setenv("SPIRE_VERSION", version)
	e, err := engine.New(l.Dir)
	if err == nil {
		err = e.Connect(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Engine = e
}

// TestImageOfAnotherMachine: an image for a different architecture must count as missing.
func TestImageOfAnotherMachine(t *testing.T) {
	l, _ := fake(t, "image inspect => 0 sha256:1 amd64\n")
	if err := l.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	if id := l.imageID(context.Background(), "x"); id != "" {
		t.Errorf("the ID is %q", id)
	}
}

// TestRemedy: each error of a registry must have its own remedy.
func TestRemedy(t *testing.T) {
	for refusal, want := range map[string]string{
		"x cannot be pulled: toomanyrequests: You have reached your pull rate limit":                              "docker login",
		"x cannot be pulled: error getting credentials - err: exec: docker-credential-desktop":                    "credsStore",
		"x cannot be pulled: x509: certificate signed by unknown authority":                                       "add your network's CA",
		"x cannot be pulled: manifest unknown":                                                                    "SPIRE_VERSION",
		"x cannot be pulled: write /var/lib: no space left on device":                                             "docker system df",
		"x cannot be pulled: no matching manifest for linux/s390x":                                                "architecture",
		"x cannot be pulled: Get https://ghcr.io/v2/: dial tcp: lookup ghcr.io: no such host":                     "give the engine access to the registry",
		"x cannot be pulled: pull access denied for y, repository does not exist or may require 'docker login'":   "check that the registry has this image",
		"x cannot be pulled: net/http: request canceled while waiting for connection (Client.Timeout exceeded ..": "give the engine access to",
	} {
		if got := remedy(refusal); !strings.Contains(got, want) {
			t.Errorf("%s: the remedy is %q, want %q", refusal, got, want)
		}
	}
}

// TestUntil: the error must have the description of the condition, and the last error that the condition returned.
func TestUntil(t *testing.T) {
	err := Until(context.Background(), 0, "it is noon", func() error { return errors.New("it is eleven") })
	if err == nil || err.Error() != "timed out after 0 s waiting until it is noon: it is eleven" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Until(ctx, time.Minute, "it is noon", func() error { return errors.New("no") }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestInTrouble: of the services that have a problem, the lab must name the service that starts first.
func TestInTrouble(t *testing.T) {
	container := func(service string) string {
		return `{"ID":"` + service + `-id","Service":"` + service + `","State":"running","Project":"p"}`
	}
	all := []string{container(lab.Node), container(lab.SPIREServer), container(lab.Bootstrap), container(lab.SPIREAgent)}
	l, _ := fake(t, "ps --all => 0 "+strings.Join(all, " | ")+`
inspect node-id => 0 [{"State":{"Status":"running"}}]
inspect spire-server-id => 0 [{"State":{"Status":"running"}}]
inspect bootstrap-id => 0 [{"State":{"Status":"exited","ExitCode":1}}]
inspect spire-agent-id => 0 [{"State":{"Status":"restarting"},"RestartCount":3}]
`)
	if got := l.inTrouble(context.Background()); got != lab.Bootstrap {
		t.Errorf("in trouble is %q", got)
	}
}

// TestClean: clean must remove built files, and keep the learner's files.
func TestClean(t *testing.T) {
	l, _ := fake(t, quiet)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for _, name := range []string{".cache/bin/lab", ".lab/p/results.jsonl"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(l.Dir, filepath.FromSlash(name))), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, l, name, "x\n")
	}
	if err := l.Clean(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.Cache()); !os.IsNotExist(err) {
		t.Errorf("what was built is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(l.Dir, ".lab", "p", "results.jsonl")); err != nil {
		t.Errorf("the result records are gone: %v", err)
	}
}

// TestRefused: the message of an engine that refuses a request must lead to the right cause.
func TestRefused(t *testing.T) {
	for said, want := range map[string]string{
		"failed to create network x_default: Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network": lab.NoNetworkLeft,
		"Error response from daemon: all predefined address pools have been fully subnetted":                                                                                         lab.NoNetworkLeft,
		"failed to register layer: write /usr/bin/x: no space left on device":                                                                                                        lab.DiskFull,
		"write /home/eve/x: disk quota exceeded":                                                                                                                                     lab.DiskFull,
		"network x_default was found but has incorrect label":                                                                                                                        lab.NotStarted,
	} {
		problem := refused(lab.NotStarted, "the lab did not start", "the first line\n"+said+"\nthe last line", "")
		if problem.Code != want {
			t.Errorf("%q is %s, want %s", said, problem.Code, want)
		}
		if what := "the lab did not start: " + said; want != lab.NotStarted && problem.What != what {
			t.Errorf("%q, want %q", problem.What, what)
		}
	}
}

// TestStartRefused: if the engine refuses a start, the error must name the cause. The cause must be kept for a report.
func TestStartRefused(t *testing.T) {
	const said = "failed to create network p_default: Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
	l, out := fake(t, "up --detach => 1  Network p_default  Error | "+said+"\nconfig --quiet => 0\nimage ls => 0 \n"+quiet)
	if err := errors.Join(l.Connect(context.Background()), os.MkdirAll(l.Cache(), 0o755)); err != nil {
		t.Fatal(err)
	}
	failure := l.start(context.Background())
	if code := report.ProblemOf(failure).Code; code != lab.NoNetworkLeft || !strings.Contains(out.String(), said) {
		t.Fatalf("%s: %v\n%s", code, failure, out)
	}
	err := l.giveUp(context.Background(), failure)
	for _, want := range []string{"LAB007: ", "VPN", "default-address-pools", said} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if start := l.Report(context.Background(), report.Options{}).Start; start == nil || start.Code != lab.NoNetworkLeft {
		t.Errorf("%+v is kept", start)
	}
	l.forgetStart()
	if start := l.lastStart(); start != nil {
		t.Errorf("%+v is kept still", start)
	}
}
