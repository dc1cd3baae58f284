package launch

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cause"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
)

// nextRequest is the time within which a program that has failed has sent its next request.
const nextRequest = 3 * time.Second

// patiences are the time limits of the reports that follow the first one. A small machine that is busy answers late, and a late answer must not
// look like a program that hangs.
var patiences = []time.Duration{8 * time.Second, 30 * time.Second}

// Report gathers everything that is known about the lab, including what prevents a start and why the last start
// failed.
func (l *Launcher) Report(ctx context.Context, o report.Options) *facts.Facts {
	o.Preflight, o.Start = l.Findings, l.lastStart()
	return report.Gather(ctx, l.Engine, o)
}

// PatientReport is Report, but asks again if an answer did not come in time. If o.Patience is set, it asks only once.
func (l *Launcher) PatientReport(ctx context.Context, o report.Options) *facts.Facts {
	f := l.Report(ctx, o)
	if o.Patience > 0 || len(f.Late()) == 0 || ctx.Err() != nil {
		return f
	}
	return l.askAgain(ctx, o)
}

// askAgain makes reports with longer and longer time limits, until every answer came in time.
func (l *Launcher) askAgain(ctx context.Context, o report.Options) *facts.Facts {
	var f *facts.Facts
	for _, o.Patience = range patiences {
		if f = l.Report(ctx, o); len(f.Late()) == 0 || ctx.Err() != nil {
			break
		}
	}
	return f
}

// Doctor names the first cause of a problem. If o.Patience is set, Doctor makes only one report, and waits at most that
// time.
func (l *Launcher) Doctor(ctx context.Context, o report.Options) cause.Verdict {
	if o.Patience > 0 {
		return cause.Judge(l.Report(ctx, o), true)
	}
	known := l.Report(ctx, o)
	v := cause.Judge(known, false)
	if v.Finding != nil || v.Well != "" || ctx.Err() != nil {
		return v
	}
	if known.Section("engine").Late() {
		return cause.Judge(l.Report(ctx, o), false) // an engine that does not answer twice is not only busy
	}
	if v.Again {
		select {
		case <-ctx.Done():
			return v
		case <-time.After(nextRequest):
		}
	}
	return cause.Judge(l.askAgain(ctx, o), true)
}

// keepStart records why a start failed.
func (l *Launcher) keepStart(ctx context.Context, failure error) {
	if ctx.Err() != nil {
		return
	}
	text, err := json.MarshalIndent(report.ProblemOf(failure), "", "  ")
	if err == nil {
		_ = os.WriteFile(l.startFile(), append(text, '\n'), 0o600) // without this file the doctor has only the engine's answers
	}
}

func (l *Launcher) forgetStart() { _ = os.Remove(l.startFile()) }

func (l *Launcher) lastStart() *facts.Problem {
	text, err := os.ReadFile(l.startFile())
	if err != nil {
		return nil
	}
	start := new(facts.Problem)
	if json.Unmarshal(text, start) != nil {
		return nil
	}
	return start
}

func (l *Launcher) startFile() string { return l.Cache("up-" + l.Project + ".json") }
