package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/grade"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// The names of the files that are kept while a fault is open.
const (
	beforeFile = "before"     // the report of the lab before the fault
	brokenFile = "broken"     // the report right after its injection
	askedFile  = "asked"      // when the requests for these reports ended, because the logs have these requests
	stateFile  = "state.json" // the records of the SPIRE server before the fault's setup
)

// known has the names of all records of a SPIRE server. It is kept before a fault is injected. A record that exists after the fault, but is
// not in known, was created during the fault.
type known struct {
	Entries    []string // the IDs of the entries
	Agents     []string // the SPIFFE IDs of the agents
	Banned     []string // the SPIFFE IDs of the banned agents
	Federated  []string // trust domains whose bundles are fetched
	Bundles    []string // trust domains whose bundles the SPIRE server has
	OwnBundle  string
	entryTexts []string // each entry with all its fields
}

// asks runs a command of the SPIRE server's CLI, and decodes the JSON output into the parameter answer.
func (s *session) asks(ctx context.Context, answer any, args ...string) error {
	said, err := s.spire(ctx, lab.SPIREServer, append(args, "-output", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(said), answer); err != nil {
		return fmt.Errorf("spire-server %s gave an answer that is not JSON: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (s *session) knows(ctx context.Context) (known, error) {
	var k known
	var entries struct{ Entries []map[string]any }
	var agents struct {
		Agents []struct {
			ID     facts.ID
			Banned bool
		}
	}
	var federated struct {
		Relationships []struct {
			TrustDomain string `json:"trust_domain"`
		} `json:"federation_relationships"`
	}
	var bundles struct {
		Bundles []struct {
			TrustDomain string `json:"trust_domain"`
		}
	}
	for _, question := range []struct {
		answer any
		args   []string
	}{{&entries, []string{"entry", "show"}}, {&agents, []string{"agent", "list"}}, {&federated, []string{"federation", "list"}}, {&bundles, []string{"bundle", "list"}}} {
		if err := s.asks(ctx, question.answer, question.args...); err != nil {
			return k, err
		}
	}
	for _, entry := range entries.Entries {
		id, _ := entry["id"].(string)
		k.Entries = append(k.Entries, id)
		delete(entry, "revision_number")
		delete(entry, "created_at")
		text, err := json.Marshal(entry)
		if err != nil {
			return k, err
		}
		k.entryTexts = append(k.entryTexts, string(text))
	}
	for _, agent := range agents.Agents {
		k.Agents = append(k.Agents, agent.ID.String())
		if agent.Banned {
			k.Banned = append(k.Banned, agent.ID.String())
		}
	}
	for _, one := range federated.Relationships {
		k.Federated = append(k.Federated, one.TrustDomain)
	}
	for _, one := range bundles.Bundles {
		k.Bundles = append(k.Bundles, one.TrustDomain)
	}
	for _, list := range [][]string{k.Entries, k.Agents, k.Banned, k.Federated, k.Bundles, k.entryTexts} {
		slices.Sort(list)
	}
	var err error
	k.OwnBundle, err = s.spire(ctx, lab.SPIREServer, "bundle", "show")
	return k, err
}

// before returns the names of the records that the SPIRE server had before the setup of the fault. The result ok is false if these names
// were not kept.
func (s *session) before() (k known, ok bool) {
	text, err := os.ReadFile(s.kept.OpenFile(stateFile))
	return k, err == nil && json.Unmarshal(text, &k) == nil
}

func (s *session) snapshot(ctx context.Context, name string) error {
	var text bytes.Buffer
	if err := report.Save(&text, s.report(ctx)); err != nil {
		return err
	}
	return s.kept.Keep(name, text.Bytes())
}

func (s *session) readSnapshot(name string) (*facts.Facts, error) {
	text, err := os.ReadFile(s.kept.OpenFile(name))
	var f *facts.Facts
	if err == nil {
		f, err = report.Read(bytes.NewReader(text))
	}
	if err != nil {
		return nil, fmt.Errorf("the snapshot of the lab from before the check cannot be read: %w", err)
	}
	return f, nil
}

// report makes a report of the lab. If a busy machine does not answer in time, it makes a new report with more patience.
func (s *session) report(ctx context.Context) *facts.Facts {
	f := s.lab.Report(ctx, 10*time.Second)
	if len(grade.Unanswered(f)) > 0 && ctx.Err() == nil {
		f = s.lab.Report(ctx, 40*time.Second)
	}
	return f
}

func (s *session) graded(ctx context.Context) (grade.Verdict, error) {
	snapshots := grade.Snapshots{Now: s.report(ctx)}
	for _, one := range []struct {
		name string
		to   **facts.Facts
	}{{beforeFile, &snapshots.Before}, {brokenFile, &snapshots.Broken}} {
		var err error
		if *one.to, err = s.readSnapshot(one.name); err != nil {
			return grade.Verdict{}, err
		}
	}
	var err error
	if snapshots.Trials, err = s.tried(ctx); err != nil {
		return grade.Verdict{}, &engine.Problem{What: "the grader cannot tell whether the fault is fixed: " + err.Error(), Remedy: "run \"make check\" again. \"make report\" shows what does not answer"}
	}
	return grade.Judge(snapshots, s.Lost), nil
}

// tried returns the results of test requests with the programs of the lab. The results show who is served and who is refused.
func (s *session) tried(ctx context.Context) (grade.Trials, error) {
	var all grade.Trials
	place := lab.Client
	running, err := s.runs(ctx, place)
	if err == nil && !running {
		place = lab.Server
		running, err = s.runs(ctx, place)
	}
	if err != nil || !running {
		return all, err
	}
	began, err := s.lab.Now(ctx)
	if err != nil {
		return all, err
	}
	var root grade.Trial
	errs := make([]error, 5)
	var wait sync.WaitGroup
	for i, one := range []struct {
		to      *grade.Trial
		user    string
		command string
	}{
		{&all.Running, "", ""},
		{&all.Client, lab.ClientUser, "client -wait 5s"},
		{&all.BadID, lab.ServerUser, "client -wait 5s"},
		{&all.Impostor, lab.ClientUser, "client -wait 5s -server-id spiffe://" + lab.TrustDomain + "/impostor"},
		{&root, "0:0", "observer -limit 8s client"},
	} {
		wait.Go(func() {
			if one.command == "" {
				*one.to = grade.Trial{Asked: true}
				if err := s.lab.ClientServed(ctx); err != nil {
					*one.to = grade.Trial{Asked: true, Status: 1, Text: err.Error()}
				}
				return
			}
			*one.to, errs[i] = s.try(ctx, place, one.user, strings.Fields(one.command)...)
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return all, err
	}
	var seen observation.Observation
	if first, _, _ := strings.Cut(root.Text, "\n"); root.Status == 0 && json.Unmarshal([]byte(first), &seen) == nil {
		all.Root = &seen
	}
	lines, err := s.lab.Log(ctx, lab.Server, began)
	if errors.Is(err, engine.ErrNoContainer) {
		return all, nil
	}
	var texts []string
	for _, line := range lines {
		texts = append(texts, line.Text)
	}
	all.ServerLog = strings.Join(texts, "\n")
	return all, err
}

func (s *session) try(ctx context.Context, service, user string, args ...string) (grade.Trial, error) {
	var out scenario.LockedBuffer
	err := s.lab.Exec(ctx, &out, &out, service, user, args...)
	t := grade.Trial{Asked: true, Text: out.String()}
	var exit interface {
		error
		ExitCode() int
	}
	var program *exec.ExitError
	if errors.As(err, &program) {
		if why := engine.Failure(err, t.Text, true); why != "" && !strings.Contains(why, "Error response from daemon") {
			return t, fmt.Errorf("docker exec failed: %s", why)
		}
	}
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		t.Status = exit.ExitCode()
	case err != nil:
		return t, fmt.Errorf("%s in %s: %w", strings.Join(args, " "), service, err)
	}
	return t, nil
}
