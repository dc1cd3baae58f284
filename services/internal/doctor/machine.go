package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	readme  = "README.md#start"
	outages = "scripts/scenarios/server-outage.md"
)

// The engine, this machine and the images: all that must be there before a lab can be.
var machineChecks = []check{
	{"LAB001", "`the docker command was not found`", "there is no Docker here",
		"install Docker Engine 20.10 or newer, or Docker Desktop: https://docs.docker.com/get-docker/", readme,
		func(l *lab) *evidence {
			if s := l.Section("engine"); s.Status == "127" {
				return &evidence{seen: "the docker command was not found", expected: "a docker command in PATH"}
			}
			return nil
		}},
	{"LAB002", "`your user may not use the Docker Engine`", "the engine runs, but your user has no access to its socket",
		"ask this machine's administrator. sudo usermod -aG docker YOU gives access at the next login, but the docker group is as powerful as root. Rootless Docker needs no such group: https://docs.docker.com/engine/security/rootless/", readme,
		func(l *lab) *evidence {
			if s := l.Section("engine"); s.Answered() && strings.Contains(strings.ToLower(strings.Join(s.Errors, " ")), "permission denied") {
				return &evidence{seen: s.Last(), expected: "docker version tells the server's version"}
			}
			return nil
		}},
	{"LAB003", "`no Docker Engine answers`", "the Docker Engine does not run, or is somewhere else",
		"start Docker Desktop or the docker service; docker info must work; is DOCKER_HOST or the docker context right?", readme,
		func(l *lab) *evidence {
			s := l.Section("engine")
			if s.Answered() && !s.OK() && s.Status != "127" {
				return &evidence{seen: s.Last(), expected: "docker version tells the server's version"}
			}
			if l.silent("engine") {
				return &evidence{seen: s.Status, expected: "docker version tells the server's version"}
			}
			return nil
		}},
	{"LAB004", "`is too old: it has version`", "the engine is older than Docker 20.10 or Podman 4",
		"update it", readme,
		func(l *lab) *evidence {
			if s := l.Section("engine"); s.OK() && older(l.Engine.API, 1, 41) {
				return &evidence{seen: fmt.Sprintf("engine %s speaks version %s of Docker's API", l.Engine.Server, l.Engine.API), expected: "1.41 or newer"}
			}
			return nil
		}},
	{"LAB005", "`the docker command is Podman's own`", "what is called docker is podman",
		"install Docker's command, start Podman's service, and set DOCKER_HOST to its socket", readme,
		saying("Docker's own command, or a docker command that speaks to Podman's service", "the docker command is Podman's own")},
	{"LAB006", "`no space left on device`", "the disk of the engine, or of this folder, is full",
		"docker system df shows by what; docker builder prune and docker image prune free most of it", readme,
		saying("space for images of about 500 MB", "no space left on device")},
	{"LAB007", "`all predefined address pools have been fully subnetted`", "Docker's networks are used up, near 30",
		"remove labs (make down), or widen default-address-pools in Docker's daemon.json", readme,
		saying("a free network for the lab", "all predefined address pools have been fully subnetted")},
	{"LAB008", "`the Docker Engine runs Windows containers`", "Docker Desktop on Windows is set to Windows containers, and the lab's are Linux containers",
		"Docker Desktop's menu: Switch to Linux containers", readme,
		func(l *lab) *evidence {
			if l.Engine.OS == "windows" {
				return &evidence{seen: "the engine's containers are for windows/" + l.Engine.Arch, expected: "linux/..."}
			}
			return nil
		}},

	{"LAB011", "`DOCKER_CONTENT_TRUST is set`", "it asks for signed images, and the lab's are made here",
		"for this lab: unset DOCKER_CONTENT_TRUST", readme,
		saying("DOCKER_CONTENT_TRUST unset", "DOCKER_CONTENT_TRUST is set")},
	{"LAB012", "`cannot be written`, `where nothing can be written`", "a folder of the lab, or for temporary files, is somebody else's",
		"sudo rm -rf .cache (all of it is made again); TMPDIR must be a folder of yours", readme,
		saying("files of your own in .cache and TMPDIR", "cannot be written", "where nothing can be written")},
	{"LAB013", "`has the line endings of Windows`", "an editor saved a file of the lab with CRLF",
		"git checkout of that file, or have your editor save it with LF", readme,
		saying("lines that end with LF", "has the line endings of Windows")},
	{"LAB014", "`is in use: its containers were started from`, `exists and was not created by this lab`", "another folder has a lab, or something else, of this name",
		"COMPOSE_PROJECT_NAME=another-name for each command", readme,
		saying("a name that only this folder uses", "is in use: its containers were started from", "exists and was not created by this lab")},
	{"LAB015", "`which is not a valid name of a Compose project`", "COMPOSE_PROJECT_NAME has capitals, spaces or the like",
		"small letters, digits, - and _", readme,
		saying("a name such as my-lab", "which is not a valid name of a Compose project")},
	{"LAB016", "`docker compose could not be built`, `or newer was not found, and`", "there is no Compose that is new enough, and none can be built",
		"install the plugin: https://docs.docker.com/compose/install/", readme,
		saying("docker compose 2.20 or newer, or Go to build it", "docker compose could not be built", "or newer was not found, and")},

	{"LAB021", "`the C compiler`", "SPIRE's server contains SQLite, which is C, and there is no compiler for it",
		"apt-get install gcc libc6-dev; elsewhere set CC", readme,
		saying("a C compiler for Linux", "the C compiler")},
	{"LAB022", "`could not be built`", "an image of the lab cannot be made",
		"the lines above it in what make up printed say why", readme,
		saying("every image is built", "could not be built")},
	{"LAB023", "`cannot be pulled`", "the registry is blocked here, and there is no Go to build the images with",
		"let the engine reach the registry; or install Go 1.26; or bring the images with docker load", readme,
		func(l *lab) *evidence {
			// With Go they are built instead, and that the registry is blocked does not matter.
			line := l.said("cannot be pulled")
			if line == "" || l.said("building every image from Go modules instead") != "" {
				return nil
			}
			return &evidence{seen: line, expected: "SPIRE's official images, or Go"}
		}},
	{"LAB024", "`there is no image spiffe-lab/`", "no lab has been built on this machine yet, or its images were removed",
		"make up", readme,
		func(l *lab) *evidence {
			if !l.Section("images").OK() {
				return nil
			}
			for _, image := range []string{"workload", "spire-server", "bootstrap", "spire-agent"} {
				name := "spiffe-lab/" + image + ":" + l.Host.LabTag
				service := image
				if image == "workload" {
					service = "node"
				}
				if l.Images[name] == "" && l.Service(service) == nil {
					return &evidence{seen: "there is no image " + name, expected: "the four images of the lab"}
				}
			}
			return nil
		}},
	{"LAB025", "`the lab did not start`", "Compose could not start the lab, and has left nothing of it",
		"what it says is about this machine, not about SPIRE; then make up", readme,
		func(l *lab) *evidence {
			if l.Start == nil || l.present() || !l.Section("containers").OK() {
				return nil
			}
			seen := l.Start.What
			if len(l.Start.Output) > 0 {
				seen = l.Start.Output[len(l.Start.Output)-1]
			}
			return &evidence{seen: seen, expected: "containers for " + strings.Join(services, ", ")}
		}},
	{"LAB026", "`Compose cannot read compose.yaml`", "compose.yaml was edited, and is not right",
		"the message names the line or the key: git diff compose.yaml", readme,
		saying("what docker compose config takes", "Compose cannot read compose.yaml")},
}

// present tells whether there is any container of the lab.
func (l *lab) present() bool {
	return slices.ContainsFunc(services, func(name string) bool { return l.Service(name) != nil })
}

func older(version string, major, minor int) bool {
	a, b, _ := strings.Cut(version, ".")
	m, errA := strconv.Atoi(a)
	n, errB := strconv.Atoi(b)
	return errA == nil && errB == nil && (m < major || m == major && n < minor)
}
