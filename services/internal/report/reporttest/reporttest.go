// Package reporttest has the report of a healthy lab, as a text in which a test replaces words. It is for tests only.
//
//	## section: entries
//	status: 0
//	  the answer: one line of JSON, or lines of text; for containers, one line each
//	! the standard error
//
// The sections host, preflight and start do not come from the engine.
package reporttest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
)

//go:embed healthy.json
var recorded string

// Healthy returns the recorded report of a healthy lab.
func Healthy(t testing.TB) *facts.Facts {
	t.Helper()
	f, err := report.Read(strings.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// HealthyText returns the recorded report of a healthy lab as text.
func HealthyText(t testing.TB) string { return Text(Healthy(t)) }

// Text returns a report as text.
func Text(f *facts.Facts) string {
	var out strings.Builder
	h := f.Host
	section := func(name, status string) { fmt.Fprintf(&out, "## section: %s\nstatus: %s\n", name, status) }
	section("host", "0")
	fmt.Fprintf(&out, "  time %s\n  project %s\n  tag %s\n  patience %g\n  calm %t\n  cut-off %s\n\n", h.Time.Format(time.RFC3339), h.Project, h.LabTag, h.Patience.Seconds(), h.Calm, h.Cut)
	section("preflight", "0")
	for _, p := range f.Preflight {
		fmt.Fprintf(&out, "  %s %s\n", p.Code, p.What)
	}
	out.WriteString("\n")
	if f.Start != nil {
		section("start", "1")
		fmt.Fprintf(&out, "  %s %s\n", f.Start.Code, f.Start.What)
		out.WriteString("\n")
	}
	for _, s := range f.Sections() {
		section(s.Question, s.Status)
		lines := s.Lines
		if s.JSON != nil {
			lines = []string{string(s.JSON)}
			var each []json.RawMessage
			if s.Question == "containers" && json.Unmarshal(s.JSON, &each) == nil {
				lines = nil
				for _, one := range each {
					lines = append(lines, string(one))
				}
			}
		}
		for _, line := range lines {
			fmt.Fprintf(&out, "  %s\n", line)
		}
		for _, line := range s.Errors {
			fmt.Fprintf(&out, "! %s\n", line)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// Parse returns the report that a text describes.
func Parse(t testing.TB, text string) *facts.Facts {
	t.Helper()
	var host facts.Host
	var preflight []facts.Problem
	var start *facts.Problem
	var sections []*facts.Section
	for _, part := range strings.Split("\n"+text, "\n## section: ")[1:] {
		s := &facts.Section{}
		for i, line := range strings.Split(part, "\n") {
			switch {
			case i == 0:
				s.Question = line
			case strings.HasPrefix(line, "status: "):
				s.Status = line[len("status: "):]
			case strings.HasPrefix(line, "  "):
				s.Lines = append(s.Lines, line[2:])
			case strings.HasPrefix(line, "! "):
				s.Errors = append(s.Errors, line[2:])
			case line != "":
				t.Fatalf("the section %s has the line %q", s.Question, line)
			}
		}
		switch s.Question {
		case "host":
			host = readHost(t, s.Lines)
		case "preflight":
			for _, line := range s.Lines {
				preflight = append(preflight, problem(line))
			}
		case "start":
			told := problem(s.Lines[0])
			start = &told
		case "containers":
			s.JSON, s.Lines = json.RawMessage("["+strings.Join(s.Lines, ",")+"]"), nil
			sections = append(sections, s)
		default:
			if len(s.Lines) == 1 && strings.HasPrefix(s.Lines[0], "{") && !strings.HasPrefix(s.Question, "trial-") {
				s.JSON, s.Lines = json.RawMessage(s.Lines[0]), nil
			}
			sections = append(sections, s)
		}
	}
	return facts.New(host, preflight, start, sections)
}

func problem(line string) facts.Problem {
	code, what, _ := strings.Cut(line, " ")
	return facts.Problem{Code: code, What: what}
}

func readHost(t testing.TB, lines []string) facts.Host {
	t.Helper()
	said := map[string]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, " ")
		said[name] = value
	}
	seconds, err := strconv.ParseFloat(said["patience"], 64)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339, said["time"])
	if err != nil {
		t.Fatal(err)
	}
	return facts.Host{Time: at, Project: said["project"], LabTag: said["tag"], Patience: time.Duration(seconds * float64(time.Second)), Calm: said["calm"] == "true", Cut: said["cut-off"]}
}
