package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

// TestWindows is `make windows-test`. It tests the Windows version of the program lab under Wine, with this machine's engine. It builds
// docker.exe and docker-compose.exe from their Go modules.
func TestWindows(t *testing.T) {
	w := newWindows(t)
	for _, step := range windowsSteps {
		// If the step windowsUp fails, the later steps do not run, because they need its lab.
		if !t.Run(step.name, func(t *testing.T) { step.play(t, w) }) && step.name == windowsUp || interrupted.Err() != nil {
			break
		}
	}
	if interrupted.Err() != nil {
		t.Error("interrupted")
	}
}

const windowsUp = "up, in a folder with spaces"

// windowsSteps are the steps of TestWindows. They share one lab, and run in this order.
var windowsSteps = []struct {
	name string
	play func(t *testing.T, w *windows)
}{
	{"an engine that does not answer", func(t *testing.T, w *windows) {
		result := w.run(t, []string{"DOCKER_HOST=tcp://127.0.0.1:1"}, w.program, "up")
		refused(t, result, 1, "error: no Docker Engine answers: ", "hint: start Docker Desktop", "DOCKER_HOST is tcp://127.0.0.1:1")
	}},
	{windowsUp, func(t *testing.T, w *windows) {
		said := w.lab(t, "up").Assert(t, icmd.Success).Combined()
		contains(t, said, "the client is served", "Success!!!")
		lacks(t, said, "\r", "rebuilt", "building") // Linux has built the images from the same sources, and Windows must compute the same hash
	}},
	{"up again", func(t *testing.T, w *windows) {
		before := w.engineState()
		contains(t, w.lab(t, "up").Assert(t, icmd.Success).Combined(), "the client is served")
		if after := w.engineState(); after != before {
			t.Fatalf("up has changed the lab: %q became %q", before, after)
		}
	}},
	{"status", func(t *testing.T, w *windows) {
		contains(t, w.lab(t, "status").Assert(t, icmd.Success).Combined(), "spire-server", "the client's latest request was served")
	}},
	{"bad-id", func(t *testing.T, w *windows) { w.scenario(t, "bad-id") }},
	{"unregistered", func(t *testing.T, w *windows) { w.scenario(t, "unregistered") }},
	{"stolen-user", func(t *testing.T, w *windows) { w.scenario(t, "stolen-user") }},
	{"doctor", func(t *testing.T, w *windows) {
		contains(t, w.lab(t, "doctor", "--patience", "20s").Assert(t, icmd.Success).Combined(), "all is well: the client is served by")
	}},
	{"a scenario that is not there", func(t *testing.T, w *windows) {
		refused(t, w.lab(t, "scenario", "bad-ip"), 1, `error: there is no scenario "bad-ip"`)
	}},
	{"a fault, from break to solved", func(t *testing.T, w *windows) {
		contains(t, w.lab(t, "break", "clean-up").Assert(t, icmd.Success).Combined(), "Fault 1, clean-up")
		refused(t, w.lab(t, "check"), 1, "not yet: the client is not served")
		refused(t, w.lab(t, "doctor", "--patience", "20s"), 1, "LAB063")
		create := "entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload"
		fix := append([]string{"docker", "compose", "exec", "-T", "spire-server", "/opt/spire/bin/spire-server"}, strings.Fields(create)...)
		w.run(t, nil, fix...).Assert(t, icmd.Success)
		contains(t, w.lab(t, "check", "--patience", "60s", "--cause", "entry-deleted", "--who", "Ada Lovelace").Assert(t, icmd.Success).Combined(), "solved: clean-up")
		contains(t, w.read(".lab/"+w.project+"/results.jsonl"), `"who":"Ada Lovelace"`)
	}},
	{"lab.cmd starts the program, and hands its exit status on", func(t *testing.T, w *windows) {
		contains(t, w.cmd(t, nil, "lesson", "bad-id").Assert(t, icmd.Success).Combined(), "unexpected ID")
		contains(t, w.cmd(t, nil, "status").Assert(t, icmd.Success).Combined(), "the client's latest request was served")
		refused(t, w.cmd(t, nil, "scenario", "bad ip"), 1, `error: there is no scenario "bad ip"`)
		refused(t, w.cmd(t, nil, "scenario"), 2, "error: ", "hint: ")
	}},
	{"down", func(t *testing.T, w *windows) {
		w.lab(t, "down").Assert(t, icmd.Success)
		if left := w.engineState(); left != "" {
			t.Fatalf("down has left: %s", left)
		}
	}},
	{"lab.cmd gets the program out of the Go image", func(t *testing.T, w *windows) {
		// This Go image contains the compiled programs already, because the test is only about starting the image and copying the programs.
		image, container := "spiffe-lab/go-image:"+w.tag, w.project+"-go-image"
		stage := t.TempDir()
		must(t, os.WriteFile(filepath.Join(stage, "go"), []byte("#!/bin/sh\ncase \"$*\" in \"mod download\" | *\"-os windows -arch amd64 -o /programs\") ;; *) exit 1 ;; esac\n"), 0o755))
		w.docker(t, "create", "--name", container, "spiffe-lab/tools:"+w.tag, "sh").Assert(t, icmd.Success)
		t.Cleanup(func() {
			w.docker(t, "rm", container)
			w.docker(t, "image", "rm", image, "spiffe-lab/lab:windows-amd64")
		})
		w.docker(t, "cp", filepath.Join(stage, "go"), container+":/bin/go").Assert(t, icmd.Success)
		w.docker(t, "cp", w.programs, container+":/programs").Assert(t, icmd.Success)
		w.docker(t, "commit", container, image).Assert(t, icmd.Success)
		w.remove(".cache")
		first := w.cmd(t, []string{"GO_IMAGE=" + image}, "scenarios").Assert(t, icmd.Success).Combined()
		contains(t, first, "first start: building the program lab in the Go image", "bad-id")
		lacks(t, w.cmd(t, nil, "scenarios").Assert(t, icmd.Success).Combined(), "building")
	}},
	{"lab.cmd where there is no Go image and no Go", func(t *testing.T, w *windows) {
		w.remove(".cache")
		result := w.cmd(t, []string{"GO_IMAGE=127.0.0.1:1/golang:1.26-alpine"}, "scenarios")
		refused(t, result, 1, "127.0.0.1:1", "error: the program lab could not be built: there is no Go image, and Go is missing or failed", "hint: let Docker pull the Go image, or install Go")
	}},
}

