// Package report gathers everything that is known about a lab, for the doctor, the grader, the console and the file for a trainer. It does
// not judge these facts. A report has no private key, token, password or home folder.
package report

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// Patience is the default time limit for all answers together.
const Patience = 2400 * time.Millisecond

// prompt is the time within which an engine answers if it is not busy.
const prompt = 400 * time.Millisecond

// logLines is the number of lines that are read from each log.
const logLines = "80"

// Options say what to ask, and how long to wait for the answers.
type Options struct {
	Patience  time.Duration                 // the limit for all answers together; 0 is Patience
	Live      bool                          // ask only what changes while a lab runs, and do not let an observer send a request
	Preflight func(context.Context) []error // asks what would stop a start; may be nil
	Start     *facts.Problem                // why the last start failed; may be nil
	Cut       string                        // a description of a scenario that was interrupted
}

// Gather asks docker, SPIRE and the observers at the same time. It returns when all answers have arrived, or shortly after the time limit
// o.Patience. If an answer is missing, the report has the reason.
func Gather(ctx context.Context, e *engine.Engine, o Options) *facts.Facts {
	o.Patience = cmp.Or(o.Patience, Patience)
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	g := &gatherer{Engine: e, ctx: ctx, patience: o.Patience, live: o.Live}
	preflight := make(chan []error, 1)
	go func() {
		if o.Preflight == nil {
			preflight <- nil
			return
		}
		preflight <- o.Preflight(ctx)
	}()

	if !o.Live {
		g.json("engine", readVersion, "version", "--format", "{{json .}}")
		g.json("clock", readInfo, "info", "--format", "{{json .}}")
		g.lines("images", "image", "ls", "--no-trunc", "--filter", "reference=*"+lab.ImagePrefix+"*:"+e.Setting("LAB_TAG"), "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.CreatedSince}}")
		g.lines("networks", "network", "ls", "--format", `{{.Name}} {{.Driver}} {{.Label "com.docker.compose.project"}}`)
	}
	ids, why := g.containerIDs()
	calm := time.Since(began) < prompt && idle()
	containers := g.containers(ids, why)
	g.askSPIRE(containers)
	g.askObservers(containers)
	if !o.Live {
		g.askFiles(containers)
		g.askLogs(containers)
	}
	for _, one := range g.asked {
		<-one.done
	}

	host := facts.Host{
		Time: began.UTC().Truncate(time.Second), Project: e.Project, LabTag: e.Setting("LAB_TAG"), Patience: o.Patience, Calm: calm, Cut: o.Cut,
		System: runtime.GOOS + "/" + runtime.GOARCH, SPIREVersion: e.Setting("SPIRE_VERSION"), Override: e.Override(), Variables: steering(os.Environ()),
	}
	var problems []facts.Problem
	select {
	case found := <-preflight:
		problems = Problems(found)
	case <-ctx.Done():
	}
	sections := make([]*facts.Section, len(g.asked))
	for i, one := range g.asked {
		sections[i] = one.Section
	}
	home, _ := os.UserHomeDir()
	return facts.New(places{home: home, lab: e.Dir}.redacted(host, problems, o.Start, sections))
}

// Problems returns errors of the lab's commands as facts.
func Problems(all []error) []facts.Problem {
	var problems []facts.Problem
	for _, err := range all {
		problems = append(problems, ProblemOf(err))
	}
	return problems
}

// ProblemOf returns an error of a lab's command as a fact.
func ProblemOf(err error) facts.Problem {
	problem := facts.Problem{What: err.Error()}
	var known *engine.Problem
	if errors.As(err, &known) {
		problem.Code, problem.Remedy = known.Code, known.Remedy
	}
	return problem
}

type question struct {
	*facts.Section
	done chan struct{} // closed when there is an answer, or none in time
}

type gatherer struct {
	*engine.Engine
	ctx      context.Context
	patience time.Duration
	live     bool
	asked    []*question
}

