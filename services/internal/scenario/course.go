package scenario

import (
	"fmt"
	"strings"
)

// Lesson is a scenario's place in the course.
type Lesson struct {
	Name    string
	Minutes int  // to read the lesson and run the scenario in its full form, without "Try it"
	Waiting int  // how many of these minutes the quick form of the scenario saves
	Core    bool // whether it is in the plan for half a day
}

// Chapter is a part of the course.
type Chapter struct {
	Title   string
	Lessons []Lesson
	Predict string // a lesson that the learners predict instead of running it, in the plan for half a day
}

// Course has every scenario that has a lesson, in the order of the course. The times in the lessons, on the course page and in the plan for
// half a day come from this table.
var Course = []Chapter{
	{"What an identity is", []Lesson{
		{"happy-path", 10, 0, true},
		{"openssl-eyes", 15, 0, true},
		{"dns-name", 15, 0, false},
		{"one-key", 15, 0, false},
	}, ""},
	{"Who gets an identity", []Lesson{
		{"unregistered", 10, 0, true},
		{"other-pid-namespace", 10, 0, false},
		{"wrong-selector", 8, 0, true},
		{"user-name", 10, 0, false},
		{"stolen-user", 12, 0, true},
		{"exec", 15, 0, false},
		{"two-identities", 15, 0, false},
		{"wrong-parent", 8, 0, false},
		{"too-quick", 12, 0, false},
	}, "wrong-parent"},
	{"Who may connect to what", []Lesson{
		{"bad-id", 12, 0, true},
		{"bad-server-id", 10, 0, true},
		{"prefix", 12, 0, false},
		{"per-path", 12, 0, false},
		{"foreign-ca", 12, 0, true},
		{"foreign-server-ca", 8, 0, false},
		{"foreign-trust-domain", 10, 0, true},
		{"no-certificate", 8, 0, false},
		{"plain-http", 6, 0, false},
		{"old-tls", 8, 0, false},
		{"behind-a-proxy", 15, 0, false},
	}, "foreign-server-ca"},
	{"Identity over time", []Lesson{
		{"expired", 10, 0, true},
		{"ttl-cap", 10, 0, false},
		{"rotation", 12, 0, true},
		{"revocation", 12, 1, true},
		{"kept-connection", 12, 1, true},
		{"resumption", 15, 0, false},
	}, ""},
	{"When SPIRE is down", []Lesson{
		{"agent-restart", 10, 0, true},
		{"agent-outage", 12, 1, true},
		{"server-outage", 15, 2, true},
		{"sleep", 8, 0, false},
		{"server-wiped", 15, 1, false},
		{"evict", 8, 0, false},
		{"ban", 12, 2, false},
	}, ""},
	{"More than one host, more than one CA", []Lesson{
		{"join-token", 12, 0, false},
		{"two-hosts", 10, 0, false},
		{"first-server", 15, 0, false},
		{"admin-entry", 15, 0, false},
		{"ca-rotation", 15, 1, false},
		{"federation", 20, 1, false},
	}, ""},
}

// Placed is a scenario with its chapter.
type Placed struct {
	Script
	Chapter string
}

// InCourse returns the scenarios in the order of the course. Scenarios outside the course come last, such as those that a learner has
// written.
func InCourse(scripts []Script) []Placed {
	var placed []Placed
	known := map[string]bool{}
	for i, chapter := range Course {
		for _, l := range chapter.Lessons {
			known[l.Name] = true
			for _, script := range scripts {
				if script.Name == l.Name {
					placed = append(placed, Placed{script, fmt.Sprintf("%d. %s", i+1, chapter.Title)})
				}
			}
		}
	}
	for _, script := range scripts {
		if !known[script.Name] {
			placed = append(placed, Placed{script, "not in the course"})
		}
	}
	return placed
}

// The other parts of the plan for half a day, in minutes.
const (
	halfBreak   = 15
	halfDemo    = 20 // ca-rotation or federation; the trainer chooses
	halfAnswers = 10
)

// Time returns the sentence about time in a lesson.
func (l Lesson) Time() string {
	if l.Waiting > 0 {
		return fmt.Sprintf("%d minutes, %d of them waiting", l.Minutes, l.Waiting)
	}
	return fmt.Sprintf("%d minutes", l.Minutes)
}

// Tables returns the tables of the course page, one for each chapter, with the expectation of each scenario.
func Tables(expectations map[string]string) string {
	var b strings.Builder
	for i, chapter := range Course {
		fmt.Fprintf(&b, "### %d. %s\n\n| scenario, and its lesson | expectation | minutes | half a day |\n|---|---|---|---|\n", i+1, chapter.Title)
		for _, l := range chapter.Lessons {
			core := " "
			if l.Core {
				core = " core "
			}
			fmt.Fprintf(&b, "| [%s](%s.md) | %s | %d |%s|\n", l.Name, l.Name, expectations[l.Name], l.Minutes, core)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// HalfADay returns the plan for half a day: for each chapter, the core lessons, and the minutes that these lessons take in their quick
// form.
func HalfADay() string {
	var b strings.Builder
	total := halfBreak + halfDemo + halfAnswers
	b.WriteString("| minutes | what | the others, to do at home |\n|---|---|---|\n")
	for i, chapter := range Course {
		var core, rest []string
		minutes := 0
		for _, l := range chapter.Lessons {
			if l.Core {
				core = append(core, l.Name)
				minutes += l.Minutes - l.Waiting
			} else {
				rest = append(rest, l.Name)
			}
		}
		total += minutes
		what := strings.Join(core, ", ")
		if what == "" {
			minutes, what = halfDemo, "the trainer shows ca-rotation or federation"
		}
		if chapter.Predict != "" {
			what += "; predict " + chapter.Predict
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", minutes, what, strings.Join(rest, ", "))
		if i == 2 {
			fmt.Fprintf(&b, "| %d | a break | |\n", halfBreak)
		}
	}
	fmt.Fprintf(&b, "| %d | the answers | |\n| **%d** | %d hours and %d minutes | |\n", halfAnswers, total, total/60, total%60)
	return b.String()
}
