package cause

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

const (
	readme  = "scripts/START.md"
	outages = "scripts/scenarios/server-outage.md"
)

// The engine, this machine and the images, without which no lab can start.
var machineCauses = []Cause{
	{
		Code:   lab.NoDocker,
		Sees:   "`the docker command was not found`",
		Means:  "there is no docker command on this machine",
		Do:     "install Docker Engine 20.10 or newer, or Docker Desktop: https://docs.docker.com/get-docker/",
		Lesson: readme,
		Needs:  []string{"engine"},
		look:   (*view).noDocker,
	},
	{
		Code:   lab.NoAccess,
		Sees:   "`your user may not use the Docker Engine`",
		Means:  "the engine runs, but your user has no access to its socket",
		Do:     "ask this machine's administrator for access to Docker. \"sudo usermod -aG docker YOU\" gives access at the next login, but the docker group is as powerful as root. Rootless Docker needs no such group: https://docs.docker.com/engine/security/rootless/",
		Lesson: readme,
		Needs:  []string{"engine"},
		look:   (*view).noAccess,
	},
	{
		Code:   lab.NoEngine,
		Sees:   "`no Docker Engine answers`",
		Means:  "the Docker Engine is not running, or the docker command connects to a wrong address",
		Do:     "start Docker Desktop or the docker service, and check DOCKER_HOST and \"docker context ls\". The command \"docker info\" must work",
		Lesson: readme,
		Needs:  []string{"engine"},
		look:   (*view).noEngine,
	},
	{
		Code:   lab.OldEngine,
		Sees:   "`is too old: it has version`",
		Means:  "the engine is older than Docker 20.10 or Podman 4",
		Do:     "update Docker or Podman",
		Lesson: readme,
		Needs:  []string{"engine"},
		look:   (*view).oldEngine,
	},
	{
		Code:     lab.PodmanCommand,
		Sees:     "`the docker command is Podman's own`",
		Means:    "the docker command is an alias of podman",
		Do:       "install Docker's command, start Podman's service, and set DOCKER_HOST to the socket of this service",
		Lesson:   readme,
		Expected: "Docker's own command, or a docker command that speaks to Podman's service",
	},
	{
		Code:     lab.DiskFull,
		Sees:     "`no space left on device`",
		Means:    "the disk of the engine or of this folder is full",
		Do:       "see what uses the space: \"docker system df\". Then free space with \"docker builder prune\" and \"docker image prune\"",
		Lesson:   readme,
		Expected: "space for images of about 500 MB",
	},
	{
		Code:  lab.NoNetworkLeft,
		Sees:  "`all predefined address pools have been fully subnetted`, `could not find an available, non-overlapping IPv4 address pool`",
		Means: "Docker has no address range left for a network, because about 30 networks use all ranges, or because the routes of a VPN overlap the ranges",
		Do: "remove networks that nobody uses: \"docker network ls\" lists all networks, \"docker network prune\" removes unused networks, and \"make down\" removes the network of a lab. Or disconnect the VPN. " +
			"If neither helps, add address ranges to default-address-pools in Docker's daemon.json. The VPN must not use these ranges",
		Lesson:   readme,
		Expected: "a free address range for the lab's network",
	},
	{
		Code:   lab.WindowsContainers,
		Sees:   "`the Docker Engine runs Windows containers`",
		Means:  "Docker Desktop runs Windows containers, and the lab needs Linux containers",
		Do:     "select \"Switch to Linux containers\" in Docker Desktop's menu",
		Lesson: readme,
		Needs:  []string{"engine"},
		look:   (*view).windowsContainers,
	},
	{
		Code:     lab.ContentTrust,
		Sees:     "`DOCKER_CONTENT_TRUST is set`",
		Means:    "Docker accepts only signed images, but the images of the lab are not signed, because they are built on this machine",
		Do:       "unset DOCKER_CONTENT_TRUST for the lab's commands",
		Lesson:   readme,
		Expected: "DOCKER_CONTENT_TRUST unset",
	},
	{
		Code:     lab.NotWritable,
		Sees:     "`cannot be written`, `where nothing can be written`",
		Means:    "your user may not write into a folder that the lab needs",
		Do:       "if a command was run with sudo, run \"sudo chown -R YOU .cache\". Otherwise set TMPDIR to a writable folder",
		Lesson:   readme,
		Expected: "your user may write to .cache and TMPDIR",
	},
	{
		Code:     lab.WindowsLines,
		Sees:     "`has the line endings of Windows`",
		Means:    "an editor saved a file of the lab with CRLF",
		Do:       "restore the file with \"git checkout\", or let your editor save it with LF",
		Lesson:   readme,
		Expected: "lines that end with LF",
	},
	{
		Code:     lab.NameInUse,
		Sees:     "`is in use: its containers were started from`, `exists and was not created by this lab`",
		Means:    "a lab in another folder, or something that this lab did not create, has the name of this lab",
		Do:       "choose a name that no other lab uses, and set COMPOSE_PROJECT_NAME to that name for all commands of this lab",
		Lesson:   readme,
		Expected: "a name that only this folder uses",
	},
	{
		Code:     lab.WrongName,
		Sees:     "`which is not a valid name of a Compose project`",
		Means:    "COMPOSE_PROJECT_NAME has a character that Compose does not accept",
		Do:       "in COMPOSE_PROJECT_NAME use only lower-case letters, digits, - and _",
		Lesson:   readme,
		Expected: "a name such as my-lab",
	},
	{
		Code:     lab.NoCompose,
		Sees:     "`docker compose could not be built`, `or newer was not found, and`",
		Means:    "docker compose is missing or too old, and it cannot be built",
		Do:       "install Docker's Compose plugin: https://docs.docker.com/compose/install/",
		Lesson:   readme,
		Expected: "docker compose 2.20 or newer, or Go to build it",
	},
	{
		Code:     lab.NoCompiler,
		Sees:     "`the C compiler`",
		Means:    "there is no C compiler to build the SPIRE server, which contains the C library SQLite",
		Do:       "on Debian and Ubuntu, run \"apt-get install gcc libc6-dev\". On other systems set CC to a C compiler for Linux",
		Lesson:   readme,
		Expected: "a C compiler for Linux",
	},
	{
		Code:     lab.NotBuilt,
		Sees:     "`could not be built`",
		Means:    "an image of the lab cannot be built",
		Do:       "read the lines that \"make up\" printed above the error",
		Lesson:   readme,
		Expected: "every image is built",
	},
	{
		Code:     lab.NotPulled,
		Sees:     "`cannot be pulled`",
		Means:    "an image cannot be pulled from its registry, and there is no Go to build it with",
		Do:       "give the engine access to the registry, or install Go 1.26, or load the images with \"docker load\"",
		Lesson:   readme,
		Expected: "SPIRE's official images, or Go",
	},
	{
		Code:   lab.NoImage,
		Sees:   "`there is no image spiffe-lab/`",
		Means:  "the images of the lab have not been built on this machine yet, or they were removed",
		Do:     "make up",
		Lesson: readme,
		look:   (*view).noImage,
	},
	{
		Code:   lab.NotStarted,
		Sees:   "`the lab did not start`",
		Means:  "Compose could not start the lab, and the lab has no container",
		Do:     "fix the error that Compose reports. The cause is on this machine, not in SPIRE. Then run: make up",
		Lesson: readme,
		Needs:  []string{"containers"},
		look:   (*view).notStarted,
	},
	{
		Code:     lab.WrongComposeFile,
		Sees:     "`Compose cannot read compose.yaml`",
		Means:    "compose.yaml has an error",
		Do:       "correct the line or the key that Compose's error message names, in " + composeFile + composeDiff,
		Lesson:   readme,
		Expected: "a file that \"docker compose config\" accepts",
	},
}