// ask asks docker. The function read turns docker's output into the answer. If read returns an error, the output is not an answer.
func (g *gatherer) ask(name string, read func(s *facts.Section, out []byte) error, args ...string) *question {
	q := &question{&facts.Section{Question: name, Command: shown(args)}, make(chan struct{})}
	g.asked = append(g.asked, q)
	go func() {
		defer close(q.done)
		var out, errOut bytes.Buffer
		cmd := g.Docker(g.ctx, args...)
		cmd.Stdout, cmd.Stderr = &out, &errOut
		if args[0] == "logs" { // both outputs are the log, in their order
			cmd.Stderr = &out
		}
		cmd.Cancel = func() error { return cmd.Process.Kill() }
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		q.answer(g, args[0], err, out.Bytes(), errOut.String(), read)
	}()
	return q
}

func (q *question) answer(g *gatherer, verb string, err error, out []byte, errOut string, read func(*facts.Section, []byte) error) {
	q.Errors = split(errOut)
	var exit *exec.ExitError
	switch failure := engine.Failure(err, errOut, verb == "exec"); {
	case g.ctx.Err() != nil && err != nil:
		q.Status = fmt.Sprintf("no answer within %g s", g.patience.Seconds())
		if g.ctx.Err() == context.Canceled {
			q.Status = "not asked: interrupted"
		}
	case errors.Is(err, exec.ErrNotFound):
		q.Status, q.Errors = "127", []string{"the docker command was not found"}
	case failure != "":
		q.Status = facts.CannotTell + "docker " + verb + " failed: " + failure
	case errors.As(err, &exit):
		q.Status = strconv.Itoa(exit.ExitCode())
	default:
		q.Status = "0"
	}
	if err := read(q.Section, out); err != nil && q.OK() {
		q.Status = facts.CannotTell + "docker " + verb + " failed: " + err.Error()
	}
}

// skip notes a question that cannot be asked.
func (g *gatherer) skip(name, why string) *question {
	q := &question{&facts.Section{Question: name, Status: "not asked: " + why}, make(chan struct{})}
	close(q.done)
	g.asked = append(g.asked, q)
	return q
}

func (g *gatherer) lines(name string, args ...string) *question { return g.ask(name, asLines, args...) }

func asLines(s *facts.Section, out []byte) error {
	s.Lines = split(string(out))
	return nil
}

// json asks docker for an answer in JSON. The function read returns a value with only the necessary fields of this answer.
func (g *gatherer) json(name string, read func([]byte) (any, error), args ...string) *question {
	return g.ask(name, func(s *facts.Section, out []byte) error {
		value, err := read(out)
		if err == nil {
			s.JSON, err = json.Marshal(value)
		}
		if err != nil {
			return fmt.Errorf("its answer cannot be read: %w", err)
		}
		return nil
	}, args...)
}

// raw returns the JSON without insignificant whitespace. It returns an error if the JSON is empty or invalid.
func raw(out []byte) (any, error) {
	if len(bytes.TrimSpace(out)) == 0 {
		return nil, errors.New("it is empty")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, out); err != nil {
		return nil, err
	}
	return json.RawMessage(compact.Bytes()), nil
}

