package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

// inText are the lessons whose "Try it" has its commands in sentences, which this test does not play: most need a second terminal, a long wait, or
// a change of the source.
var inText = strings.Fields(`agent-outage agent-restart bad-id bad-server-id ban ca-rotation evict federation foreign-ca foreign-server-ca
	foreign-trust-domain happy-path join-token kept-connection no-certificate plain-http resumption revocation rotation server-outage server-wiped sleep
	two-hosts unregistered`)

// tryIt: each command in a block under "Try it" must be understood, may fail only if the lesson says so, and the last ones must lead back.
func tryIt(t *testing.T, l *lab) {
	l.run(t, "part", "build-tools").Assert(t, icmd.Success) // who reads a lesson has run its scenario
	for _, file := range glob("scripts/scenarios/*.sh") {
		name := nameOf(file)
		lesson := read(t, "scripts/scenarios/"+name+".md")
		if commands, _ := tried(lesson); (len(commands) == 0) != slices.Contains(inText, name) {
			t.Errorf("%s.md has %d commands in blocks under \"Try it\", and inText says the opposite", name, len(commands))
		}
		if slices.Contains(inText, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, problem := range try(lesson, func(command string) (string, int) { return l.typed(t, command) }, func() []string { return l.state(t) }) {
				t.Error(problem)
			}
			l.served(t, 30*time.Second)
		})
	}
}

// typed runs a command in the lab's folder, in a terminal, as a learner types it. After a minute it is ended: -1.
func (l *lab) typed(t *testing.T, command string) (string, int) {
	t.Helper()
	words := []string{"script", "--quiet", "--return", "--command", command, filepath.Join(t.TempDir(), "typescript")}
	result := icmd.RunCmd(icmd.Cmd{Command: words, Dir: root(), Env: l.environment("SHELL=/bin/sh"), Timeout: time.Minute})
	t.Logf("$ %s\n%s(exit status %d)", command, result.Combined(), result.ExitCode)
	if result.Timeout {
		return result.Combined(), -1
	}
	return result.Combined(), result.ExitCode
}

var (
	failures = regexp.MustCompile(`(?i)(one|two|three) (?:or (two|three) )?of these commands (must|may) fail`)

	// What the shell, Docker, Compose, SPIRE, curl, openssl and the lab's programs say of a command that they do not understand.
	notUnderstood = regexp.MustCompile(`(?i)unknown (shorthand )?flag|unknown (docker )?command|unknown option|unrecognized|provided but not defined|` +
		`\busage:|no such (file|service|container|image)|not found|is not running|not a TTY|executable file`)
)

// expected is how many of its commands fail, as a lesson says.
type expected struct{ least, most int }

// tried returns the commands in the blocks under "Try it".
func tried(markdown string) (commands []string, fail expected) {
	_, part, _ := strings.Cut(markdown, "\n## Try it\n")
	part, _, _ = strings.Cut(part, "\nSources: ")
	var text []string
	inside, goesOn := false, false
	for _, line := range strings.Split(part, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside
		case !inside:
			text = append(text, line)
		default:
			if goesOn {
				commands[len(commands)-1] += "\n" + line
			} else {
				commands = append(commands, line)
			}
			goesOn = strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "|")
		}
	}
	if found := failures.FindStringSubmatch(strings.Join(strings.Fields(strings.Join(text, " ")), " ")); found != nil {
		number := func(word string) int { return 1 + slices.Index([]string{"one", "two", "three"}, strings.ToLower(word)) }
		fail = expected{number(found[1]), max(number(found[1]), number(found[2]))}
		if found[3] == "may" {
			fail.least = 0
		}
	}
	return commands, fail
}

// try plays the commands of a lesson, and returns what is wrong with them.
func try(markdown string, run func(command string) (string, int), state func() []string) (problems []string) {
	commands, want := tried(markdown)
	before := state()
	var failed []string
	for _, command := range commands {
		printed, status := run(command)
		switch {
		case status == -1:
			problems = append(problems, "it does not end: "+command)
		case status == 2, status == 126, status == 127, notUnderstood.MatchString(printed):
			problems = append(problems, fmt.Sprintf("it is not understood (exit status %d): %s\n%s", status, command, printed))
		case status != 0:
			failed = append(failed, command)
		}
	}
	if n := len(failed); n < want.least || n > want.most {
		problems = append(problems, fmt.Sprintf("%d commands fail, not %d to %d: %s", n, want.least, want.most, strings.Join(failed, "; ")))
	}
	if gone, added := difference(before, state()); len(gone)+len(added) > 0 {
		problems = append(problems, "they do not lead back: "+strings.Join(append(gone, added...), ", "))
	}
	return problems
}

// TestTryIt: the player fails for each thing that can be wrong with a "Try it".
func TestTryIt(t *testing.T) {
	for _, c := range []struct{ text, commands, want string }{
		{"", "make\nundo", ""},
		{"", "make \\\n  --long\nundo", ""},
		{"One of these\ncommands must fail:", "no\nmake\nundo", ""},
		{"Two of these commands may fail:", "no\nmake\nundo", ""},
		{"One or two of these commands must fail:", "no\nmake\nundo\nno", ""},
		{"One or two of these commands must fail:", "make\nundo", "0 commands fail, not 1 to 2"},
		{"", "make", "they do not lead back: new: entry"},
		{"", "make\nundo\nundo", "they do not lead back: gone: agent"},
		{"", "no", "1 commands fail, not 0 to 0: no"},
		{"One of these commands must fail:", "make\nundo", "0 commands fail, not 1 to 1"},
		{"Two of these commands may fail:", "no\nno\nno", "3 commands fail, not 0 to 2"},
		{"One of these commands must fail:", "flag", "it is not understood (exit status 1): flag"},
		{"One of these commands must fail:", "misuse", "it is not understood (exit status 2): misuse"},
		{"", "says", "it is not understood (exit status 0): says"},
		{"One of these commands must fail:", "follow", "it does not end: follow"},
	} {
		entries := []string{"agent"}
		run := func(command string) (string, int) {
			switch strings.Fields(command)[0] {
			case "make":
				entries = append(entries, "entry")
			case "undo":
				entries = entries[:len(entries)-1]
			case "no":
				return "refused", 4
			case "flag":
				return "unknown flag: --detatch", 1
			case "misuse":
				return "", 2
			case "says":
				return "cat: x: No such file or directory", 0
			case "follow":
				return "", -1
			default:
				t.Errorf("%q is run", command)
			}
			return "", 0
		}
		lesson := "```sh\nearlier\n```\n\n## Try it\n\n" + c.text + "\n\n```sh\n" + c.commands + "\n```\n\nWhy?\n\nSources: x\n"
		said := strings.Join(try(lesson, run, func() []string { return slices.Clone(entries) }), "\n")
		if !strings.Contains(said, c.want) || (said == "") != (c.want == "") {
			t.Errorf("%q, %q: want %q, got %q", c.text, c.commands, c.want, said)
		}
	}
}
