package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gotest.tools/v3/icmd"
)

// modules are the lab's Go modules that have code. All other modules only pin the versions of tools.
var modules = []string{".", "scripts/dev/tests", "scripts/dev/tools/bench", "scripts/dev/tools/browser"}

// TestLint is `make lint`. Some of its checks need the lab's images, but none needs a running lab.
func TestLint(t *testing.T) {
	l := &lab{project: "spiffe-lab-lint"}
	check := func(name string, do func(t *testing.T)) {
		if interrupted.Err() == nil {
			t.Run(name, do)
		}
	}
	// runs is an assertion: a program succeeds in a folder of the lab.
	runs := func(t *testing.T, dir string, env []string, words ...string) string {
		t.Helper()
		if interrupted.Err() != nil {
			t.Fatal("interrupted")
		}
		result := execute(t, icmd.Cmd{Command: words, Dir: filepath.Join(root(), dir), Env: l.environment(append(env, "GOWORK=off", "GOFLAGS=-mod=readonly")...)})
		if result.ExitCode != 0 {
			t.Errorf("%s: %s%v", strings.Join(words, " "), result.Combined(), result.Error)
		}
		return result.Combined()
	}
	tool := func(t *testing.T, dir, tool string, args ...string) {
		t.Helper()
		runs(t, dir, nil, append([]string{"go", "run", "-modfile", filepath.Join(root(), "scripts/dev/tools/lint/go.mod"), tool}, args...)...)
	}
	check("gofmt", func(t *testing.T) {
		if files := runs(t, ".", nil, "gofmt", "-l", "services", "scripts/dev"); files != "" {
			t.Errorf("gofmt would change:\n%s", files)
		}
	})
	check("go vet", func(t *testing.T) {
		for _, module := range modules {
			runs(t, module, nil, "go", "vet", "./...")
		}
		runs(t, ".", nil, "go", "vet", "-tags", "faults", "./services/internal/fault")
	})
	check("staticcheck", func(t *testing.T) {
		for _, module := range modules {
			tool(t, module, "honnef.co/go/tools/cmd/staticcheck", "./...")
		}
	})
	check("the program on Windows and macOS", func(t *testing.T) {
		packages := []string{"./services/lab/...", "./services/console", "./services/internal/..."}
		for _, system := range []string{"windows", "darwin"} {
			for _, arch := range []string{"amd64", "arm64"} {
				env := []string{"GOOS=" + system, "GOARCH=" + arch, "CGO_ENABLED=0"}
				runs(t, ".", env, append([]string{"go", "build", "-o", os.DevNull}, packages...)...)
				// `true` replaces the run of each test, so that the test is only compiled. vet runs later, because its findings do not depend
				// on the architecture.
				runs(t, ".", env, append([]string{"go", "test", "-vet", "off", "-exec", "true"}, packages...)...)
			}
			runs(t, ".", []string{"GOOS=" + system, "CGO_ENABLED=0"}, "go", "vet", "./...")
		}
	})
	check("shellcheck", func(t *testing.T) {
		if _, err := exec.LookPath("shellcheck"); err != nil {
			t.Fatal("shellcheck was not found; on Debian and Ubuntu: apt-get install shellcheck")
		}
		runs(t, ".", nil, append([]string{"shellcheck"}, shellScripts(t)...)...)
	})
	check("every scenario has a lesson", TestLessons)
	check("plain English", TestProse)
	check("every link has a target", TestPages)
	check("every mutant fits and compiles", TestMutantsFit)
	check("the page links the mTLS lines", linksPoint)
	check("the page of causes quotes existing messages", quotesSaid)
	check("the page of causes has a row for each error of make up", messagesQuoted)
	check("actionlint", func(t *testing.T) { tool(t, ".", "github.com/rhysd/actionlint/cmd/actionlint") })
	check("docker compose config", func(t *testing.T) { runs(t, ".", nil, "docker", "compose", "config", "--quiet") })
	check("one key order in the Compose files", oneKeyOrder)

	tag := ""
	for _, line := range lines(l.run(t, "part", "settings").Assert(t, icmd.Success).Stdout()) {
		if value, ok := strings.CutPrefix(line, "LAB_TAG="); ok {
			tag = value
		}
	}
	// The list lacks the impostor's file, because SPIRE cannot validate it without the trust bundle that the file names.
	for _, file := range []string{"server/server", "partner/server", "kubernetes/server", "agent/agent", "host-b/agent", "partner/agent", "kubernetes/agent"} {
		check("SPIRE validates spire."+strings.ReplaceAll(file, "/", ".")+".conf", func(t *testing.T) {
			kind := filepath.Base(file)
			image := "spiffe-lab/spire-" + kind + ":" + tag
			if l.docker(t, "image", "inspect", image).ExitCode != 0 {
				t.Fatalf("no lab has been built on this machine yet: there is no image %s; make up", image)
			}
			result := execute(t, icmd.Cmd{Command: []string{"docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "/opt/spire/bin/spire-" + kind, image,
				"validate", "-expandEnv", "-config", "/dev/stdin"}, Stdin: strings.NewReader(read(t, "spire/"+file+".conf"))})
			if result.ExitCode != 0 {
				t.Error(result.Combined())
			}
		})
	}
}

