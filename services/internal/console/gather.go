package console

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

const (
	answerWithin = 4 * time.Second  // for all answers together
	lockWithin   = 20 * time.Second // for the lock of a scenario that pauses a container
)

type gatherer struct {
	*engine.Engine
	lock     string        // the file that a scenario locks while it pauses a container
	patience time.Duration // how long to wait for that lock
	within   time.Duration // how long to wait for the answers
	latest   Facts
}

func newGatherer(e *engine.Engine) *gatherer {
	return &gatherer{Engine: e, lock: e.Cache("lock-asks-" + e.Project), patience: lockWithin, within: answerWithin}
}

// runsNow is the question that has no answer when the facts are old.
const runsNow = "what runs now"

// gather asks each question once. Facts.Unknown has the questions without an answer. While a scenario pauses the lab, gather asks nothing,
// and returns the previous facts.
func (g *gatherer) gather(ctx context.Context) Facts {
	// In Docker Engine 20.10, a container stays paused for ever if it is paused while a process starts in it.
	unlock, err := scenario.WaitForLock(ctx, g.lock, g.patience, "a scenario pauses the lab")
	if err != nil {
		g.latest.Unknown = map[string]string{runsNow: err.Error()}
		return g.latest
	}
	defer unlock()
	seen := report.Gather(ctx, g.Engine, report.Options{Patience: g.within, Live: true})
	g.latest = Facts{Unknown: map[string]string{}}
	if !g.answered(seen, "containers", "what runs") {
		return g.latest
	}
	g.latest.Containers = []facts.Container{}
	for _, c := range seen.Containers {
		if c.Project == g.Project && c.OneOff == "False" {
			g.latest.Containers = append(g.latest.Containers, c)
		}
	}
	if g.answered(seen, "entries", "entries") {
		g.latest.Entries = append([]facts.Entry{}, seen.Entries...)
	}
	if g.answered(seen, "agents", "agents") {
		g.latest.Agents = append([]facts.Agent{}, seen.Agents...)
	}
	if g.answered(seen, "authorities", "CAs") {
		g.latest.Authorities = &seen.Authorities
	}
	for _, user := range []string{lab.ClientUser, lab.ServerUser} {
		if o := seen.Observations[user]; g.answered(seen, "observer-"+user, "the trust bundles of "+user) && o != nil {
			g.latest.Observations = append(g.latest.Observations, o)
		}
	}
	return g.latest
}

// answered reports whether a question was answered. If a question has no answer, answered stores the reason. The last parameter is the
// question as the page shows it.
func (g *gatherer) answered(seen *facts.Facts, question, name string) bool {
	section := seen.Section(question)
	if section.OK() {
		return true
	}
	why := strings.TrimPrefix(strings.TrimPrefix(section.Status, "not asked: "), facts.CannotTell)
	if _, err := strconv.Atoi(why); err == nil {
		why = "exit status " + why + ": " + section.Last()
	}
	g.latest.Unknown[name] = harmless(why)
	return false
}
