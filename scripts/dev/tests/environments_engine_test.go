package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// server returns a shell command that answers `docker version` like an engine with these properties.
func server(component, version, api, system, arch string) string {
	return fmt.Sprintf(`echo '{"Server":{"APIVersion":"%s","Version":"%s","Os":"%s","Arch":"%s","Components":[{"Name":"%s"}]}}'; exit`, api, version, system, arch, component)
}

func otherArch() string {
	if runtime.GOARCH == "amd64" {
		return "arm64"
	}
	return "amd64"
}

// engines has environments with unusual engines: their version, their kind, and whether they answer.
func engines() []environment {
	all := []environment{
		quick("no docker command", func(m *machine) {
			m.without("docker")
			m.refused("up", "the docker command was not found", "https://docs.docker.com/get-docker/")
			m.refused("status", "the docker command was not found")
			m.works("scenarios", "bad-id")
		}),
		quick("a PATH that has docker alone", func(m *machine) {
			m.dockerAlone()
			m.alone("down", "scenarios", "lesson bad-id")
			m.set("DOCKER_HOST=unix:///nowhere.sock")
			if result := m.learner(m.in(".cache/bin/lab"), "--dir="+m.folder, "up"); result.ExitCode != 1 {
				m.wrong("exit status %d: %s", result.ExitCode, result.Combined())
			} else {
				contains(m.t, result.Combined(), "error: no Docker Engine answers", "hint: start Docker Desktop or the docker service")
			}
		}),
		starts("a PATH that has docker alone, and a lab", func(m *machine) {
			m.dockerAlone()
			m.alone("up", "status", "entries", "svid", "scenario bad-id --quick", "scenario rotation --quick")
			contains(m.t, m.alone("doctor"), "all is well")
			contains(m.t, m.alone("report mine.json", "doctor mine.json"), "all is well")
			contains(m.t, m.alone("break clean-up"), "Fault 1, clean-up")
			m.runs(append([]string{"docker"}, strings.Fields("compose exec -T spire-server /opt/spire/bin/spire-server entry create -spiffeID spiffe://example.org/client "+
				"-parentID spiffe://example.org/host -selector unix:user:client-workload")...)...)
			contains(m.t, m.alone("check --patience 60s --cause entry-deleted"), "solved: clean-up")
			m.consoleAnswers()
			m.alone("down")
		}),
		quick("an engine that does not answer", func(m *machine) {
			m.set("DOCKER_HOST=unix:///nowhere.sock")
			m.refused("up", "no Docker Engine answers: ", "DOCKER_HOST is unix:///nowhere.sock")
		}),
		quick("an engine that the user may not speak to", func(m *machine) {
			m.stub("docker", `echo "Got permission denied while trying to connect to the Docker daemon socket" >&2; exit 1`)
			m.refused("up", "your user may not use the Docker Engine", "usermod -aG docker")
		}),
		quick("a Docker context that is not there", func(m *machine) {
			m.set("DOCKER_CONTEXT=nowhere")
			m.refused("up", "no Docker Engine answers: ", `context "nowhere"`, "DOCKER_CONTEXT is nowhere")
		}),
		quick("a docker command that crashes", func(m *machine) {
			m.stub("docker", `kill -SEGV $$`)
			m.refused("up", "cannot tell: docker version failed: signal: segmentation fault", "docker version must work")
			m.silent("too old")
		}),
		quick("a docker command for which there is no process left", func(m *machine) {
			m.stubDocker("ps", `echo "fork/exec: resource temporarily unavailable" >&2; exit 2`)
			m.refused("up", "cannot tell: docker ps failed: fork/exec: resource temporarily unavailable", "docker ps must work")
		}),
		quick("a docker command that answers in words", func(m *machine) {
			m.stubDocker("version", `echo "Emulate Docker CLI using podman. Create /etc/containers/nodocker to quiet msg."; exit`)
			m.refused("up", "cannot tell: docker version failed: its answer is not JSON", "docker version must work")
		}),
		quick("a docker command that warns before it answers", func(m *machine) {
			m.stub("docker", `echo "WARNING: Error loading config file: /etc/docker: permission denied" >&2; exec "$real" "$@"`)
			m.works("down")
		}),
		quick("Windows containers", func(m *machine) {
			m.stubDocker("version", server("Engine", "27.3.1", "1.47", "windows", "amd64"))
			m.refused("up", "the Docker Engine runs Windows containers", "Switch to Linux containers")
		}),
		quick("an engine of another architecture than what is prebuilt and the C compiler", func(m *machine) {
			m.stubDocker("version", server("Engine", "20.10.24", "1.41", "linux", otherArch()))
			m.write(".cache/prebuilt", "")
			m.refused("up", "makes programs for ", "and the engine runs linux/"+otherArch(), "set CC")
		}),
		quick("images of another architecture, from a neighbour's stick", func(m *machine) {
			m.stub("docker", `case "$1" in version) `+server("Engine", "20.10.24", "1.41", "linux", otherArch())+` ;;
pull) echo "no matching manifest for linux/`+otherArch()+`" >&2; exit 1 ;; esac
exec "$real" "$@"`)
			m.remove(".cache/prebuilt")
			m.without("go")
			m.refused("up", "cannot be pulled: no matching manifest", "there is no image for this machine's architecture")
		}),
		quick("Docker Engine 19.03", func(m *machine) {
			m.stubDocker("version", server("Engine", "19.03.15", "1.40", "linux", runtime.GOARCH))
			m.refused("up", "Docker Engine 19.03.15 is too old: it has version 1.40 of Docker's API", "the lab needs version 1.41")
		}),
		quick("Podman 3", func(m *machine) {
			m.stubDocker("version", server("Podman Engine", "3.0.1", "1.40", "linux", runtime.GOARCH))
			m.refused("up", "Podman 3.0.1 is too old", "Podman 4")
		}),
		quick("Podman 5, whose version is no Docker's", func(m *machine) {
			m.stubDocker("version", server("Podman Engine", "5.4.2", "1.41", "linux", runtime.GOARCH))
			m.works("down")
		}),
		quick("Podman's own docker command", func(m *machine) {
			m.stub("docker", `case "$1" in --version) echo "podman version 4.3.1" ;; *) echo "template: nil pointer" >&2; exit 125 ;; esac`)
			m.refused("up", "the docker command is Podman's own", "DOCKER_HOST")
		}),
		quick("Compose 2.17, and no Go", func(m *machine) {
			m.stubDocker("info", `echo '{"ClientInfo":{"Plugins":[{"Name":"compose","Version":"v2.17.0","Path":"/usr/libexec/docker-compose"}]}}'; exit`)
			m.without("go")
			m.refused("up", "docker compose 2.20 or newer was not found, and there is no Go to build it with")
		}),
		quick("a Compose plugin whose file is gone", func(m *machine) {
			m.stubDocker("info", `echo '{"ClientInfo":{"Plugins":[{"Name":"compose","Version":"v2.40.0","Path":"/nowhere/docker-compose"}]}}'; exit`)
			m.without("go")
			m.refused("up", "docker compose 2.20 or newer was not found, and there is no Go to build it with")
		}),
		quick("a half-written Compose of an earlier run", func(m *machine) {
			m.stubDocker("info", `echo '{"ClientInfo":{"Plugins":[]}}'; exit`)
			m.write(".cache/bin/docker-compose", "half")
			m.runs("chmod", "+x", ".cache/bin/docker-compose")
			m.without("go")
			m.refused("up", "docker compose 2.20 or newer was not found, and there is no Go to build it with", "https://docs.docker.com/compose/install/")
		}),
	}
	// Before a start, the lab runs these docker commands.
	for _, question := range []string{"version", "info", "ps"} {
		all = append(all, quick("an engine that hangs at docker "+question, func(m *machine) {
			m.stub("docker", `[ "$1" != `+question+` ] || exec sleep 600; exec "$real" "$@"`)
			m.refused("up", "no Docker Engine answers: docker "+question+" waited for 10 s", "restart Docker Desktop or the docker service")
			m.took(25 * time.Second) // more than the 10 s that the lab waits
		}))
	}
	return all
}

