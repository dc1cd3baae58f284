package console

import (
	"regexp"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// Scenario is what a running scenario has on its screen.
type Scenario struct {
	Name        string `json:"name"`
	Expectation string `json:"expectation"`
	Step        string `json:"step,omitempty"`
	Ended       string `json:"ended,omitempty"` // PASS or FAIL

	at time.Time // when it ended
}

// resultFor is how long the result of a scenario is shown.
const resultFor = time.Minute

// Screen follows the lines that package scenario writes. Each has a word and a text:
//
//	begin NAME: EXPECTATION
//	step N. SENTENCE
//	command WHAT IS TYPED
//	said WHAT IT PRINTED
//	end PASS|FAIL ...
type Screen struct {
	Now     *Scenario // nil if no scenario runs, and none has ended in the last minute
	command string
}

var executed = regexp.MustCompile(`docker compose exec (?:.*?--user (\S+) )?(?:--?\S+ )*?([a-z][a-z0-9-]*) (\S+)`)

// connects finds the service to which openssl or curl connects.
var connects = regexp.MustCompile(`(?:-connect |https://)([a-z][a-z0-9-]*):`)

// Read reports whether a line changes the top of the page. It also returns the rows that it finds in the output of a program. No container
// logs this output.
func (s *Screen) Read(text string, at time.Time, reader *Reader) (changed bool, rows []Row) {
	word, rest, _ := strings.Cut(strings.TrimRight(text, "\n"), " ")
	rest = harmless(rest)
	switch word {
	case "begin":
		name, expectation, _ := strings.Cut(rest, ": ")
		s.Now = &Scenario{Name: name, Expectation: expectation}
		return true, nil
	case "step":
		if s.Now != nil {
			s.Now = &Scenario{Name: s.Now.Name, Expectation: s.Now.Expectation, Step: rest}
		}
		return true, nil
	case "end":
		if s.Now != nil {
			now := *s.Now
			now.Ended, now.at = rest, at
			s.Now = &now
		}
		return true, nil
	case "command":
		s.command = rest
	case "said":
		return false, reader.Typed(s.command, rest, at)
	}
	return false, nil
}

// Expire forgets a scenario whose result has been shown long enough. It returns true if it has forgotten a scenario.
func (s *Screen) Expire(now time.Time) bool {
	if s.Now == nil || s.Now.Ended == "" || now.Sub(s.Now.at) < resultFor {
		return false
	}
	s.Now = nil
	return true
}

// Typed reads the output of a program that `docker compose exec` has run in a container.
func (r *Reader) Typed(command, text string, at time.Time) []Row {
	m := executed.FindStringSubmatch(command)
	if m == nil || m[3] == "cat" {
		return nil // cat prints earlier lines, and perhaps a server's
	}
	from := Party{Where: m[2], User: m[1]}
	text = ownTime.ReplaceAllString(text, "")
	if c := connect.FindStringSubmatch(text); c != nil {
		return r.refusal(at, Row{From: from, To: Party{Where: host(c[1])}}, theClient, c[2], text)
	}
	// A line with these two texts means that curl or openssl has received an alert.
	if strings.Contains(text, ":SSL routines:") && strings.Contains(text, "alert") {
		to := Party{Where: lab.Server}
		if peer := connects.FindStringSubmatch(command); peer != nil {
			to.Where = peer[1]
		}
		return r.refusal(at, Row{From: from, To: to}, theClient, "remote error: tls: "+text, text)
	}
	return nil
}
