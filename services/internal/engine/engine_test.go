package engine

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

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

const (
	version = enginetest.Version
	info    = enginetest.Info
	goodEnv = enginetest.Env
)

// fake returns an engine whose docker answers by the rules.
func fake(t *testing.T, rules string) *Engine {
	t.Helper()
	e, err := New(enginetest.Start(t, rules))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSettings: the settings in .env must be read as Compose reads them.
func TestSettings(t *testing.T) {
	none := func(string) string { return "" }
	for name, c := range map[string]struct{ text, tag, problem string }{
		"as it is":                {goodEnv, "local", ""},
		"no newline at the end":   {strings.TrimSuffix(goodEnv, "\n"), "local", ""},
		"quotes":                  {strings.Replace(goodEnv, "=local", `="local"`, 1), "local", ""},
		"single quotes":           {strings.Replace(goodEnv, "=local", `='local'`, 1), "local", ""},
		"a comment":               {strings.Replace(goodEnv, "=local", "=local # mine", 1), "local", ""},
		"export":                  {strings.Replace(goodEnv, "LAB_TAG", "export LAB_TAG", 1), "local", ""},
		"indentation":             {strings.Replace(goodEnv, "LAB_TAG", "  LAB_TAG", 1), "local", ""},
		"spaces around =":         {strings.Replace(goodEnv, "LAB_TAG=", "LAB_TAG = ", 1), "local", ""},
		"a byte order mark":       {"\ufeff" + goodEnv, "local", ""},
		"line endings of DOS":     {strings.ReplaceAll(goodEnv, "\n", "\r\n"), "local", ""},
		"another variable in it":  {"TAG=local\n" + strings.Replace(goodEnv, "=local", "=${TAG}", 1), "local", ""},
		"a default value":         {strings.Replace(goodEnv, "=local", "=${NOT_SET:-local}", 1), "local", ""},
		"a # in the value":        {strings.Replace(goodEnv, "=local", "=local#1", 1), "local#1", ""},
		"set twice":               {goodEnv + "LAB_TAG=mine\n", "mine", ""},
		"empty lines, tabs":       {"\n \t\n" + strings.Replace(goodEnv, "LAB_TAG", "\tLAB_TAG", 1) + "\n\n", "local", ""},
		"a quote that stays open": {strings.Replace(goodEnv, "=local", `="local`, 1), "", ".env line 6: unterminated quoted value"},
		"no tag":                  {strings.Replace(goodEnv, "LAB_TAG=local", "", 1), "", ".env does not set LAB_TAG"},
		"nonsense":                {goodEnv + "this is nothing\n", "", ".env line 6: "},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), ".env")
			write(t, file, c.text)
			settings, err := readSettings(file, none)
			if err == nil {
				_, err = override(settings, none)
			}
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("the error is %v, want %q", err, c.problem)
				}
				return
			}
			if err != nil || settings["LAB_TAG"] != c.tag {
				t.Errorf("LAB_TAG is %q, error %v", settings["LAB_TAG"], err)
			}
		})
	}
	if _, err := readSettings(filepath.Join(t.TempDir(), ".env"), none); err == nil || !strings.Contains(err.Error(), "has no file .env") {
		t.Errorf("without .env: %v", err)
	}
}

// TestOverride: a version in the environment must replace the version in .env, and the lab must report the difference. An empty variable
// must not replace a version.
func TestOverride(t *testing.T) {
	settings := map[string]string{"SPIRE_VERSION": "1.15.3", "SPIRE_REGISTRY": "r", "GO_IMAGE": "g", "TOOLS_BASE_IMAGE": "t", "LAB_TAG": "local"}
	differ, err := override(settings, func(name string) string {
		return map[string]string{"SPIRE_VERSION": "1.14.0", "LAB_TAG": "mine", "GO_IMAGE": "", "NAME": "x"}[name]
	})
	if err != nil || settings["SPIRE_VERSION"] != "1.14.0" || settings["LAB_TAG"] != "mine" || settings["GO_IMAGE"] != "g" {
		t.Errorf("settings are %v, error %v", settings, err)
	}
	if want := []string{"SPIRE_VERSION is 1.14.0: your environment sets it, and .env has 1.15.3"}; !slices.Equal(differ, want) {
		t.Errorf("differ is %q, want %q", differ, want)
	}
}

