package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// Compose's labels, which mark the containers of a lab.
const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	oneoffLabel  = "com.docker.compose.oneoff" // "True" for a container of `docker compose run`
	folderLabel  = "com.docker.compose.project.working_dir"
)

// Container is a container of the lab, as `docker ps` shows it.
type Container struct {
	ID, Name, Service string
	State             string // running, exited, paused, restarting ...
	Status            string // for people: "Up 3 seconds (healthy)"
}

// Runs reports whether the processes of the container exist, even if they are paused.
func (c Container) Runs() bool { return c.State == "running" || c.State == "paused" }

// psRow is a line of `docker ps` in the format psFormat. Docker's JSON format has all labels in one text, separated by commas, and a
// label may have commas too.
type psRow struct{ ID, Name, State, Status, Project, Service, Folder string }

const psFormat = `{"ID":{{json .ID}},"Name":{{json .Names}},"State":{{json .State}},"Status":{{json .Status}},"Project":{{json (.Label "` + projectLabel +
	`")}},"Service":{{json (.Label "` + serviceLabel + `")}},"Folder":{{json (.Label "` + folderLabel + `")}}}`

func (e *Engine) ps(ctx context.Context, filters ...string) ([]psRow, error) {
	args := []string{"ps", "--all", "--no-trunc", "--format", psFormat}
	for _, filter := range filters {
		args = append(args, "--filter", filter)
	}
	said, err := e.Ask(ctx, args...)
	if err != nil {
		return nil, err
	}
	return jsonLines[psRow](said)
}

func jsonLines[T any](said string) ([]T, error) {
	var all []T
	for line := range strings.Lines(said) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var one T
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			return nil, fmt.Errorf("docker gave a line that is not JSON: %w", err)
		}
		all = append(all, one)
	}
	return all, nil
}

// Containers returns the lab's containers, running or not, sorted by service, without those of `docker compose run`.
func (e *Engine) Containers(ctx context.Context) ([]Container, error) {
	rows, err := e.ps(ctx, "label="+projectLabel+"="+e.Project, "label="+oneoffLabel+"=False")
	if err != nil {
		return nil, err
	}
	var all []Container
	for _, row := range rows {
		all = append(all, Container{ID: row.ID, Name: row.Name, Service: row.Service, State: row.State, Status: row.Status})
	}
	slices.SortFunc(all, func(a, b Container) int { return strings.Compare(a.Service, b.Service) })
	return all, nil
}

// ErrNoContainer means that a service has no container.
var ErrNoContainer = errors.New("there is no container")

// Container returns the container of a service, running or not.
func (e *Engine) Container(ctx context.Context, service string) (Container, error) {
	all, err := e.Containers(ctx)
	if err != nil {
		return Container{}, err
	}
	for _, container := range all {
		if container.Service == service {
			return container, nil
		}
	}
	return Container{}, fmt.Errorf("%w of %s", ErrNoContainer, service)
}

// Whole reports whether all services of compose.yaml that keep running have a running container.
func (e *Engine) Whole(ctx context.Context) (bool, error) {
	all, err := e.Containers(ctx)
	if err != nil {
		return false, err
	}
	for _, service := range lab.Services {
		if lab.Lasts(service) && !slices.ContainsFunc(all, func(c Container) bool { return c.Service == service && c.Runs() }) {
			return false, nil
		}
	}
	return true, nil
}

// Inspection is the answer of `docker inspect` for a container.
type Inspection struct {
	Image string // the image's ID
	State struct {
		Status    string
		ExitCode  int
		Pid       int
		StartedAt string
	}
	RestartCount    int
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

// Inspect returns the engine's facts about a service's container.
func (e *Engine) Inspect(ctx context.Context, service string) (*Inspection, error) {
	container, err := e.Container(ctx, service)
	if err != nil {
		return nil, err
	}
	said, err := e.Ask(ctx, "inspect", container.ID)
	if err != nil {
		return nil, err
	}
	var all []*Inspection
	if err := json.Unmarshal([]byte(said), &all); err != nil {
		return nil, fmt.Errorf("docker inspect gave an answer that is not JSON: %w", err)
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("docker inspect answered for %d containers, not one", len(all))
	}
	return all[0], nil
}

// Process identifies the process of a container. Its fields change when the engine starts a new process in the container.
type Process struct {
	Service   string
	PID       int // as the engine counts it
	StartedAt string
	Restarts  int // restarts by the engine
}

// String is a sentence for the learner.
func (p Process) String() string {
	return fmt.Sprintf("%s is process %d, running since %s, restarted %d times", p.Service, p.PID, p.StartedAt, p.Restarts)
}

// Process returns the process of a service.
func (e *Engine) Process(ctx context.Context, service string) (Process, error) {
	inspection, err := e.Inspect(ctx, service)
	if err != nil {
		return Process{}, err
	}
	return Process{service, inspection.State.Pid, inspection.State.StartedAt, inspection.RestartCount}, nil
}

// Line is one line of a log.
type Line struct {
	Time time.Time // when the engine received it, by its clock
	Text string
}

// Log returns the lines that the container of a service has written to both outputs. It leaves out the lines before since. If since is
// zero, Log returns all lines.
func (e *Engine) Log(ctx context.Context, service string, since time.Time) ([]Line, error) {
	container, err := e.Container(ctx, service)
	if err != nil {
		return nil, err
	}
	args := []string{"logs", "--timestamps"}
	if !since.IsZero() {
		args = append(args, "--since", since.Format(time.RFC3339Nano))
	}
	out, err := e.Docker(ctx, append(args, container.ID)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("docker logs: %s", LastLine(string(out)))
	}
	var lines []Line
	for line := range strings.Lines(string(out)) {
		stamp, text, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return nil, fmt.Errorf("docker logs gave a line without a time: %q", line)
		}
		lines = append(lines, Line{at, text})
	}
	return lines, nil
}

// Volumes returns the names of the volumes with the lab's label.
func (e *Engine) Volumes(ctx context.Context) ([]string, error) {
	said, err := e.Ask(ctx, "volume", "ls", "--quiet", "--filter", "label="+projectLabel+"="+e.Project)
	return strings.Fields(said), err
}

// Networks returns the names of the networks with the lab's label.
func (e *Engine) Networks(ctx context.Context) ([]string, error) {
	said, err := e.Ask(ctx, "network", "ls", "--format", "{{.Name}}", "--filter", "label="+projectLabel+"="+e.Project)
	return strings.Fields(said), err
}

// Folders returns the folders from which containers of this project were started. Each folder is in the result once. If a container has no
// label with its folder, the result has an empty text.
func (e *Engine) Folders(ctx context.Context) ([]string, error) {
	rows, err := e.ps(ctx, "label="+projectLabel+"="+e.Project)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, row := range rows {
		if !slices.Contains(all, row.Folder) {
			all = append(all, row.Folder)
		}
	}
	return all, nil
}

// Others returns the names of objects of one kind, which is container, network or volume. These names begin with the project's name, but
// Compose did not create the objects for this project.
func (e *Engine) Others(ctx context.Context, kind string) ([]string, error) {
	name := "Name"
	args := []string{kind, "ls", "--filter", "name=" + e.Project}
	if kind == "container" {
		name = "Names"
		args = append(args, "--all")
	}
	said, err := e.Ask(ctx, append(args, "--format", `{"Name":{{json .`+name+`}},"Project":{{json (.Label "`+projectLabel+`")}}}`)...)
	if err != nil {
		return nil, err
	}
	rows, err := jsonLines[psRow](said)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, row := range rows {
		if row.Project != e.Project {
			all = append(all, row.Name)
		}
	}
	return all, nil
}