func split(text string) []string {
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n \t")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// shown returns a command without the parts that only a program needs.
func shown(args []string) string {
	if args[0] == "inspect" {
		args = args[:1]
	}
	return "docker " + strings.Join(args, " ")
}

func readVersion(out []byte) (any, error) {
	var said struct {
		Client struct{ Version string }
		Server *struct{ Version, APIVersion, Os, Arch string }
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, err
	}
	if said.Server == nil || said.Server.APIVersion == "" {
		return nil, errors.New("it has no version of the engine")
	}
	return facts.EngineVersion{Client: said.Client.Version, Server: said.Server.Version, API: said.Server.APIVersion, OS: said.Server.Os, Arch: said.Server.Arch}, nil
}

func readInfo(out []byte) (any, error) {
	var said struct {
		SystemTime      time.Time
		NCPU            int
		MemTotal        int64
		OperatingSystem string
		Driver          string
		CgroupVersion   string
		ServerErrors    []string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, err
	}
	if len(said.ServerErrors) > 0 {
		return nil, errors.New(said.ServerErrors[0])
	}
	return facts.EngineInfo{Time: said.SystemTime, Processors: said.NCPU, Memory: said.MemTotal, System: said.OperatingSystem, Driver: said.Driver, Cgroup: said.CgroupVersion}, nil
}

// containerIDs returns the IDs of the lab's containers. It adds the containers of other projects on the lab's networks, because one of them
// may have the name of a service. If docker gave no list, the result why has the reason.
func (g *gatherer) containerIDs() (ids []string, why string) {
	q := g.ask("ids", asLines, "ps", "--all", "--no-trunc", "--format", `{"ID":{{json .ID}},"Project":{{json (.Label "com.docker.compose.project")}},"Networks":{{json .Networks}}}`)
	<-q.done
	g.asked = slices.DeleteFunc(g.asked, func(other *question) bool { return other == q })
	if !q.OK() {
		return nil, cmp.Or(strings.TrimPrefix(q.Status, facts.CannotTell), "the engine did not list them")
	}
	for _, line := range q.Lines {
		var row struct{ ID, Project, Networks string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return nil, "docker ps gave an answer that is not JSON"
		}
		if row.Project == g.Project || strings.Contains(","+row.Networks, ","+g.Project+"_") {
			ids = append(ids, row.ID)
		}
	}
	return ids, ""
}

// containers inspects the containers, and returns those of the lab's services.
func (g *gatherer) containers(ids []string, why string) map[string]*facts.Container {
	if why != "" {
		q := g.skip("containers", "the engine did not list them ("+why+")")
		if strings.HasPrefix(why, "no answer") {
			q.Status = why
		} else if strings.Contains(why, " failed: ") {
			q.Status = facts.CannotTell + why
		}
		return nil
	}
	if len(ids) == 0 {
		q := g.skip("containers", "")
		q.Status, q.JSON = "0", json.RawMessage("[]")
		return map[string]*facts.Container{}
	}
	all := map[string]*facts.Container{}
	q := g.ask("containers", func(s *facts.Section, out []byte) error {
		list, err := readContainers(out)
		if err != nil {
			return err
		}
		if s.Status == "1" && len(list) > 0 { // a container was removed after the list was made
			s.Status, s.Errors = "0", nil
		}
		for _, c := range list {
			if c.Project == g.Project && c.OneOff == "False" {
				all[c.Service] = &c
			}
		}
		s.JSON, err = json.Marshal(list)
		return err
	}, append([]string{"inspect", "--type", "container"}, ids...)...)
	<-q.done
	if !q.OK() {
		return nil
	}
	return all
}

// in runs a command in the container of a service. It skips the command if the container does not run or is paused, because a paused
// container would not answer.
func (g *gatherer) in(all map[string]*facts.Container, name, service, user string, words ...string) *question {
	c := all[service]
	switch {
	case all == nil:
		return g.skip(name, "the engine did not list the lab's containers")
	case c == nil:
		return g.skip(name, service+" is missing")
	case c.Status != "running":
		return g.skip(name, service+" is "+c.Status)
	}
	args := []string{"exec"}
	if user != "" {
		args = append(args, "--user", user)
	}
	return g.json(name, raw, append(append(args, c.Name), words...)...)
}

func (g *gatherer) askSPIRE(all map[string]*facts.Container) {
	for _, one := range []struct{ name, words string }{
		{"entries", "entry show"}, {"agents", "agent list"}, {"bundle", "bundle show"}, {"bundles", "bundle list"}, {"authorities", "localauthority x509 show"},
	} {
		if g.live && strings.HasPrefix(one.name, "bundle") {
			continue
		}
		g.in(all, one.name, lab.SPIREServer, "", append([]string{lab.SPIREServerCLI}, strings.Fields(one.words+" -output json")...)...)
	}
}

// askObservers runs an observer for each user of the host. An observer runs in the container of its user's program, the client or the
// server. If this container does not run, the observer runs in the container of the other program.
func (g *gatherer) askObservers(all map[string]*facts.Container) {
	limit := fmt.Sprintf("%.1fs", g.patience.Seconds()*0.6)
	running := func(service string) bool { return all[service] != nil && all[service].Status == "running" }
	for _, one := range []struct{ user, service, other string }{
		{lab.ClientUser, lab.Client, lab.Server}, {lab.ServerUser, lab.Server, lab.Client}, {lab.GuestUser, lab.Client, lab.Server},
	} {
		words := []string{"observer", "-limit", limit}
		if g.live {
			if one.user == lab.GuestUser {
				continue
			}
			// This observer only reads the program's health. With the program's command line as arguments, it would also send requests.
			if c := all[one.service]; c != nil && c.Flag("health") != "" {
				words = append(words, "health", "-health", c.Flag("health"))
			}
			g.in(all, "observer-"+one.user, one.service, one.user, words...)
			continue
		}
		if c := all[one.service]; c != nil && one.user != lab.GuestUser {
			words = append(words, c.Command...)
		}
		service := one.service
		if !running(service) && running(one.other) {
			service = one.other
		}
		g.in(all, "observer-"+one.user, service, one.user, words...)
	}
}

// copied asks for a file or folder of a container, even if the container does not run.
func (g *gatherer) copied(all map[string]*facts.Container, name, service, path string, read func(*tar.Reader, *facts.Section) error) {
	switch {
	case all == nil:
		g.skip(name, "the engine did not list the lab's containers")
	case all[service] == nil:
		g.skip(name, service+" is missing")
	default:
		g.ask(name, func(s *facts.Section, out []byte) error { return read(tar.NewReader(bytes.NewReader(out)), s) }, "cp", all[service].Name+":"+path, "-")
	}
}

func (g *gatherer) askFiles(all map[string]*facts.Container) {
	g.copied(all, "file-server.conf", lab.SPIREServer, "/etc/spire/server/server.conf", content)
	g.copied(all, "file-agent.conf", lab.SPIREAgent, "/etc/spire/agent/agent.conf", content)
	g.copied(all, "file-passwd", lab.SPIREAgent, "/etc/passwd", content)
	holder := lab.SPIREAgent // both containers mount the host's credential
	if all[holder] == nil {
		holder = lab.Bootstrap
	}
	g.copied(all, "file-bundle.pem", holder, "/run/host-credential/bundle.pem", content)
	g.copied(all, "credential", holder, "/run/host-credential", names)
}

// content reads the content of the file in an archive.
func content(archive *tar.Reader, s *facts.Section) error {
	for {
		header, err := archive.Next()
		if err != nil {
			return noArchive(err)
		}
		if header.Typeflag == tar.TypeReg {
			text, err := io.ReadAll(io.LimitReader(archive, 1<<20))
			s.Lines = split(string(text))
			return err
		}
	}
}

// names reads the names, modes and owners of the files in an archive, but not their contents.
func names(archive *tar.Reader, s *facts.Section) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return noArchive(err)
		}
		if header.Typeflag == tar.TypeReg {
			s.Lines = append(s.Lines, fmt.Sprintf("%s %04o %d:%d %d bytes", path.Base(header.Name), header.Mode, header.Uid, header.Gid, header.Size))
		}
	}
}

