// Package engine runs the programs docker and docker compose, so that contexts, DOCKER_HOST and credential helpers work as they do for a
// person who types the commands. It reads their answers as JSON.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// patience is how long an engine may take for an answer. An engine that hangs would never answer.
const patience = 10 * time.Second

// The oldest Docker API and Compose that the lab works with: Docker Engine 20.10 and Podman 4 have this API.
const (
	minimumAPI     = "1.41"
	MinimumCompose = "2.20"
)

// Engine is a container engine with one lab on it.
type Engine struct {
	Dir     string // the lab's folder
	Project string // the Compose project of this lab
	Folder  string // the folder from which Compose reads compose.yaml: Dir, or the lab's own folder

	Overridden []string // a sentence for each version that the environment sets to something other than .env

	Arch   string // the engine's architecture, as Go names it; known after Connect
	Podman string // the version of Podman if that is the engine; known after Connect

	settings map[string]string // the variables in .env
	environ  []string          // the environment of docker and docker compose
	compose  string            // the program of Compose; set by Connect
}

// New reads the lab's settings from its folder and from the environment. It does not ask the engine.
func New(dir string) (*Engine, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	e := &Engine{Dir: dir, Project: lab.Project}
	if e.settings, err = readSettings(filepath.Join(dir, ".env"), os.Getenv); err != nil {
		return nil, err
	}
	if e.Overridden, err = override(e.settings, os.Getenv); err != nil {
		return nil, err
	}
	e.environ = environment(os.Environ(), e.settings)
	if name := os.Getenv("COMPOSE_PROJECT_NAME"); name != "" {
		e.Project = name
	}
	e.Folder = folderOf(e.Dir, e.Project)
	return e, nil
}

// ForProject returns the engine for another lab of the same folder.
func (e *Engine) ForProject(name string) *Engine {
	other := *e
	other.Project = name
	other.Folder = folderOf(e.Dir, name)
	other.environ = append(slices.Clip(e.environ), "COMPOSE_PROJECT_NAME="+name) // the last value counts
	return &other
}

// Setting returns a value of .env. If the environment has a variable with the same name, Setting returns the value of this variable.
func (e *Engine) Setting(name string) string { return e.settings[name] }

// Image returns the full name of an image of the lab.
func (e *Engine) Image(name string) string {
	return lab.ImagePrefix + name + ":" + e.settings["LAB_TAG"]
}

// Cache returns a path in the folder for built files, and for files that a lab needs between two commands.
func (e *Engine) Cache(name ...string) string {
	return filepath.Join(append([]string{e.Dir, ".cache"}, name...)...)
}

// Command prepares the start of a program in the lab's folder and with the lab's environment. The parameter extra has further variables, as
// NAME=VALUE. When ctx ends, the program is interrupted as by Ctrl-C. It is killed 3 s later.
func (e *Engine) Command(ctx context.Context, extra []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = e.Dir
	cmd.Env = append(append([]string(nil), e.environ...), extra...)
	if runtime.GOOS != "windows" { // Windows has no signal for it
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	}
	cmd.WaitDelay = 3 * time.Second
	return cmd
}

// Docker prepares a docker command.
func (e *Engine) Docker(ctx context.Context, args ...string) *exec.Cmd {
	return e.Command(ctx, nil, "docker", args...)
}

// Compose prepares a docker compose command for this lab. Connect must have succeeded.
func (e *Engine) Compose(ctx context.Context, extra []string, args ...string) *exec.Cmd {
	return e.Command(ctx, extra, e.compose, append([]string{"--project-directory", e.Folder}, args...)...)
}

// Ask returns the standard output of a docker command. Its error has the last line of the standard error.
func (e *Engine) Ask(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := e.Docker(ctx, args...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", &Problem{lab.NoDocker, "the docker command was not found", "install Docker Engine 20.10 or newer, or Docker Desktop: https://docs.docker.com/get-docker/"}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", &Problem{lab.NoEngine, fmt.Sprintf("no Docker Engine answers: docker %s waited for %d s", args[0], int(patience.Seconds())), "restart Docker Desktop or the docker service; docker " + args[0] + " must work (" + endpoint() + ")"}
	case Failure(err, errOut.String(), args[0] == "exec") != "":
		return "", cannotTell(args[0], Failure(err, errOut.String(), args[0] == "exec"))
	case err != nil:
		said := LastLine(errOut.String())
		if said == "" {
			said = err.Error()
		}
		return string(out), fmt.Errorf("docker %s: %s", args[0], said)
	}
	return string(out), nil
}