func (l *view) noDocker() *evidence {
	if s := l.Section("engine"); s.Status == "127" {
		return &evidence{seen: "the docker command was not found", expected: "a docker command in PATH"}
	}
	return nil
}

func (l *view) noAccess() *evidence {
	if s := l.Section("engine"); s.Answered() && strings.Contains(strings.ToLower(strings.Join(s.Errors, " ")), "permission denied") {
		return &evidence{seen: s.Last(), expected: "\"docker version\" prints the engine's version"}
	}
	return nil
}

func (l *view) noEngine() *evidence {
	s := l.Section("engine")
	if s.Answered() && !s.OK() && s.Status != "127" {
		return &evidence{seen: s.Last(), expected: "\"docker version\" prints the engine's version"}
	}
	if l.silent("engine") {
		return &evidence{seen: s.Status, expected: "\"docker version\" prints the engine's version"}
	}
	return nil
}

func (l *view) oldEngine() *evidence {
	if s := l.Section("engine"); s.OK() && older(l.Engine.API, 1, 41) {
		return &evidence{seen: fmt.Sprintf("engine %s speaks version %s of Docker's API", l.Engine.Server, l.Engine.API), expected: "1.41 or newer"}
	}
	return nil
}

func (l *view) windowsContainers() *evidence {
	if l.Engine.OS == "windows" {
		return &evidence{seen: "the engine's containers are for windows/" + l.Engine.Arch, expected: "linux/..."}
	}
	return nil
}

func (l *view) noImage() *evidence {
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
}

func (l *view) notStarted() *evidence {
	if l.Start == nil || l.present() || !l.Section("containers").OK() || l.Start.Code != lab.NotStarted && l.Start.Code != "" {
		return nil
	}
	return &evidence{seen: l.Start.What, expected: "containers for " + strings.Join(lab.Services, ", ")}
}

func (l *view) present() bool {
	return slices.ContainsFunc(lab.Services, func(name string) bool { return l.Service(name) != nil })
}

func older(version string, major, minor int) bool {
	a, b, _ := strings.Cut(version, ".")
	m, errA := strconv.Atoi(a)
	n, errB := strconv.Atoi(b)
	return errA == nil && errB == nil && (m < major || m == major && n < minor)
}
