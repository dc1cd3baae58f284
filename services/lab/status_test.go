package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report/reporttest"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// TestStatus: the status must be right for a healthy lab, for a lab with a problem, and for a lab in which something cannot be checked.
func TestStatus(t *testing.T) {
	healthy := reporttest.HealthyText(t)
	for name, test := range map[string]struct {
		change func(f *facts.Facts)
		status int
		said   string
	}{
		"healthy":             {func(*facts.Facts) {}, 0, "the client's latest request was served"},
		"an override":         {func(f *facts.Facts) { f.Host.Override = "a.yaml" }, 0, "\na.yaml is in force: Compose reads it beside compose.yaml\n"},
		"not served":          {func(f *facts.Facts) { f.Observations["client-workload"].Health.Status = 503 }, exitFailure, "was not served: "},
		"nobody says":         {func(f *facts.Facts) { f.Observations["client-workload"] = nil }, exitCannotTell, "it is not known whether the client's latest request was served"},
		"the agent has ended": {func(f *facts.Facts) { c := f.Service("spire-agent"); c.Status, c.ExitStatus = "exited", 137 }, 0, "spire-agent    exited (137)"},
	} {
		t.Run(name, func(t *testing.T) {
			f := reporttest.Parse(t, healthy)
			test.change(f)
			var out strings.Builder
			err := tellStatus(&launch.Launcher{Engine: &engine.Engine{Dir: t.TempDir()}, Screen: screen.Plain(&out)}, f)
			var status exitStatus
			if err != nil && !errors.As(err, &status) || int(status) != test.status || !strings.Contains(out.String(), test.said) {
				t.Errorf("%v, and it says\n%s", err, &out)
			}
		})
	}
	for name, test := range map[string]struct{ text, want string }{
		"no lab":  {strings.ReplaceAll(healthy, `"service":"client"`, `"service":"other"`), "the lab is not running"},
		"a crash": {strings.Replace(healthy, "## section: containers\nstatus: 0", "## section: containers\nstatus: cannot tell: docker inspect failed", 1), "it is not known which containers run: cannot tell: docker inspect failed"},
	} {
		var out strings.Builder
		if err := tellStatus(&launch.Launcher{Engine: &engine.Engine{Dir: t.TempDir()}, Screen: screen.Plain(&out)}, reporttest.Parse(t, test.text)); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s; it says\n%s", name, err, test.want, &out)
		}
	}
}
