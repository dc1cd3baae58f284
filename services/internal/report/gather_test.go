package report

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
)

// TestMain: if the name of the test program begins with docker, the test program plays docker.
func TestMain(m *testing.M) {
	if self, err := os.Executable(); err == nil && strings.HasPrefix(filepath.Base(self), "docker") {
		mode, _ := os.ReadFile(filepath.Join(filepath.Dir(self), "mode"))
		os.Exit(docker(string(mode), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// docker answers for a lab in which only the SPIRE server runs. A mode is a command of docker, and the way in which this command fails.
func docker(mode string, args []string) int {
	verb, trouble, _ := strings.Cut(mode, " ")
	if args[0] == verb {
		switch trouble {
		case "limit":
			fmt.Fprintln(os.Stderr, "runtime: failed to create new OS thread (have 5 already; errno=11)\nfatal error: newosproc\n\ngoroutine 0 [idle]:")
			return 2
		case "runc":
			fmt.Fprintln(os.Stderr, "OCI runtime exec failed: exec failed: unable to start container process: resource temporarily unavailable: unknown")
			return 126
		case "panic":
			panic("a docker command that crashes")
		case "killed":
			process, _ := os.FindProcess(os.Getpid())
			_ = process.Kill()
			time.Sleep(time.Minute)
		case "shell":
			fmt.Fprintln(os.Stderr, "docker: line 3: 4711 Segmentation fault")
			return 139
		case "garbage":
			fmt.Println("docker: line 3: fork: retry")
			return 0
		case "stopped":
			fmt.Fprintln(os.Stderr, "Error response from daemon: Container 1 is restarting, wait until the container is running")
			return 1
		case "refused":
			fmt.Fprintln(os.Stderr, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
			return 1
		case "hangs":
			time.Sleep(time.Minute)
		}
	}
	switch args[0] {
	case "version":
		fmt.Println(`{"Client":{"Version":"28"},"Server":{"Version":"20.10","APIVersion":"1.41","Os":"linux","Arch":"amd64"}}`)
	case "info":
		fmt.Println(`{"SystemTime":"2026-11-25T19:31:56Z","NCPU":2}`)
	case "ps":
		fmt.Println(`{"ID":"1","Project":"spiffe-lab","Networks":"spiffe-lab_default"}`)
		fmt.Println(`{"ID":"2","Project":"","Networks":"spiffe-lab_default"}`)
		fmt.Println(`{"ID":"3","Project":"other","Networks":"other_default"}`)
	case "inspect":
		fmt.Println(`[{"Id":"1","Name":"/spiffe-lab-spire-server-1","State":{"Status":"running","StartedAt":"2026-11-25T19:31:00Z"},"Config":{"Env":["A_TOKEN=S3CRET","AGENT_TTL=20s"],
			"Labels":{"com.docker.compose.service":"spire-server","com.docker.compose.project":"spiffe-lab","com.docker.compose.oneoff":"False"}}},
			{"Id":"2","Name":"/somebody","State":{"Status":"running"},"Config":{}}]`)
		if len(args) != 5 || args[3] != "1" || args[4] != "2" {
			return 7
		}
	case "exec":
		if args[len(args)-4] == "agent" { // SPIRE's CLI runs, and reports an error
			fmt.Fprintln(os.Stderr, "Error: rpc error: code = Unavailable")
			return 1
		}
		fmt.Println("{\n  \"entries\": [ { \"id\": \"b\", \"hint\": \"token=S3CRET\" } ]\n}")
	case "cp":
		archive := tar.NewWriter(os.Stdout)
		text := "server {\n    bind_port = \"8081\"\n}\n"
		_ = archive.WriteHeader(&tar.Header{Name: "server.conf", Mode: 0o644, Size: int64(len(text))})
		_, _ = archive.Write([]byte(text))
		_ = archive.Close()
	case "logs":
		fmt.Println("2026-11-25T19:31:55Z to the output")
		fmt.Fprintln(os.Stderr, "2026-11-25T19:31:56Z to the error output: password: S3CRET")
	}
	return 0
}

func gathered(t *testing.T, mode string) *facts.Facts {
	t.Helper()
	dir := t.TempDir()
	name := "docker"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mode"), []byte(mode), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("COMPOSE_PROJECT_NAME", "")
	e, err := engine.New("../../..")
	if err != nil {
		t.Fatal(err)
	}
	patience := 20 * time.Second
	if strings.Contains(mode, "hangs") {
		patience = time.Second
	}
	return Gather(context.Background(), e, Options{Patience: patience})
}

// TestGather: each failure of a docker command must lead to the right status in the report.
func TestGather(t *testing.T) {
	for _, test := range []struct{ name, mode, question, want string }{
		{"all is well", "", "entries", "0"},
		{"a CLI that refuses", "", "agents", "1"},
		{"a service that is missing", "", "file-agent.conf", "not asked: spire-agent is missing"},
		{"a limit of processes", "exec limit", "entries", "cannot tell: docker exec failed: runtime: failed to create new OS thread (have 5 already; errno=11)"},
		{"a limit of processes in the container", "exec runc", "entries", "cannot tell: docker exec failed: OCI runtime exec failed: exec failed: unable to start container process: resource temporarily unavailable: unknown"},
		{"a container that restarts", "exec stopped", "entries", "cannot tell: docker exec failed: Error response from daemon: Container 1 is restarting, wait until the container is running"},
		{"no JSON", "exec garbage", "entries", "cannot tell: docker exec failed: its answer cannot be read: "},
		{"a docker command that crashes", "version panic", "engine", "cannot tell: docker version failed: panic: a docker command that crashes"},
		{"a docker command that is killed", "version killed", "engine", "cannot tell: docker version failed: "},
		{"a docker command that is a script, and crashes", "version shell", "engine", "cannot tell: docker version failed: docker: line 3: 4711 Segmentation fault (exit status 139)"},
		{"a docker command that prints something else", "version garbage", "engine", "cannot tell: docker version failed: its answer cannot be read: "},
		{"no list of containers", "ps limit", "containers", "cannot tell: docker ps failed: runtime: "},
		{"no list of containers, so no answer of the SPIRE server", "ps limit", "entries", "not asked: the engine did not list the lab's containers"},
		{"no archive", "cp garbage", "file-server.conf", "cannot tell: docker cp failed: it gave no archive with a file: "},
		{"no engine", "version refused", "engine", "1"},
		{"an engine that hangs", "version hangs", "engine", "no answer within 1 s"},
		{"a list that does not come", "ps hangs", "containers", "no answer within 1 s"},
		{"a SPIRE server that hangs", "exec hangs", "entries", "no answer within 1 s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			f := gathered(t, test.mode)
			if s := f.Section(test.question); !strings.HasPrefix(s.Status, test.want) || s.Status != test.want && !strings.HasSuffix(test.want, ": ") {
				t.Errorf("%s: %q, want %q", test.name, s.Status, test.want)
			}
			if took := time.Since(began); strings.Contains(test.mode, "hangs") && took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestGathered(t *testing.T) {
	f := gathered(t, "")
	if f.Engine.API != "1.41" || f.Clock.IsZero() || len(f.Containers) != 2 || len(f.Entries) != 1 || f.Setting("server.conf", "bind_port") != "8081" {
		t.Errorf("%+v", f)
	}
	if c := f.Service("spire-server"); c == nil || c.Settings["AGENT_TTL"] != "20s" || len(c.Environment) != 2 {
		t.Errorf("%+v", c)
	}
	if log := f.Log("spire-server"); len(log) != 2 {
		t.Errorf("%+v", log)
	}
	var saved strings.Builder
	if err := Save(&saved, f); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(saved.String(), "S3CRET") {
		t.Error("a secret is in the report")
	}
	if s := f.Section("entries"); string(s.JSON) != `{"entries":[{"id":"b","hint":"token=(taken out)"}]}` {
		t.Errorf("%s", s.JSON)
	}
}

func TestNoDocker(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	e, err := engine.New("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if s := Gather(context.Background(), e, Options{}).Section("engine"); s.Status != "127" || s.Last() != "the docker command was not found" {
		t.Errorf("%+v", s)
	}
}

// TestReadFile: a report must be readable in each form in which a trainer may get it. A file that is no report must be refused with a
// reason.
func TestReadFile(t *testing.T) {
	recorded, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(recorded)
	utf16 := "\xff\xfe"
	for _, r := range whole {
		utf16 += string([]byte{byte(r), byte(r >> 8)})
	}
	for _, test := range []struct{ name, text, err string }{
		{"as it is", whole, ""},
		{"with the line endings of Windows", strings.ReplaceAll(whole, "\n", "\r\n"), ""},
		{"with a byte order mark", "\xef\xbb\xbf" + whole, ""},
		{"as PowerShell redirects it", utf16, ""},
		{"cut off", whole[:len(whole)/2], "it is cut off"},
		{"cut off before its end", strings.TrimSuffix(whole, "}\n"), "it is cut off"},
		{"a text report", "## section: host\nstatus: 0\n  report 1\n", "text report of an older version"},
		{"another version", strings.Replace(whole, `"report": 2`, `"report": 3`, 1), "version 3, and this lab reads version 2"},
		{"another file", `{"name":"x"}`, "not a report"},
		{"nothing", "", "not a report"},
		{"a page", "<html>", "not a report"},
		{"an answer that is none", `{"report":2,"answers":[null]}`, "cannot be read"},
		{"answers that are none", `{"report":2,"answers":{}}`, "cannot be read"},
	} {
		f, err := Read(strings.NewReader(test.text))
		if test.err == "" && (err != nil || len(f.Containers) != 6) || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.err)
		}
	}
}
