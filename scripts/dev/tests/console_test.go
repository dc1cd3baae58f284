package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

// console: in a real browser, the console must show each refusal that a scenario expects. It must show markup in a log line as plain text.
func console(t *testing.T, l *lab) {
	program := filepath.Join(root(), "scripts", "lab")
	port := freePort(t)
	address := fmt.Sprintf("http://127.0.0.1:%d/", port)
	start := func(l *lab, port string) *icmd.Result {
		return l.exec(t, nil, "timeout", "60", program, "console", "--no-open", "--port", port)
	}

	// The console reports at once what prevents its start.
	refused(t, start(l, "eighty"), 1, `error: the port "eighty" is not a number from 1024 to 65535`, "hint: ")
	refused(t, start(&lab{project: l.project + "-none"}, strconv.Itoa(port)), 1, "error: the lab "+l.project+"-none is not running", "hint: ")
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, start(l, strconv.Itoa(port)), 1, fmt.Sprintf("error: the port %d is in use on this machine", port), "hint: ")
	taken.Close()

	recording := filepath.Join(t.TempDir(), "all scenarios.jsonl")
	refused(t, l.exec(t, nil, program, "console", "--no-open", "--replay", recording), 1, "error: the recording cannot be read: ", "hint: ")
	refused(t, l.exec(t, nil, program, "console", "--no-open", "--replay", filepath.Join(root(), "README.md")), 1, "README.md is not a recording of the console: line 1: ", "hint: ")
	refused(t, l.exec(t, nil, program, "console", "--no-open", "--port", strconv.Itoa(port), "--record", filepath.Join(root(), "README.md")), 1, "README.md already", "hint: ")

	// The console starts, and prints its address.
	running := l.background(t, program, "console", "--no-open", "--port", strconv.Itoa(port), "--record", recording)
	until(t, time.Minute, "the console prints its address", running.out.has(address+"?token="))
	page := regexp.MustCompile(`http\S+`).FindString(running.out.String())
	refused(t, start(l, strconv.Itoa(port+1)), 1, "error: a console of the lab "+l.project+" is running already", "hint: ")
	for address, want := range map[string]int{page: http.StatusOK, address: http.StatusForbidden} {
		answer, err := http.Get(address)
		if err != nil {
			t.Fatal("the console does not answer on 127.0.0.1: ", err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s is answered with %d, not %d", address, answer.StatusCode, want)
		}
	}
	for _, ip := range otherAddresses(t) {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip, strconv.Itoa(port)), time.Second); err == nil {
			c.Close()
			t.Errorf("the console listens on %s too", ip)
		}
	}
	known := cache("console-" + l.project + ".json")
	if info, err := os.Stat(known); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("users other than the owner can read the token: %v, %v", info, err)
	}
	if out := l.exec(t, nil, program, "handshake", "--as", "nobody").Assert(t, icmd.Success).Combined(); strings.Contains(out, "error") {
		t.Errorf("the console does not show a handshake: %s", out)
	}

	l.browse(t, page)

	// The console must use less than 30 MiB of memory. Its share of CPU time is only logged.
	servers := func() []string {
		return lines(l.exec(t, nil, "pgrep", "-f", fmt.Sprintf("console .* -port %d .*serve$", port)).Stdout())
	}
	most := 0
	for _, line := range lines(l.exec(t, nil, "ps", "-o", "rss=,pcpu=", "-p", strings.Join(servers(), ",")).Assert(t, icmd.Success).Stdout()) {
		fields := strings.Fields(line)
		kib, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d MiB, %s %% of a core", kib/1024, fields[1])
		most = max(most, kib)
	}
	if most == 0 || most >= 30*1024 {
		t.Errorf("the console uses %d KiB, which is not less than 30 MiB", most)
	}

	// After Ctrl-C the console leaves no process, and in the folder .cache no address and no lock.
	running.end(syscall.SIGINT)
	until(t, time.Minute, "the console's process has ended", func() (bool, string) {
		left := servers()
		return len(left) == 0, fmt.Sprint(left)
	})
	if left, err := os.ReadFile(known); err != nil || strings.Contains(string(left), strconv.Itoa(port)) {
		t.Errorf("the console leaves its address: %s %v", left, err)
	}
	if _, err := os.Stat(cache("lock-console-" + l.project)); err == nil {
		t.Error("the console leaves its lock")
	}
	contains(t, running.out.String(), "the console has ended")

	// A recording can be shown without the lab.
	shown := (&lab{project: l.project + "-none"}).background(t, program, "console", "--no-open", "--port", "0", "--replay", recording)
	until(t, time.Minute, "the console prints the recording's address", shown.out.has("?token="))
	answer, err := http.Get(regexp.MustCompile(`http\S+`).FindString(shown.out.String()))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the page of the recording is answered with %d", answer.StatusCode)
	}
	shown.end(syscall.SIGINT)
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// otherAddresses returns the addresses of this machine that are not on its loopback interface.
func otherAddresses(t *testing.T) []string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			all = append(all, ip.IP.String())
		}
	}
	if len(all) == 0 {
		t.Fatal("this machine has only loopback addresses")
	}
	return all
}