// shellScripts returns the scripts whose first line names a shell, and all libraries and mutants, which have no such line.
func shellScripts(t *testing.T) []string {
	t.Helper()
	first := regexp.MustCompile(`^#!.*sh\n`)
	var all []string
	eachFile(t, []string{"scripts", "spire", ".ci"}, func(name, text string) {
		library := regexp.MustCompile(`^scripts/dev/(lib|mutants)/.*\.sh$`).MatchString(name)
		if library || first.MatchString(text) && !strings.Contains(name, "/tools/") {
			all = append(all, name)
		}
	})
	return all
}

func eachFile(t *testing.T, folders []string, do func(name, text string)) {
	t.Helper()
	for _, folder := range folders {
		must(t, fs.WalkDir(os.DirFS(root()), folder, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			if text, err := os.ReadFile(filepath.Join(root(), name)); err != nil {
				return err
			} else if !bytes.ContainsRune(text, 0) {
				do(name, string(text))
			}
			return nil
		}))
	}
}

// linksPoint checks each link [`TEXT`](FILE#LN) in services/README.md: line N of FILE must have TEXT.
func linksPoint(t *testing.T) {
	links := regexp.MustCompile("\\[`([^`]+)`\\]\\(([^)#]+\\.go)#L([0-9]+)\\)").FindAllStringSubmatch(read(t, "services/README.md"), -1)
	for _, link := range links {
		number, _ := strconv.Atoi(link[3])
		if text := strings.Split(read(t, "services/"+link[2]), "\n"); number > len(text) || !strings.Contains(text[number-1], link[1]) {
			t.Errorf("services/README.md links %s line %d for %q, which is not there", link[2], number, link[1])
		}
	}
	if len(links) < 4 {
		t.Error("services/README.md does not link the mTLS lines of the two programs")
	}
}

// wordsOfOthers are messages of other programs, such as the engine and SPIRE, in situations that no test of the lab creates.
var wordsOfOthers = []string{"could not find an available, non-overlapping IPv4 address pool", "host is unreachable", "no children to pick from", "--privileged",
	"/exe: permission denied", "Admin : true", "Downstream : true", "Paused", "curl -k", "name resolver error", "server misbehaving", "unable to parse trust bundle"}

var (
	backquoted = regexp.MustCompile("`[^`]*`")
	rowOfCode  = regexp.MustCompile(`^\| \[LAB[^|]*\|[^|]*\|`)
)

// causes is the page with the table of causes, and with the errors that stop `make up`.
const causes = "services/internal/cause/README.md"

// quotes returns the messages that the tables of the page of causes have in backquotes. A quote with " ... " becomes several texts.
func quotes(t *testing.T) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(read(t, causes)) {
		column := ""
		if columns := strings.Split(line, "|"); rowOfCode.MatchString(line) {
			column = columns[2]
		} else if strings.HasPrefix(line, "| `") {
			column = columns[1]
		}
		for _, quote := range backquoted.FindAllString(column, -1) {
			all = append(all, strings.Split(strings.Trim(quote, "`"), " ... ")...)
		}
	}
	if len(all) < 20 {
		t.Fatalf("%s quotes only %q", causes, all)
	}
	return all
}

