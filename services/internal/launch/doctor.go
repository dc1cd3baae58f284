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

// How long the doctor waits. It asks again if a busy machine has not answered in time.
const (
	secondPatience = 8 * time.Second
	nextRequest    = 3 * time.Second // within which a program that has failed has sent its next request
)

// Report gathers everything that is known about the lab, including what prevents a start and why the last start
// failed.
func (l *Launcher) Report(ctx context.Context, o report.Options) *facts.Facts {
	o.Preflight, o.Start = l.Findings, l.lastStart()
	return report.Gather(ctx, l.Engine, o)
}

// PatientReport is Report, but asks again if a busy machine has not answered in time. If o.Patience is set, it asks only once.
func (l *Launcher) PatientReport(ctx context.Context, o report.Options) *facts.Facts {
	f := l.Report(ctx, o)
	if o.Patience > 0 || len(f.Late()) == 0 || ctx.Err() != nil {
		return f
	}
	o.Patience = secondPatience
	return l.Report(ctx, o)
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
	o.Patience = secondPatience
	return cause.Judge(l.Report(ctx, o), true)
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