// windows is a Windows machine that Wine simulates. The lab's folder is on its drive C.
type windows struct {
	*machine
	programs string   // the cached folder with the compiled programs
	program  string   // lab.exe, as a Windows path
	env      []string // the variables of a Windows machine that has only Docker; WINEPATH has no Unix program
}

func newWindows(t *testing.T) *windows {
	t.Helper()
	needWine(t)
	w := &windows{programs: cache("windows")}
	w.compile(t)
	w.machine = newHouse(t, &lab{project: fmt.Sprintf("spiffe-lab-windows-%d", os.Getpid())}).machine(t, true)
	prefix := filepath.Join(w.box, "prefix")
	w.env = []string{"HOME=" + w.home(), "PATH=" + os.Getenv("PATH"), "WINEPREFIX=" + prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe=",
		`WINEPATH=C:\Program Files\Docker`, "DOCKER_HOST=tcp://" + relay(t, w.engine(t)), "COMPOSE_PROJECT_NAME=" + w.project, "LAB_TAG=" + w.tag, "NO_COLOR=1"}
	t.Cleanup(func() { w.unix(t, "wineserver", "--kill", "--wait") })
	w.unix(t, "wineboot", "--init").Assert(t, icmd.Success)

	drive := filepath.Join(prefix, "drive_c")
	if library := filepath.Join(drive, "windows", "system32", "bcryptprimitives.dll"); !exists(library) {
		w.copy(t, "bcryptprimitives.dll", library)
	}
	// On Windows, Docker Desktop installs docker.exe and its plugins in this folder.
	w.copy(t, "docker.exe", filepath.Join(drive, "Program Files", "Docker", "docker.exe"))
	w.copy(t, "docker-compose.exe", filepath.Join(drive, "Program Files", "Docker", "cli-plugins", "docker-compose.exe"))
	w.clone(filepath.Join("prefix", "drive_c", "My Course", "spiffe lab"))
	w.program = `C:\My Course\spiffe lab\.cache\bin\lab.exe`
	w.copy(t, "lab.exe", w.in(".cache", "bin", "lab.exe"))
	return w
}

// needWine installs Wine and the C compiler if they are missing. CI installs only the packages that the other tests need.
func needWine(t *testing.T) {
	t.Helper()
	var missing []string
	for program, packages := range map[string]string{"wine": "wine wine64", "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, strings.Fields(packages)...)
		}
	}
	if len(missing) == 0 {
		return
	}
	install := "apt-get install --yes --no-install-recommends " + strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		t.Fatalf("the test needs Wine and a C compiler for Windows; on Debian and Ubuntu: sudo %s", install)
	}
	icmd.RunCmd(icmd.Command("sh", "-c", "apt-get update --quiet && DEBIAN_FRONTEND=noninteractive "+install)).Assert(t, icmd.Success)
}