// registries has environments with a registry that does not deliver the image.
func registries() []environment {
	// registry simulates a machine without images. Each pull runs the shell command answer, and fails.
	registry := func(m *machine, answer string) {
		m.remove(".cache/prebuilt", ".cache/built-*")
		m.stub("docker", `case "$1 $2" in "image inspect") exit 1 ;; "pull "*) `+answer+`; exit 1 ;; esac
exec "$real" "$@"`)
		m.without("go")
	}
	var all []environment
	answers := map[string]struct{ answer, said, remedy string }{
		"a rate limit, and no Go":                        {"toomanyrequests: You have reached your unauthenticated pull rate limit.", "cannot be pulled: toomanyrequests", "docker login"},
		"a proxy that opens TLS":                         {"Error response from daemon: tls: failed to verify certificate: x509: certificate signed by unknown authority", "x509: certificate signed by unknown authority", "add your network's CA to Docker"},
		"a registry that cannot be reached":              {"dial tcp: lookup ghcr.io: no such host", "no such host", "give the engine access to the registry"},
		"no space left on the engine":                    {"failed to register layer: write /usr/lib/go/bin/go: no space left on device", "no space left on device", "the engine's disk is full. \"docker system df\""},
		"a registry that answers with a page of a hotel": {"error parsing HTTP 404 response body: invalid character '<' looking for beginning of value", "invalid character '<'", "give the engine access to the registry"},
		"a registry whose clock or ours is wrong":        {"tls: failed to verify certificate: x509: certificate has expired or is not yet valid", "certificate has expired or is not yet valid", "the time"},
	}
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		c := answers[name]
		all = append(all, quick(name, func(m *machine) {
			registry(m, `echo "`+c.answer+`" >&2`)
			m.refused("up", c.said, c.remedy)
		}))
	}
	return append(all,
		quick("a credential helper that is not installed", func(m *machine) {
			registry(m, `echo 'error getting credentials - err: exec: "docker-credential-desktop": executable file not found in $PATH' >&2`)
			m.refused("up", "docker-credential-desktop", "remove credsStore and credHelpers from "+m.home(".docker", "config.json"))
		}),
		quick("a pull that is silent for long", func(m *machine) {
			registry(m, `sleep 11; echo "net/http: TLS handshake timeout" >&2`)
			m.refused("up", "still pulling", "TLS handshake timeout")
		}),
		quick("a version that the registry does not have", func(m *machine) {
			registry(m, `echo "Error response from daemon: manifest for ghcr.io/spiffe/spire-server:9.9.9 not found: manifest unknown" >&2`)
			m.set("SPIRE_VERSION=9.9.9")
			m.refused("up", "manifest unknown", "check that the registry has this image", "SPIRE_REGISTRY, SPIRE_VERSION")
		}),
		quick("a registry that wants a login", func(m *machine) {
			registry(m, `echo "Error response from daemon: Head https://ghcr.io/v2/spiffe/spire-server: unauthorized" >&2`)
			m.set("SPIRE_REGISTRY=registry.intern.test/spiffe")
			m.refused("up", "registry.intern.test/spiffe/spire-server:", "cannot be pulled", "check that the registry has this image", "SPIRE_REGISTRY is registry.intern.test/spiffe: your environment sets it")
		}),
		quick("a classroom, and no image was ever made", func(m *machine) {
			m.stub("docker", `case "$1 $2" in "image inspect") exit 1 ;; esac; exec "$real" "$@"`)
			m.refused("classroom 2", "no lab has been built on this machine yet: there is no image spiffe-lab/", "hint: make up")
		}),
	)
}

