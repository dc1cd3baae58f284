package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settings has environments about settings in the learner's shell, in .env, or in the configuration of a tool.
func settings() []environment {
	const nowhere = "http://127.0.0.1:9"
	dockerConfig := func(m *machine, proxies string) {
		must(m.t, os.WriteFile(m.home(".docker", "config.json"), []byte(`{"proxies": {"default": {`+proxies+`}}}`), 0o644))
	}
	all := []environment{
		starts("a proxy in Docker's config.json", func(m *machine) {
			dockerConfig(m, `"httpProxy": "`+nowhere+`", "httpsProxy": "`+nowhere+`", "noProxy": "intranet.test"`)
			m.works("up", "the client is served")
		}),
		starts("proxies in Docker's config.json without noProxy, and in the environment", func(m *machine) {
			dockerConfig(m, `"httpProxy": "`+nowhere+`", "httpsProxy": "`+nowhere+`", "allProxy": "socks5://127.0.0.1:9"`)
			for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
				m.set(name+"="+nowhere, strings.ToLower(name)+"="+nowhere)
			}
			m.works("up", "the client is served")
			m.works("scenario bad-id", "PASS bad-id")
		}),
		starts("such proxies, and a compose.yaml without the lab's NO_PROXY: a verdict, in bounded time", func(m *machine) {
			dockerConfig(m, `"httpProxy": "`+nowhere+`", "httpsProxy": "`+nowhere+`"`)
			m.runs("sed", "-i", "-e", "/NO_PROXY:/d", "-e", "s/no_proxy:.*/LAB: learner/", "compose.yaml")
			m.fails("up", "error: ", "LAB")
			m.took(4 * time.Minute) // for one of these minutes, the lab waits for the client
		}),
		quick("variables of another project and another machine, for Compose and docker", func(m *machine) {
			m.set("COMPOSE_FILE=/nowhere.yaml", "COMPOSE_PROFILES=other", "COMPOSE_ENV_FILES=/nowhere.env", "COMPOSE_DISABLE_ENV_FILE=1", "COMPOSE_PATH_SEPARATOR=;",
				"DOCKER_DEFAULT_PLATFORM=linux/s390x", "DOCKER_BUILDKIT=0", "BUILDX_BUILDER=elsewhere", "DOCKER_API_VERSION=1.12")
			m.works("down")
		}),
		quick("a go.work above the clone, and Go variables of another project", func(m *machine) {
			must(m.t, os.WriteFile(filepath.Join(m.box, "go.work"), []byte("go 1.21\n"), 0o644))
			m.set("GOFLAGS=-mod=vendor", "GOOS=plan9", "GO111MODULE=off", "GOWORK="+filepath.Join(m.box, "go.work"), "GIT_DIR=/nowhere", "GIT_WORK_TREE=/")
			m.write(".cache/prebuilt", "") // an empty file, so that this machine's Go builds the program
			m.remove(".cache/bin/*")
			m.works("scenarios", "building the program lab with this machine's Go", "bad-id")
		}),
		quick("CDPATH, ENV and BASH_ENV", func(m *machine) {
			rc := filepath.Join(m.box, "rc")
			must(m.t, os.WriteFile(rc, []byte("set -o noclobber; alias docker=false; cd /\n"), 0o644))
			m.set("CDPATH=/:/tmp", "ENV="+rc, "BASH_ENV="+rc)
			m.works("scenarios", "bad-id")
		}),
		starts("PAUSE, NAME, AS and REPORT of other programs", func(m *machine) {
			m.set("PAUSE=1", "NAME=DESKTOP-4F2K", "AS=x86_64-conda-linux-gnu-as", "PORT=tcp://10.0.0.1:80", "REPORT=/nowhere/report.txt", "ALL=1", "WHO=somebody", "RESET=1", "KIT=/nowhere")
			for _, target := range []string{"up", "scenario-bad-id", "doctor", "handshake", "faults", "break", "reset", "down"} {
				result := m.learner("make", "--no-print-directory", target)
				if m.printed = result.Combined(); result.ExitCode != 0 {
					m.wrong("make %s: exit status %d", target, result.ExitCode)
				}
			}
		}),
		quick("N and YES of other programs", func(m *machine) {
			m.set("N=two", "YES=1", "KUBECONFIG=/nowhere", "RESET=1")
			for _, c := range [][]string{{"classroom", "classroom", "two"}, {"k8s-down", "kube", "YES is"}} {
				result := m.learner("make", "--no-print-directory", c[0])
				if m.printed = result.Combined(); result.ExitCode == 0 {
					m.wrong("make %s: it succeeded, but must fail", c[0])
				}
				m.hasPrinted(c[1:2])
				m.silent(c[2])
			}
		}),
		quick("PAUSE=1 on make's command line without a terminal", func(m *machine) {
			result := m.learner("make", "--no-print-directory", "scenario-bad-id", "PAUSE=1")
			if m.printed = result.Combined(); result.ExitCode == 0 {
				m.wrong("the command succeeded, but must fail")
			}
			m.hasPrinted([]string{"--pause waits for Enter, and the standard input is not a terminal"})
			m.silent("the lab is not running") // the lab prints the error before it asks the engine anything
		}),
		quick("a version of somebody's own", func(m *machine) {
			m.versionChanged("SPIRE_VERSION=0.12.0", "spire-server:0.12.0 cannot be pulled")
		}),
		quick("a registry of somebody's own", func(m *machine) {
			m.versionChanged("SPIRE_REGISTRY=registry.test/mine", "registry.test/mine/spire-server")
		}),
		quick("a Go image of somebody's own", func(m *machine) {
			m.versionChanged("GO_IMAGE=golang:1.20-alpine", "cannot be pulled")
		}),
		quick("a tag of somebody's own", func(m *machine) {
			m.versionChanged("LAB_TAG=mine-"+m.tag, "cannot be pulled")
		}),
		quick("settings of .env that the environment sets to nothing", func(m *machine) {
			m.set("SPIRE_VERSION=", "SPIRE_REGISTRY=", "GO_IMAGE=", "TOOLS_BASE_IMAGE=", "LAB_TAG=")
			m.works("down")
			m.silent("is not set", "your environment sets it")
		}),
		quick("DOCKER_CONTENT_TRUST=1", func(m *machine) {
			m.set("DOCKER_CONTENT_TRUST=1")
			m.refused("up", "DOCKER_CONTENT_TRUST is set, and the images of the lab are not signed", "unset DOCKER_CONTENT_TRUST")
		}),
		quick("TMPDIR is not there", func(m *machine) {
			m.set("TMPDIR=/nowhere")
			m.refused("up", "TMPDIR is /nowhere", "unset TMPDIR")
		}),
		quick("COMPOSE_PROJECT_NAME with capitals and spaces", func(m *machine) {
			m.set("COMPOSE_PROJECT_NAME=My Lab")
			m.refused("up", `COMPOSE_PROJECT_NAME is "My Lab", which is not a valid name of a Compose project`, "COMPOSE_PROJECT_NAME=my-lab")
		}),
		quick("no HOME", func(m *machine) {
			m.set("HOME=")
			m.works("down")
		}),
		quick("terminals that understand no escape sequences", func(m *machine) {
			show := func(variables ...string) {
				m.set(variables...)
				m.printed = m.runs("script", "--quiet", "--return", "--command", "sh scripts/lab lesson bad-id", "/dev/null")
				m.hasPrinted([]string{"bad-id"})
			}
			show("NO_COLOR=", "TERM=xterm")
			m.hasPrinted([]string{"\x1b["}) // if even this output has no escape sequences, the test shows nothing
			show("TERM=dumb")
			m.silent("\x1b")
			show("TERM=")
			m.silent("\x1b")
		}),
		quick("no .env", func(m *machine) {
			m.remove(".env")
			m.refused("down", "the lab's folder has no file .env", "git checkout -- .env")
		}),
		quick("a line in .env that is no setting", func(m *machine) {
			m.write(".env", m.read(".env")+"this is nothing\n")
			m.refused("down", "error: .env", "line ", "git diff .env")
		}),
		quick("a .env that an editor has saved as UTF-16", func(m *machine) {
			var wide strings.Builder
			wide.WriteString("\xff\xfe")
			for _, c := range []byte(m.read(".env")) {
				wide.Write([]byte{c, 0})
			}
			m.write(".env", wide.String())
			m.refused("down", "error: .env", "hint: ")
		}),
		quick("make 3.81, as a Mac has it: no word of a newer one in the Makefile", func(m *machine) {
			text := m.read("Makefile")
			lacks(m.t, text, "!=", "::=", ".ONESHELL", ".RECIPEPREFIX", "$(file ", "$(guile ", "$(let ", "$(intcmp ")
		}),
	}
	env := map[string]func(text string) string{
		"without a newline at its end": func(text string) string { return strings.TrimRight(text, "\n") },
		"with quotes, a comment and export": func(text string) string {
			return strings.Replace(strings.Replace(text, "LAB_TAG=local", `LAB_TAG="local" # mine`, 1), "SPIRE_VERSION=", "export SPIRE_VERSION=", 1)
		},
		"with indentation and the line endings of Windows":       func(text string) string { return cr("  " + strings.ReplaceAll(text, "\n", "\n  ")) },
		"with a byte order mark and a line of the learner's own": func(text string) string { return "\ufeff" + text + "\nMY_LAB=1\n" },
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		change := env[name]
		all = append(all, quick(".env "+name, func(m *machine) {
			text := m.read(".env")
			if m.write(".env", change(text)); m.read(".env") == text {
				m.wrong(".env is unchanged")
			}
			m.set("LAB_TAG=")
			m.works("part settings", "LAB_TAG=local\n", "SPIRE_VERSION=")
			m.silent("export", `"`, "\r")
			m.works("down")
		}))
	}
	return all
}

// versionChanged sets a version in the environment of a lab that is already built, on a machine that cannot pull an image. The lab must try
// to pull this version, and must not ignore it.
func (m *machine) versionChanged(variable, said string) {
	m.t.Helper()
	m.remove(".cache/prebuilt")
	m.without("go")
	m.works("part build") // nothing is left to build
	m.silent("pulling")
	m.stub("docker", `[ "$1" != pull ] || { echo "no such host" >&2; exit 1; }; exec "$real" "$@"`)
	m.set(variable)
	m.refused("up", said)
	if name, value, _ := strings.Cut(variable, "="); name != "LAB_TAG" {
		m.hasPrinted([]string{name + " is " + value + ": your environment sets it, and .env has "})
	}
}
