package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

// notPlayed has the lessons whose "Try it" the test does not run, each with the reason.
var notPlayed = map[string]string{
	"resumption": "it changes the server's source, and builds the images twice",
}

// tryIt: each command in a block under "Try it" must be valid. A command may fail only if the lesson announces it. After the last command
// the lab must be as it was before.
func tryIt(t *testing.T, l *lab) {
	l.run(t, "part", "build-tools").Assert(t, icmd.Success) // the reader has run the lesson's scenario before, which builds this image
	for _, file := range glob("scripts/scenarios/*.sh") {
		name := nameOf(file)
		lesson := read(t, "scripts/scenarios/"+name+".md")
		if notPlayed[name] != "" || !wanted(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := player{
				run:   func(command string) (string, int) { return l.typed(t, command) },
				begin: func(command string) func(bool) (string, int) { return l.beginTyping(t, command) },
				state: func() []string { return l.state(t) },
			}
			for _, problem := range p.try(lesson) {
				t.Error(problem)
			}
			l.served(t, 60*time.Second)
		})
	}
}

// wanted reports whether TRY selects a lesson. An empty TRY selects all lessons.
func wanted(name string) bool {
	only := strings.Fields(os.Getenv("TRY"))
	return len(only) == 0 || slices.Contains(only, name)
}

// terminal returns a command line that runs the command in a new pseudo-terminal.
func terminal(t *testing.T, command string) []string {
	return []string{"script", "--quiet", "--return", "--command", command, filepath.Join(t.TempDir(), "typescript")}
}

// beginTyping starts a command that runs beside the next commands, as in a learner's first terminal. The returned function waits until the
// command ends, or ends it with Ctrl-C.
func (l *lab) beginTyping(t *testing.T, command string) func(interrupt bool) (string, int) {
	t.Helper()
	words := terminal(t, command)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = root(), l.environment("SHELL=/bin/sh")
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, &printed
	keyboard, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second) // a person needs some seconds to open a second terminal
	return func(interrupt bool) (string, int) {
		if interrupt {
			time.Sleep(3 * time.Second)
			if _, err := keyboard.Write([]byte{3}); err != nil {
				t.Log("Ctrl-C: ", err)
			}
		}
		ended := make(chan struct{})
		kill := time.AfterFunc(time.Minute, func() { close(ended); _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		status := cmd.ProcessState.ExitCode()
		select {
		case <-ended:
			status = -1
		default:
			if interrupt {
				status = 0 // after Ctrl-C, the exit status differs from command to command
			}
		}
		t.Logf("$ %s\n%s(exit status %d)", command, printed.String(), status)
		return printed.String(), status
	}
}

// typed runs a command in the lab's folder, in a terminal, as a learner types it. After a minute it ends the command, and returns the
// status -1.
func (l *lab) typed(t *testing.T, command string) (string, int) {
	t.Helper()
	words := terminal(t, command)
	result := icmd.RunCmd(icmd.Cmd{Command: words, Dir: root(), Env: l.environment("SHELL=/bin/sh"), Timeout: time.Minute})
	t.Logf("$ %s\n%s(exit status %d)", command, result.Combined(), result.ExitCode)
	if result.Timeout {
		return result.Combined(), -1
	}
	return result.Combined(), result.ExitCode
}

var (
	failures = regexp.MustCompile(`(?i)(one|two|three|four) (?:or (two|three|four) )?of these commands (must|may) fail`)

	// noSocket matches an answer that is valid if no agent runs.
	noSocket = regexp.MustCompile(`dial unix [^:]*: connect: no such file or directory`)

	// notUnderstood matches what the shell, Docker, Compose, SPIRE, curl, openssl and the lab's programs print about an invalid command.
	notUnderstood = regexp.MustCompile(`(?i)unknown (shorthand )?flag|unknown (docker )?command|unknown option|unrecognized|provided but not defined|` +
		`\busage:|no such (file|service|container|image)|(: |command )not found|(service|container) \S+ is not running|not a TTY|executable file`)
)

// expected is the number of commands that fail, as the lesson announces.
type expected struct{ least, most int }

type typedCommand struct {
	line   string
	beside bool // it runs in one terminal, while the commands of the next block run in a second terminal
	last   bool // it is the last command of its block
}

// tried returns the commands in the blocks under "Try it", and the number of commands that may fail. If the text before a block says "in a
// second terminal", the last command of the previous block keeps running.
func tried(markdown string) (commands []typedCommand, fail expected) {
	_, part, _ := strings.Cut(markdown, "\n## Try it\n")
	part, _, _ = strings.Cut(part, "\nSources: ")
	var text []string
	since := 0 // the index in text of the first line after the last block
	inside, goesOn := false, false
	for _, line := range strings.Split(part, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside
			if n := len(commands); n > 0 {
				if inside {
					commands[n-1].beside = strings.Contains(strings.Join(text[since:], " "), "n a second terminal")
				} else {
					commands[n-1].last = true
				}
			}
			since = len(text)
		case !inside:
			text = append(text, line)
		default:
			if goesOn {
				commands[len(commands)-1].line += "\n" + line
			} else {
				commands = append(commands, typedCommand{line: line})
			}
			goesOn = strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "|")
		}
	}
	if found := failures.FindStringSubmatch(strings.Join(strings.Fields(strings.Join(text, " ")), " ")); found != nil {
		number := func(word string) int { return 1 + slices.Index(numbers, strings.ToLower(word)) }
		fail = expected{number(found[1]), max(number(found[1]), number(found[2]))}
		if found[3] == "may" {
			fail.least = 0
		}
	}
	return commands, fail
}

