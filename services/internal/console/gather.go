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
	answerWithin = 4 * time.Second  // all questions together
	lockWithin   = 20 * time.Second // the lock with which a scenario pauses a container
)

// gatherer asks the engine and SPIRE.
type gatherer struct {
	*engine.Engine
	lock     string        // the file that a scenario locks while it pauses a container
	patience time.Duration // with that lock
	within   time.Duration // the answers must come
	latest   Facts
}

func newGatherer(e *engine.Engine) *gatherer {
	return &gatherer{Engine: e, lock: e.Cache("lock-asks-" + e.Project), patience: lockWithin, within: answerWithin}
}

// gather asks everything once. What gets no answer is in Facts.Unknown. While a scenario pauses the lab nothing is asked, and the facts
// are those of before.
func (g *gatherer) gather(ctx context.Context) Facts {
	// Docker Engine 20.10 never lets go of a container that is paused while a process is being started in it.
	unlock, err := scenario.WaitForLock(ctx, g.lock, g.patience, "a scenario pauses the lab")
	if err != nil {
		g.latest.Unknown = map[string]string{"what runs now": err.Error()}
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
		if o := seen.Observations[user]; g.answered(seen, "observer-"+user, "whom "+user+" trusts") && o != nil {
			g.latest.Observations = append(g.latest.Observations, o)
		}
	}
	return g.latest
}

// answered reports whether a question was answered; if not, it notes why. name is the question on the page.
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