// TestEnvironment: the lab must not pass on variables that change what docker does.
func TestEnvironment(t *testing.T) {
	got := environment([]string{"HOME=/h", "COMPOSE_FILE=x", "COMPOSE_PROJECT_NAME=p", "DOCKER_HOST=h", "BUILDX_BUILDER=b", "DOCKER_DEFAULT_PLATFORM=p", "LAB_TAG=", "AGENT_TTL=1s", "SPIRE_VERSION=1"},
		map[string]string{"LAB_TAG": "local", "SPIRE_VERSION": "1"})
	if want := []string{"HOME=/h", "COMPOSE_PROJECT_NAME=p", "DOCKER_HOST=h", "SPIRE_VERSION=1"}; !slices.Equal(got, want) {
		t.Errorf("environment is %q, want %q", got, want)
	}
}

// TestConnect: each problem of an engine must lead to the right error.
func TestConnect(t *testing.T) {
	for name, c := range map[string]struct{ rules, problem, hint string }{
		"a good engine":        {version + info, "", ""},
		"one that is too old":  {strings.Replace(version, "1.44", "1.40", 1) + info, "Docker Engine 25.0.1 is too old: it has version 1.40 of Docker's API", "Docker Engine 20.10"},
		"Windows containers":   {strings.Replace(version, `"linux"`, `"windows"`, 1) + info, "runs Windows containers", "Switch to Linux containers"},
		"no permission":        {"version --format => 1 Got permission denied while trying to connect", "your user may not use the Docker Engine", "rights of root"},
		"no engine":            {"version --format => 1 Cannot connect to the Docker daemon \n--version => 0 Docker version 25", "no Docker Engine answers: Cannot connect", "start Docker Desktop"},
		"Podman's own command": {"version --format => 1 nothing\n--version => 0 podman version 5", "the docker command is Podman's own", "DOCKER_HOST"},
		"an answer in words":   {"version --format => 0 hello\n" + info, "cannot tell: docker version failed: its answer is not JSON", "docker version must work"},
	} {
		t.Run(name, func(t *testing.T) {
			e := fake(t, c.rules)
			err := e.Connect(context.Background())
			if c.problem == "" {
				if err != nil || e.Arch != "arm64" || !e.HasCompose(context.Background()) || e.UsesOwnCompose() {
					t.Errorf("error %v, architecture %q, compose %q", err, e.Arch, e.compose)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Fatalf("the error is %v, want %q", err, c.problem)
			}
			var problem *Problem
			if c.hint != "" && (!errors.As(err, &problem) || !strings.Contains(problem.Hint(), c.hint)) {
				t.Errorf("the hint is not %q: %+v", c.hint, problem)
			}
		})
	}
}

// TestConnectWithoutDocker: if there is no docker command, the error must say this.
func TestConnectWithoutDocker(t *testing.T) {
	e := fake(t, version)
	t.Setenv("PATH", t.TempDir())
	if err := e.Connect(context.Background()); err == nil || !strings.Contains(err.Error(), "the docker command was not found") {
		t.Errorf("the error is %v", err)
	}
}

// TestOldPlugin: the lab must not use a Compose plugin that is too old.
func TestOldPlugin(t *testing.T) {
	e := fake(t, version+strings.Replace(info, "v2.40.0", "v2.19.9", 1))
	if err := e.Connect(context.Background()); err != nil || !e.UsesOwnCompose() || e.HasCompose(context.Background()) {
		t.Errorf("error %v, compose %q", err, e.compose)
	}
}

// TestOwnCompose: the lab must not use its own Compose if the build was interrupted, nor a plugin whose file is missing.
func TestOwnCompose(t *testing.T) {
	e := fake(t, version+`info --format => 0 {"ClientInfo":{"Plugins":[{"Name":"compose","Version":"v2.40.0","Path":"/nowhere/docker-compose"}]}}`+"\nversion => 0 good\n")
	if err := e.Connect(context.Background()); err != nil || !e.UsesOwnCompose() || e.HasCompose(context.Background()) {
		t.Fatalf("error %v, compose %q", err, e.compose)
	}
	if err := os.MkdirAll(filepath.Dir(e.OwnCompose()), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, e.OwnCompose(), "half")
	if err := os.Chmod(e.OwnCompose(), 0o755); err != nil || e.HasCompose(context.Background()) {
		t.Errorf("half a program is a Compose: %v", err)
	}
	self, err := os.Executable()
	if err == nil {
		err = errors.Join(os.Remove(e.OwnCompose()), os.Symlink(self, e.OwnCompose()))
	}
	if err != nil || !e.HasCompose(context.Background()) {
		t.Errorf("a Compose that answers is none: %v", err)
	}
}

// TestPodman: with Podman, the containers must have no separate DNS server.
func TestPodman(t *testing.T) {
	e := fake(t, strings.Replace(version, `"Engine"`, `"Podman Engine"`, 1)+info)
	if err := e.Connect(context.Background()); err != nil || e.Podman != "25.0.1" || !slices.Contains(e.Docker(context.Background()).Env, "LAB_DNS=") {
		t.Errorf("error %v, Podman %q", err, e.Podman)
	}
}

func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		version, minimum string
		want             bool
	}{{"2.20.0", "2.20", true}, {"v2.40.3", "2.20", true}, {"2.9.1", "2.20", false}, {"5.0", "2.20", true}, {"1.99", "2.20", false}, {"dev", "2.20", false}, {"", "1.41", false}} {
		if got := AtLeast(c.version, c.minimum); got != c.want {
			t.Errorf("AtLeast(%q, %q) is %t", c.version, c.minimum, got)
		}
	}
}