// browser returns the paths of the program that tests the page, and of Chromium. Both paths are empty if there is no Chromium.
func (l *lab) browser(t *testing.T) (program, chromium string) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no chromium on this machine, and CI needs it")
		}
		t.Log("no browser tests the page: there is no chromium on this machine (on Debian: apt-get install chromium)")
		return "", ""
	}
	program = cache("bin/browser")
	l.exec(t, []string{"CGO_ENABLED=0"}, "go", "-C", "scripts/dev/tools/browser", "build", "-o", program, ".").Assert(t, icmd.Success)
	return program, chromium
}

func looked(t *testing.T, result *icmd.Result, shots string) {
	t.Helper()
	scanner := bufio.NewScanner(strings.NewReader(result.Combined()))
	scanner.Buffer(nil, 1<<20)
	oks := 0
	var wrong []string
	for scanner.Scan() {
		switch line := scanner.Text(); {
		case strings.HasPrefix(line, "ok "):
			oks++
		case strings.HasPrefix(line, "FAIL "):
			wrong = append(wrong, line)
		case strings.HasPrefix(line, "measured: "):
			t.Log(line)
		}
	}
	if result.ExitCode != 0 || len(wrong) > 0 || oks == 0 {
		t.Fatalf("%s\nscreenshots are in %s\n%s", strings.Join(slices.Compact(wrong), "\n"), shots, result.Combined())
	}
	t.Logf("%d checks in the browser; screenshots are in %s", oks, shots)
}

// pictures: in a real browser, the recording of each scenario must lead to the picture that its lesson describes. The test needs no lab.
// Its screenshots lesson-NAME.png are the pictures in the lessons.
func pictures(t *testing.T, l *lab) {
	program, chromium := l.browser(t)
	if chromium == "" {
		return
	}
	shots, page := cache("console-pictures"), filepath.Join(t.TempDir(), "console")
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	l.exec(t, []string{"CGO_ENABLED=0"}, "go", "build", "-o", page, "./services/console").Assert(t, icmd.Success)
	looked(t, l.exec(t, nil, program, "-chromium", chromium, "-recordings", filepath.Join(root(), "services/internal/console/testdata"), "-console", page, "-lab", root(), "-shots", shots), shots)
}

// live has the scenarios that the browser watches in a usual run. They have every kind of refusal, a second host, a second trust domain, an
// impostor and a pause. With FULL=1 the browser watches every scenario. The test pictures shows the recording of every scenario.
var live = []string{"ban", "bad-id", "bad-server-id", "federation", "first-server", "no-certificate", "sleep", "unregistered"}

// feed is the command of the container that logs what the browser's tests want. First it waits, because Compose leaves out the lines that a
// container logs before the engine has recorded its start. Then it still runs for 5 s, so that Compose can read the last line.
const feed = "sleep 1; cat; sleep 5"

// browse lets a browser test the page, while one scenario after the other runs.
func (l *lab) browse(t *testing.T, page string) {
	browser, chromium := l.browser(t)
	if chromium == "" {
		return
	}
	shots := cache("console-" + l.project)
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	scenario := "'" + filepath.Join(root(), "scripts", "lab") + "' scenario"
	names, longest := live, limit
	if os.Getenv("FULL") == "" {
		scenario += " --quick"
	} else {
		names, longest = nil, 6*limit
		for _, file := range glob("scripts/scenarios/*.sh") {
			names = append(names, nameOf(file))
		}
	}
	args := []string{browser, "-chromium", chromium, "-limit", longest.String(), "-url", page, "-shots", shots, "-scenario", scenario,
		"-stop", "docker compose stop spire-server", "-start", "docker compose up --detach --no-deps --wait spire-server",
		"-feed", strings.Join([]string{"docker run --interactive --rm --name " + l.project + "-hostile-1", "com.docker.compose.project=" + l.project,
			"com.docker.compose.service=hostile", "com.docker.compose.container-number=1", "com.docker.compose.oneoff=False", "com.docker.compose.config-hash=none"}, " --label ") +
			` "$(docker compose --profile extras config --images | grep -m 1 /tools:)" sh -c '` + feed + "'"}
	result := execute(t, icmd.Cmd{Command: append(args, names...), Dir: root(), Env: l.environment(), Timeout: longest + time.Minute})
	looked(t, result, shots)
	contains(t, result.Combined(), "REFUSED by client", "REFUSED by server", "REFUSED by SPIRE server", "NO IDENTITY")
	l.served(t, time.Minute)
}