func noArchive(err error) error { return fmt.Errorf("it gave no archive with a file: %w", err) }

// askLogs comes last, because the logs may say why an observer was refused. It does not wait long for the observers, because an observer
// may get no answer.
func (g *gatherer) askLogs(all map[string]*facts.Container) {
	enough := time.After(g.patience * 2 / 5)
	for _, q := range g.asked {
		if q.Question != "observer-"+lab.ClientUser && q.Question != "observer-"+lab.ServerUser {
			continue
		}
		select {
		case <-q.done:
		case <-enough:
		}
	}
	for _, service := range lab.Services {
		name := "log-" + service
		switch {
		case service == lab.Node: // it logs nothing
		case all == nil:
			g.skip(name, "the engine did not list the lab's containers")
		case all[service] == nil:
			g.skip(name, service+" is missing")
		default:
			g.lines(name, "logs", "--timestamps", "--tail", logLines, all[service].Name)
		}
	}
}

// steering returns the names of the variables that steer docker, Compose and the lab. It leaves out the values of these variables, because
// a value may be private.
func steering(environ []string) []string {
	var names []string
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		upper := strings.ToUpper(name)
		for _, prefix := range []string{"DOCKER", "COMPOSE", "BUILDKIT", "BUILDX", "SPIFFE", "SPIRE", "LAB", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "AGENT_TTL", "GO_IMAGE", "GOFLAGS", "GOPROXY"} {
			if strings.HasPrefix(upper, prefix) {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// idle reports whether the number of running processes is at most the number of processors. If the machine does not show these numbers, it
// counts as busy.
func idle() bool {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	return err == nil && load <= float64(runtime.NumCPU())
}