// quotesSaid checks each quote: the source of a program of the lab must have the quote, or a test must expect it. The backquoted texts in
// the package cause do not count, because they are a copy of the table.
func quotesSaid(t *testing.T) {
	var said strings.Builder
	eachFile(t, []string{"scripts", "services", "spire"}, func(name, text string) {
		switch {
		case strings.HasSuffix(name, ".md"), name == "scripts/dev/tests/lint_test.go":
		case strings.HasPrefix(name, "services/internal/cause/") && !strings.HasSuffix(name, "_test.go"):
			for line := range strings.Lines(text) {
				said.WriteString(backquoted.ReplaceAllString(line, ""))
			}
		default:
			said.WriteString(text)
		}
	})
	for _, quote := range quotes(t) {
		if !slices.Contains(wordsOfOthers, quote) && !strings.Contains(said.String(), quote) {
			t.Errorf("%s quotes a text that no program prints: %s", causes, quote)
		}
	}
}

// messagesQuoted checks that the page of causes has a row for each error of `make up`. It leaves out errors that begin with a variable.
func messagesQuoted(t *testing.T) {
	quotes := quotes(t)
	sources := []struct {
		files   string
		message *regexp.Regexp
	}{
		{"scripts/dev/images.sh", regexp.MustCompile(`\bdie "((?:[^"\\]|\\.)*)"`)},
		{"scripts/dev/lib/host.sh", regexp.MustCompile(`\bdie "((?:[^"\\]|\\.)*)"`)},
		{"services/internal/engine/*.go", problem},
		{"services/internal/launch/*.go", problem},
	}
	messages := 0
	for _, source := range sources {
		for _, file := range glob(source.files) {
			text, err := os.ReadFile(file)
			must(t, err)
			for _, found := range source.message.FindAllStringSubmatch(string(text), -1) {
				message := strings.ReplaceAll(found[1], "$image", "spiffe-lab/")
				if !regexp.MustCompile(`[a-z]{3}`).MatchString(message) {
					continue
				}
				messages++
				if !slices.ContainsFunc(quotes, func(quote string) bool { return strings.Contains(message, quote) }) {
					t.Errorf("%s has no row for: %s", causes, message)
				}
			}
		}
	}
	if messages < 20 {
		t.Errorf("only %d messages were found", messages)
	}
}

var problem = regexp.MustCompile(`Problem\{(?:Code: lab\.[A-Za-z]*, |lab\.[A-Za-z]*, )?(?:What: )?(?:fmt.Sprintf\()?"((?:[^"\\]|\\.)*)"`)

// oneKeyOrder checks that the services in the Compose files have their keys in the same order.
func oneKeyOrder(t *testing.T) {
	order := strings.Fields(`<< profiles image build command pid user network_mode networks dns dns_opt environment volumes tmpfs attach read_only cap_drop cap_add security_opt
		depends_on healthcheck restart stop_grace_period`)
	key := regexp.MustCompile(`^    ([a-z<][a-z_<]*):`)
	for _, file := range []string{"compose.yaml", "scripts/scenarios/extras.yaml"} {
		_, services, _ := strings.Cut(read(t, file), "\nservices:\n")
		service, last, n := "", -1, 0
		for line := range strings.Lines(services) {
			if line[0] >= 'a' && line[0] <= 'z' { // the services end where the next part begins, such as volumes
				break
			}
			if name, ok := strings.CutPrefix(line, "  "); ok && name[0] >= 'a' && name[0] <= 'z' {
				service, last = strings.TrimSpace(name), -1
				continue
			}
			if found := key.FindStringSubmatch(line); found != nil {
				place := slices.Index(order, found[1])
				if n++; place < 0 {
					t.Errorf("%s has the key %s, which has no place in the order", service, found[1])
				} else if place < last {
					t.Errorf("%s has %s out of order", service, found[1])
				}
				last = place
			}
		}
		if n < 10 {
			t.Errorf("%s has only %d keys", file, n)
		}
	}
}