// compile compiles the programs for Windows. Go does not link a program again if its sources are unchanged.
func (w *windows) compile(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll(w.programs, 0o755))
	in := func(dir string, words ...string) string {
		t.Helper()
		env := append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
		return execute(t, icmd.Cmd{Command: words, Dir: filepath.Join(root(), dir), Env: env, Timeout: 2 * limit}).Assert(t, icmd.Success).Stdout()
	}
	build := func(file, dir, module, variable, command string, flags ...string) {
		t.Helper()
		version := strings.TrimSuffix(strings.TrimSpace(in(dir, "go", "list", "-m", "-f", "{{.Version}}", module)), "+incompatible")
		words := append([]string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X " + module + variable + "=" + version}, flags...)
		in(dir, append(words, "-o", filepath.Join(w.programs, file), module+command)...)
	}
	// Docker's command has no go.mod. Without the flag -lang, Go would assume a language version that is too old.
	build("docker.exe", "scripts/dev/tools/engine/clients", "github.com/docker/cli", "/cli/version.Version", "/cmd/docker", "-gcflags=github.com/docker/cli/...=-lang=go1.24")
	build("docker-compose.exe", "scripts/dev/tools/compose", "github.com/docker/compose/v2", "/internal.Version", "/cmd")
	execute(t, icmd.Cmd{Command: []string{"go", "run", "./services/lab/build", "-os", "windows", "-arch", "amd64", "-o", w.programs}, Dir: root()}).Assert(t, icmd.Success)
	icmd.RunCmd(icmd.Command("x86_64-w64-mingw32-gcc", "-shared", "-O2", "-s", "-o", filepath.Join(w.programs, "bcryptprimitives.dll"),
		filepath.Join(root(), "scripts/dev/windows/bcryptprimitives.c"), "-ladvapi32")).Assert(t, icmd.Success)
}

func (w *windows) copy(t *testing.T, name, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.programs, name))
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, text, 0o755))
}

// unix runs a program of this machine, not of Windows, with the variables for Wine.
func (w *windows) unix(t *testing.T, words ...string) *icmd.Result {
	t.Helper()
	return execute(t, icmd.Cmd{Command: words, Dir: w.folder, Env: w.env})
}

// run runs a Windows program in the lab's folder. The parameter extra has further variables, whose values replace earlier values.
func (w *windows) run(t *testing.T, extra []string, words ...string) *icmd.Result {
	t.Helper()
	env := append(append([]string{}, w.env...), extra...)
	return execute(t, icmd.Cmd{Command: append([]string{"wine"}, words...), Dir: w.folder, Env: env})
}

func (w *windows) lab(t *testing.T, args ...string) *icmd.Result {
	t.Helper()
	return w.run(t, nil, append([]string{w.program}, args...)...)
}

func (w *windows) cmd(t *testing.T, extra []string, args ...string) *icmd.Result {
	t.Helper()
	return w.run(t, extra, append([]string{"cmd", "/c", `scripts\lab.cmd`}, args...)...)
}

// scenario runs a scenario in its quick form. The output must have the lines that its lesson quotes, as on Linux.
func (w *windows) scenario(t *testing.T, name string) {
	t.Helper()
	result := w.lab(t, "scenario", name, "--quick").Assert(t, icmd.Success)
	contains(t, result.Stdout(), "\nPASS "+name+" (")
	lacks(t, result.Stdout(), "\r")
	for _, line := range missingQuotes(read(t, "scripts/scenarios/"+name+".md"), result.Stdout()) {
		t.Errorf("scripts/scenarios/%s.md quotes a line that is not printed: %s", name, line)
	}
	if t.Failed() {
		t.Log(result.Combined())
	}
}

func (w *windows) engine(t *testing.T) *url.URL {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = strings.TrimSpace(w.said(t, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"))
	}
	address, err := url.Parse(host)
	must(t, err)
	return address
}

// relay opens a port on loopback, and returns its address. Until the test ends, it forwards every connection from this port to the engine.
// During that time every user of this machine can use the engine.
func relay(t *testing.T, engine *url.URL) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { must(t, listener.Close()) })
	go func() {
		for {
			from, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go connect(from, engine)
			}
		}
	}()
	return listener.Addr().String()
}

// connect copies the data of a connection in both directions. It ends each direction separately, because the engine still sends the output
// of a program whose input has ended.
func connect(from net.Conn, engine *url.URL) {
	defer from.Close()
	network, address := "tcp", engine.Host
	if engine.Scheme == "unix" {
		network, address = "unix", engine.Path
	}
	to, err := net.DialTimeout(network, address, 10*time.Second)
	if err != nil {
		return
	}
	defer to.Close()
	ended := make(chan struct{})
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(interface{ CloseWrite() error }).CloseWrite()
		ended <- struct{}{}
	}
	go pass(to, from)
	go pass(from, to)
	<-ended
	<-ended
}

// TestRelay: the output of a program must arrive even after the program's input has ended.
func TestRelay(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "engine.sock")
	engine, err := net.Listen("unix", socket)
	must(t, err)
	defer engine.Close()
	go func() {
		conn, err := engine.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		text, _ := io.ReadAll(conn)
		time.Sleep(50 * time.Millisecond)
		_, _ = conn.Write(append(text, ", exit status 3"...))
	}()
	conn, err := net.Dial("tcp", relay(t, &url.URL{Scheme: "unix", Path: socket}))
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("sh"))
	must(t, err)
	must(t, conn.(*net.TCPConn).CloseWrite())
	must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	said, err := io.ReadAll(conn)
	must(t, err)
	if string(said) != "sh, exit status 3" {
		t.Fatalf("the engine's answer arrived as %q", said)
	}
}
