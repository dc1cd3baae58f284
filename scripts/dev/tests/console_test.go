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

// console must show each refusal on which a scenario insists, in a real browser, and nothing that others have made.
func console(t *testing.T, l *lab) {
	program := filepath.Join(root(), "scripts", "lab")
	port := freePort(t)
	address := fmt.Sprintf("http://127.0.0.1:%d/", port)
	start := func(l *lab, port string) *icmd.Result {
		return l.exec(t, nil, "timeout", "60", program, "console", "--no-open", "--port", port)
	}

	// What is in its way it says at once.
	refused(t, start(l, "eighty"), 1, `error: the port is "eighty"`, "hint: ")
	refused(t, start(&lab{project: l.project + "-none"}, strconv.Itoa(port)), 1, "error: no lab of the name "+l.project+"-none is running", "hint: ")
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, start(l, strconv.Itoa(port)), 1, fmt.Sprintf("error: the port %d is in use on this machine", port), "hint: ")
	taken.Close()

	// It starts, and shows its address.
	running := l.background(t, program, "console", "--no-open", "--port", strconv.Itoa(port))
	until(t, time.Minute, "it says where it is", running.out.has(address+"?token="))
	page := regexp.MustCompile(`http\S+`).FindString(running.out.String())
	refused(t, start(l, strconv.Itoa(port+1)), 1, "error: a console of the lab "+l.project+" is running already", "hint: ")
	for address, want := range map[string]int{page: http.StatusOK, address: http.StatusForbidden} {
		answer, err := http.Get(address)
		if err != nil {
			t.Fatal("it does not answer on 127.0.0.1: ", err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s is answered with %d, not %d", address, answer.StatusCode, want)
		}
	}
	for _, ip := range otherAddresses(t) {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip, strconv.Itoa(port)), time.Second); err == nil {
			c.Close()
			t.Errorf("it listens on %s too", ip)
		}
	}
	known := cache("console-" + l.project + ".json")
	if info, err := os.Stat(known); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("others than its owner can read the token: %v, %v", info, err)
	}
	if out := l.exec(t, nil, program, "handshake", "--as", "nobody").Assert(t, icmd.Success).Combined(); strings.Contains(out, "error") {
		t.Errorf("the console does not show a handshake: %s", out)
	}

	l.browse(t, page)

	// What it costs.
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
		t.Errorf("it has %d KiB, not less than 30 MiB", most)
	}

	// Ctrl-C ends it, and nothing of it stays.
	running.end(syscall.SIGINT)
	until(t, time.Minute, "its process is gone", func() (bool, string) {
		left := servers()
		return len(left) == 0, fmt.Sprint(left)
	})
	if left, err := os.ReadFile(known); err != nil || strings.Contains(string(left), strconv.Itoa(port)) {
		t.Errorf("it leaves its address: %s %v", left, err)
	}
	if _, err := os.Stat(cache("lock-console-" + l.project)); err == nil {
		t.Error("it leaves its lock")
	}
	contains(t, running.out.String(), "the console has ended")
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

// otherAddresses returns those of this machine that are not on its loopback interface.
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
		t.Fatal("this machine has no other address")
	}
	return all
}

// browse has a browser look at it, while every scenario runs.
func (l *lab) browse(t *testing.T, page string) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no chromium on this machine, and CI needs it")
		}
		t.Log("no browser looks at the page: there is no chromium on this machine (on Debian: apt-get install chromium)")
		return
	}
	shots, browser := cache("console-"+l.project), cache("bin/browser")
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	l.exec(t, []string{"CGO_ENABLED=0"}, "go", "-C", "scripts/dev/tools/browser", "build", "-o", browser, ".").Assert(t, icmd.Success)
	program, quick := "'"+filepath.Join(root(), "scripts", "lab")+"'", " --quick"
	if os.Getenv("FULL") != "" {
		quick = ""
	}
	args := []string{browser, "-chromium", chromium, "-url", page, "-shots", shots, "-scenario", program + " scenario" + quick,
		"-stop", "docker compose stop spire-server", "-start", "docker compose up --detach --no-deps --wait spire-server",
		"-feed", strings.Join([]string{"docker run --interactive --rm --name " + l.project + "-hostile-1", "com.docker.compose.project=" + l.project,
			"com.docker.compose.service=hostile", "com.docker.compose.container-number=1", "com.docker.compose.oneoff=False"}, " --label ") +
			` "$(docker compose --profile extras config --images | grep -m 1 /tools:)" sh -c 'cat; sleep 3'`} // so that Compose has read the line before it ends
	for _, file := range glob("scripts/scenarios/*.sh") {
		args = append(args, nameOf(file))
	}
	result := l.exec(t, nil, args...)
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
		}
	}
	if result.ExitCode != 0 || len(wrong) > 0 || oks == 0 {
		t.Fatalf("%s\nscreenshots are in %s\n%s", strings.Join(slices.Compact(wrong), "\n"), shots, result.Combined())
	}
	t.Logf("the browser has made %d checks", oks)
	l.served(t, time.Minute)
}