// Reason returns the last line of a failed command's standard error, if there is one, else err.
func Reason(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if said := LastLine(string(exit.Stderr)); said != "" {
			return errors.New(said)
		}
	}
	return err
}

// cannotTell is the problem that a docker command failed before it could answer, so that the state of the engine is not known.
func cannotTell(verb, failure string) *Problem {
	return &Problem{What: "cannot tell: docker " + verb + " failed: " + failure,
		Remedy: "docker " + verb + " must work when you type it. A limit on processes (ulimit -u) or on memory may stop the command"}
}

// LastLine returns the last non-empty line of a text.
func LastLine(text string) string {
	text = strings.TrimRight(text, "\r\n \t")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// endpoint describes the variables that select the engine.
func endpoint() string {
	said := func(name string) string {
		if value := os.Getenv(name); value != "" {
			return name + " is " + value
		}
		return name + " is not set"
	}
	return said("DOCKER_HOST") + ", " + said("DOCKER_CONTEXT")
}

// Connect checks that the engine answers and that the lab works with it, and finds Compose.
func (e *Engine) Connect(ctx context.Context) error {
	if e.Arch != "" {
		return nil
	}
	var version, info string
	var versionErr, infoErr error
	var wait sync.WaitGroup
	wait.Go(func() { version, versionErr = e.Ask(ctx, "version", "--format", "{{json .}}") })
	wait.Go(func() { info, infoErr = e.Ask(ctx, "info", "--format", "{{json .}}") })
	wait.Wait()
	if versionErr != nil {
		return e.noEngine(ctx, versionErr)
	}
	if err := e.readVersion(version); err != nil {
		return err
	}
	if infoErr != nil {
		return infoErr
	}
	return e.findCompose(info)
}

func (e *Engine) noEngine(ctx context.Context, err error) error {
	var problem *Problem
	known := errors.As(err, &problem)
	if known && problem.Code != "" {
		return problem
	}
	if said, err := e.Ask(ctx, "--version"); err == nil && strings.Contains(strings.ToLower(said), "podman") {
		return &Problem{lab.PodmanCommand, "the docker command is Podman's own", "install Docker's command, start Podman's service, and set DOCKER_HOST to its socket"}
	}
	if known {
		return problem
	}
	said := strings.TrimPrefix(err.Error(), "docker version: ")
	if strings.Contains(said, "ermission denied") {
		return &Problem{lab.NoAccess, "your user may not use the Docker Engine: " + said,
			"add your user to the group docker (sudo usermod -aG docker $USER), then log out and in again. Members of that group have the rights of root on this machine"}
	}
	return &Problem{lab.NoEngine, "no Docker Engine answers: " + said, "start Docker Desktop or the docker service; \"docker info\" must work (" + endpoint() + ")"}
}

func (e *Engine) readVersion(said string) error {
	var answer struct {
		Server struct {
			APIVersion, Version, Os, Arch string
			Components                    []struct{ Name string }
		}
	}
	if err := json.Unmarshal([]byte(said), &answer); err != nil {
		return cannotTell("version", "its answer is not JSON: "+err.Error())
	}
	server := answer.Server
	if server.APIVersion == "" {
		return cannotTell("version", "its answer has no version of the engine")
	}
	if server.Os == "windows" {
		return &Problem{lab.WindowsContainers, "the Docker Engine runs Windows containers, and the lab needs Linux containers", "select \"Switch to Linux containers\" in Docker Desktop's menu"}
	}
	name := "Docker Engine"
	for _, component := range server.Components {
		if strings.Contains(component.Name, "Podman") {
			name, e.Podman = "Podman", server.Version
			// Podman 4 does not resolve the names of the lab for a container that has its own DNS server.
			e.environ = append(e.environ, "LAB_DNS=")
		}
	}
	if !AtLeast(server.APIVersion, minimumAPI) {
		return &Problem{lab.OldEngine, fmt.Sprintf("%s %s is too old: it has version %s of Docker's API", name, server.Version, server.APIVersion),
			"the lab needs version " + minimumAPI + ", which Docker Engine 20.10 and Podman 4 have"}
	}
	e.Arch = server.Arch
	return nil
}

// findCompose selects Docker's Compose plugin if it is new enough, and otherwise the Compose that the lab has built. The plugin is called
// directly, which takes half as long as a call through docker.
func (e *Engine) findCompose(said string) error {
	var info struct {
		ClientInfo struct {
			Plugins []struct{ Name, Version, Path string }
		}
	}
	if err := json.Unmarshal([]byte(said), &info); err != nil {
		return cannotTell("info", "its answer is not JSON: "+err.Error())
	}
	e.compose = e.OwnCompose()
	for _, plugin := range info.ClientInfo.Plugins {
		if _, err := os.Stat(plugin.Path); plugin.Name == "compose" && AtLeast(plugin.Version, MinimumCompose) && err == nil {
			e.compose = plugin.Path
		}
	}
	return nil
}

// OwnCompose returns the path for the Compose that the lab builds. The file may not exist.
func (e *Engine) OwnCompose() string {
	name := "docker-compose"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return e.Cache("bin", name)
}

// ComposeProgram returns the program that is run as docker compose. Connect sets it.
func (e *Engine) ComposeProgram() string { return e.compose }

// HasCompose reports whether Compose can be run. It tries to run a Compose that the lab has built, because the build may have been
// interrupted.
func (e *Engine) HasCompose(ctx context.Context) bool {
	if e.UsesOwnCompose() {
		return e.Command(ctx, nil, e.compose, "version").Run() == nil
	}
	return true
}

var versionNumber = regexp.MustCompile(`^v?(\d+)\.(\d+)`)

// AtLeast reports whether a version is not older than a minimum. It compares only the first two numbers of each version. A text that is not
// a version counts as too old.
func AtLeast(version, minimum string) bool {
	have, want := versionNumber.FindStringSubmatch(version), versionNumber.FindStringSubmatch(minimum)
	if have == nil || want == nil {
		return false
	}
	number := func(text string) int { n, _ := strconv.Atoi(text); return n }
	if number(have[1]) != number(want[1]) {
		return number(have[1]) > number(want[1])
	}
	return number(have[2]) >= number(want[2])
}

// Now returns the time of the engine's clock, which also sets the times in the logs. The learner's clock may differ.
func (e *Engine) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	said, err := e.Ask(ctx, "info", "--format", "{{json .SystemTime}}")
	if err != nil {
		return now, err
	}
	return now, json.Unmarshal([]byte(said), &now)
}

