package console

import (
	"regexp"
	"strings"
	"time"
)

// Scenario is what a scenario that runs has on its screen.
type Scenario struct {
	Name        string `json:"name"`
	Expectation string `json:"expectation"`
	Step        string `json:"step,omitempty"`
	Ended       string `json:"ended,omitempty"` // PASS or FAIL

	at time.Time // when it ended
}

// resultFor is how long the result of a scenario is shown.
const resultFor = time.Minute

// Screen follows what a scenario shows, as package scenario writes it: lines of a word and a text.
//
//	begin NAME: EXPECTATION
//	step N. SENTENCE
//	command WHAT IS TYPED
//	said WHAT IT PRINTED
//	end PASS|FAIL ...
type Screen struct {
	Now     *Scenario // nil if none runs, and none has ended in the last minute
	command string
}

var executed = regexp.MustCompile(`docker compose exec (?:.*?--user (\S+) )?(?:--?\S+ )*?([a-z][a-z0-9-]*) (\S+)`)

// Read returns true if the line changes what the page shows at its top, and the words of a program that was
// run there, which no container logs.
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

// Expire forgets a scenario whose result has been shown long enough. It returns true if that changes what the page shows.
func (s *Screen) Expire(now time.Time) bool {
	if s.Now == nil || s.Now.Ended == "" || now.Sub(s.Now.at) < resultFor {
		return false
	}
	s.Now = nil
	return true
}

// Typed reads what a program printed that was run by hand in a container, by `docker compose exec`.
func (r *Reader) Typed(command, text string, at time.Time) []Row {
	m := executed.FindStringSubmatch(command)
	if m == nil {
		return nil
	}
	from := Party{Where: m[2], User: m[1]}
	text = ownTime.ReplaceAllString(text, "")
	if c := connect.FindStringSubmatch(text); c != nil {
		return r.refusal(at, Row{From: from, To: Party{Where: host(c[1])}}, theClient, c[2], text)
	}
	// What curl and openssl say of an alert.
	if strings.Contains(text, ":SSL routines:") && strings.Contains(text, "alert") {
		return r.refusal(at, Row{From: from, To: Party{Where: "server"}}, theClient, "remote error: tls: "+text, text)
	}
	return nil
}