const twoContainers = `ps --all => 0 {"ID":"b2","Name":"p-server-1","State":"running","Status":"Up","Project":"p","Service":"server","Folder":"/a,b"} | {"ID":"a1","Name":"p-client-1","State":"exited","Status":"Exited (0)","Project":"p","Service":"client","Folder":"/a,b"}
`

func TestContainers(t *testing.T) {
	e := fake(t, twoContainers)
	all, err := e.Containers(context.Background())
	if err != nil || len(all) != 2 || all[0].Service != "client" || all[1].ID != "b2" || !all[1].Runs() || all[0].Runs() {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := e.Container(context.Background(), "node"); !errors.Is(err, ErrNoContainer) {
		t.Errorf("the container of node: %v", err)
	}
	if folders, err := e.Folders(context.Background()); err != nil || !slices.Equal(folders, []string{"/a,b"}) {
		t.Errorf("folders are %q, %v", folders, err)
	}
	if whole, err := e.Whole(context.Background()); whole || err != nil {
		t.Errorf("a lab with a stopped client is whole: %t, %v", whole, err)
	}
}

// TestLog: each line must have its time. If there is no container, or if docker logs fails, Log must return an error.
func TestLog(t *testing.T) {
	e := fake(t, twoContainers+"logs --timestamps --since 2026-11-28T12:00:00Z b2 => 0 2026-11-28T12:00:01.5Z one two\nlogs --timestamps a1 => 1 no such container\n")
	lines, err := e.Log(context.Background(), "server", time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC))
	if err != nil || len(lines) != 1 || lines[0].Text != "one two" || lines[0].Time.Nanosecond() != 500_000_000 {
		t.Errorf("%+v, %v", lines, err)
	}
	if _, err := e.Log(context.Background(), "client", time.Time{}); err == nil || !strings.Contains(err.Error(), "no such container") {
		t.Errorf("a log that cannot be read: %v", err)
	}
	if _, err := e.Log(context.Background(), "node", time.Time{}); !errors.Is(err, ErrNoContainer) {
		t.Errorf("a log of no container: %v", err)
	}
}

// TestRun: docker compose must work on this lab, without a terminal. The exit status must be that of the command.
func TestRun(t *testing.T) {
	e := fake(t, version+info+"exec -T => 3 refused\n--project-directory => 0 compose: ARGS\nvolume ls => 0 docker: ARGS\n")
	if err := e.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words  string
		status int
		want   string
	}{
		{"docker compose exec client svid", 3, "refused"},
		{"docker compose ps --all", 0, "compose: --project-directory " + e.Dir + " ps --all"},
		{"docker volume ls", 0, "docker: volume ls"},
	} {
		var out bytes.Buffer
		status, err := e.Run(context.Background(), nil, strings.Fields(c.words), nil, &out, &out)
		if err != nil || status != c.status || strings.TrimSpace(out.String()) != c.want {
			t.Errorf("%s: status %d, %v, %q", c.words, status, err, out.String())
		}
	}
	if _, err := e.Run(context.Background(), nil, []string{"curl", "x"}, nil, nil, nil); err == nil {
		t.Error("curl is taken for a docker command")
	}
}

// TestOthers: an object with the project's name but without its label must not count as an object of the lab.
func TestOthers(t *testing.T) {
	e := fake(t, `volume ls => 0 {"Name":"p_data","Project":"p"} | {"Name":"p_other","Project":""}`)
	if others, err := e.Others(context.Background(), "volume"); err != nil || !slices.Equal(others, []string{"p_other"}) {
		t.Errorf("%q, %v", others, err)
	}
}