// HasImage reports whether the engine has an image.
func (e *Engine) HasImage(ctx context.Context, image string) bool {
	_, err := e.Ask(ctx, "image", "inspect", "--format", "{{.Id}}", image)
	return err == nil
}

// Exec runs a program in the container of a service, as a user, or as the container's user if user is empty. It does the same as `docker
// compose exec` at a quarter of the cost. The lab uses Exec for conditions that are checked often. Exec stops after a minute, because
// docker may never return if the container has been restarted.
func (e *Engine) Exec(ctx context.Context, out, errOut io.Writer, service, user string, args ...string) error {
	container, err := e.Container(ctx, service)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := e.Docker(ctx, append([]string{"exec", "--user", user, container.ID}, args...)...)
	cmd.Stdout, cmd.Stderr = out, errOut
	return cmd.Run()
}

// ClientServed returns nil if the latest request of the running client was served, else the reason why not.
func (e *Engine) ClientServed(ctx context.Context) error {
	var said bytes.Buffer
	err := e.Exec(ctx, &said, &said, lab.Client, lab.ClientUser, "probe", lab.HealthURL)
	if err != nil && said.Len() > 0 {
		return errors.New(LastLine(said.String()))
	}
	return err
}

// UsesOwnCompose reports whether Compose is the one that the lab has built.
func (e *Engine) UsesOwnCompose() bool { return e.compose == e.OwnCompose() }