// dockerAlone gives the learner a PATH that has only docker.
func (m *machine) dockerAlone() {
	m.t.Helper()
	docker, err := exec.LookPath("docker")
	must(m.t, err)
	path := filepath.Join(m.box, "alone")
	must(m.t, os.Mkdir(path, 0o755))
	must(m.t, os.Symlink(docker, filepath.Join(path, "docker")))
	m.set("PATH=" + path)
}

// alone runs commands of the program lab without scripts/lab, and returns the output of the last one.
func (m *machine) alone(commands ...string) (said string) {
	m.t.Helper()
	for _, command := range commands {
		said = m.runs(append([]string{m.in(".cache/bin/lab"), "--dir=" + m.folder}, strings.Fields(command)...)...)
	}
	return said
}

// consoleAnswers starts the console as a learner would, and requests the page at the printed address.
func (m *machine) consoleAnswers() {
	m.t.Helper()
	ctx, end := context.WithCancel(m.t.Context())
	defer end()
	console := exec.CommandContext(ctx, m.in(".cache/bin/lab"), "--dir="+m.folder, "console", "--no-open", "--port", strconv.Itoa(freePort(m.t)))
	console.Dir, console.Env, console.WaitDelay = m.folder, m.environment(m.env...), 20*time.Second
	console.Cancel = func() error { return console.Process.Signal(os.Interrupt) }
	out := &output{}
	console.Stdout, console.Stderr = out, out
	must(m.t, console.Start())
	until(m.t, time.Minute, "the console prints its address", out.has("?token="))
	answer, err := http.Get(regexp.MustCompile(`http\S+`).FindString(out.String()))
	must(m.t, err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		m.wrong("the console answers with %s", answer.Status)
	}
	end()
	if err := console.Wait(); err != nil && console.ProcessState.ExitCode() != 0 && console.ProcessState.ExitCode() != 130 {
		m.wrong("the console ends with %v: %s", err, out)
	}
}