var numbers = []string{"one", "two", "three", "four"}

type player struct {
	run   func(command string) (string, int)
	begin func(command string) (end func(interrupt bool) (string, int))
	state func() []string
}

// try runs the commands of a lesson, and describes what is wrong.
func (p player) try(markdown string) (problems []string) {
	commands, want := tried(markdown)
	before := p.state()
	var failed []string
	judge := func(command, printed string, status int) {
		switch {
		case status == -1:
			problems = append(problems, "this command does not end: "+command)
		// `openssl verify` has the exit status 2 for an invalid certificate.
		case status == 2 && !strings.Contains(command, "openssl verify"), status == 126, status == 127, notUnderstood.MatchString(noSocket.ReplaceAllString(printed, "")):
			problems = append(problems, fmt.Sprintf("this command is invalid (exit status %d): %s\n%s", status, command, printed))
		case status != 0:
			failed = append(failed, command)
		}
	}
	var end func()
	for _, command := range commands {
		if command.beside {
			finish := p.begin(command.line)
			end = func() {
				printed, status := finish(strings.Contains(markdown, "Ctrl-C"))
				judge(command.line, printed, status)
				end = nil
			}
			continue
		}
		printed, status := p.run(command.line)
		judge(command.line, printed, status)
		if command.last && end != nil {
			end()
		}
	}
	if n := len(failed); n < want.least || n > want.most {
		problems = append(problems, fmt.Sprintf("%d commands fail, not %d to %d: %s", n, want.least, want.most, strings.Join(failed, "; ")))
	}
	if gone, added := difference(before, p.state()); len(gone)+len(added) > 0 {
		problems = append(problems, "the commands do not restore the lab: "+strings.Join(append(gone, added...), ", "))
	}
	return problems
}

// TestTryIt: the player must find each possible problem of a "Try it".
func TestTryIt(t *testing.T) {
	const second = "\n```\nIn a second terminal:\n```sh\n"
	for _, c := range []struct{ text, commands, want string }{
		{"", "make\nfollows" + second + "undo", ""},
		{"One of these commands must fail:", "fails" + second + "make\nundo", ""},
		{"", "fails" + second + "make\nundo", "1 commands fail, not 0 to 0: fails"},
		{"One of these commands must fail:", "agentless\nmake\nundo", ""},
		{"", "flag" + second + "make\nundo", "this command is invalid (exit status 1): flag"},
		{"", "follow" + second + "make\nundo", "this command does not end: follow"},
		{"End it with Ctrl-C.", "follow" + second + "make\nundo", ""},
		{"", "make\nfollows\n```\nThen:\n```sh\nundo", "\"follows\" is run"},
		{"", "make\nundo", ""},
		{"", "make \\\n  --long\nundo", ""},
		{"One of these\ncommands must fail:", "no\nmake\nundo", ""},
		{"Two of these commands may fail:", "no\nmake\nundo", ""},
		{"One or two of these commands must fail:", "no\nmake\nundo\nno", ""},
		{"One or two of these commands must fail:", "make\nundo", "0 commands fail, not 1 to 2"},
		{"", "make", "the commands do not restore the lab: new: entry"},
		{"", "make\nundo\nundo", "the commands do not restore the lab: gone: agent"},
		{"", "no", "1 commands fail, not 0 to 0: no"},
		{"One of these commands must fail:", "make\nundo", "0 commands fail, not 1 to 1"},
		{"Two of these commands may fail:", "no\nno\nno", "3 commands fail, not 0 to 2"},
		{"One of these commands must fail:", "flag", "this command is invalid (exit status 1): flag"},
		{"One of these commands must fail:", "misuse", "this command is invalid (exit status 2): misuse"},
		{"", "says", "this command is invalid (exit status 0): says"},
		{"One of these commands must fail:", "follow", "this command does not end: follow"},
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
			case "agentless":
				return "svid: dial unix /tmp/api.sock: connect: no such file or directory", 1
			case "misuse":
				return "", 2
			case "says":
				return "cat: x: No such file or directory", 0
			case "follow":
				return "", -1
			default:
				return fmt.Sprintf("usage: %q is run", command), 2
			}
			return "", 0
		}
		begin := func(command string) func(bool) (string, int) {
			return func(interrupt bool) (string, int) {
				switch {
				case interrupt, command == "follows":
					return "", 0
				case command == "fails":
					return "refused", 4
				}
				return run(command)
			}
		}
		lesson := "```sh\nearlier\n```\n\n## Try it\n\n" + c.text + "\n\n```sh\n" + c.commands + "\n```\n\nWhy?\n\nSources: x\n"
		p := player{run: run, begin: begin, state: func() []string { return slices.Clone(entries) }}
		said := strings.Join(p.try(lesson), "\n")
		if !strings.Contains(said, c.want) || (said == "") != (c.want == "") {
			t.Errorf("%q, %q: want %q, got %q", c.text, c.commands, c.want, said)
		}
	}
}
