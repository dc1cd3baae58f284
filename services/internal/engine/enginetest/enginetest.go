// Package enginetest lets a test program replace docker, docker compose and other programs.
package enginetest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rulesVariable is the environment variable with the rules. If it is set, the test program acts as docker. logVariable is the environment
// variable with the name of the log file. The log has the command lines of all programs that have run.
const (
	rulesVariable = "ENGINETEST_DOCKER"
	logVariable   = "ENGINETEST_LOG"
)

// Main is for TestMain. It runs the tests, or answers as docker.
func Main(m *testing.M) {
	if rules := os.Getenv(rulesVariable); rules != "" {
		os.Exit(answer(rules, filepath.Base(os.Args[0]), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// answer uses the first rule "WORDS => STATUS TEXT" whose words are in the command line, which begins with the program's name. In the text,
// " | " stands for a line break, ARGS for the arguments, and <FILE for the content of a file. If the status is not 0, the text goes to the
// standard error. A rule that begins with "once " is used only once. The answer "hangs" does not come.
func answer(rules, program string, args []string) int {
	line := program + " " + strings.Join(args, " ")
	before, err := note(line)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 9
	}
	for rule := range strings.Lines(rules) {
		words, answer, ok := strings.Cut(strings.TrimSpace(rule), " => ")
		words, once := strings.CutPrefix(words, "once ")
		if !ok || !strings.Contains(line, words) || once && strings.Contains(before, words) {
			continue
		}
		if answer == "hangs" {
			time.Sleep(time.Minute)
		}
		status, text, _ := strings.Cut(answer, " ")
		out := os.Stdout
		if status != "0" {
			out = os.Stderr
		}
		if file, ok := strings.CutPrefix(text, "<"); ok {
			content, err := os.ReadFile(file)
			if _, writeErr := out.Write(content); errors.Join(err, writeErr) != nil {
				return 9
			}
			return int(status[0] - '0')
		}
		fmt.Fprintln(out, strings.ReplaceAll(strings.ReplaceAll(text, " | ", "\n"), "ARGS", strings.Join(args, " ")))
		return int(status[0] - '0')
	}
	fmt.Fprintln(os.Stderr, "unexpected:", line)
	return 9
}

// note adds a command line to the log. If the last argument is "-", it adds the standard input too. It returns the log as it was before.
func note(line string) (before string, err error) {
	file, err := os.OpenFile(os.Getenv(logVariable), os.O_APPEND|os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(line, " -") {
		input, err := io.ReadAll(os.Stdin)
		if err != nil {
			return "", err
		}
		line += " < " + string(input)
	}
	_, err = fmt.Fprintln(file, line)
	return string(text), err
}

// Log returns the command lines of all programs that have run since [Start].
func Log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(os.Getenv(logVariable))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Version and Info are rules for an engine that the lab works with, and for its Compose plugin.
const (
	Version = `version --format => 0 {"Server":{"APIVersion":"1.44","Version":"25.0.1","Os":"linux","Arch":"arm64","Components":[{"Name":"Engine"}]}}
`
	Info = `info --format => 0 {"ClientInfo":{"Plugins":[{"Name":"buildx","Version":"v1","Path":"/x"},{"Name":"compose","Version":"v2.40.0","Path":"COMPOSE"}]}}
`
)

// Env is a correct .env.
const Env = "SPIRE_VERSION=1.15.3\nSPIRE_REGISTRY=ghcr.io/spiffe\nGO_IMAGE=golang:1.26-alpine\nTOOLS_BASE_IMAGE=buildpack-deps:bookworm-curl\nLAB_TAG=local\n"

// Start creates a program docker that answers by these rules, and the programs in programNames. PATH then has only these programs. Start
// returns a folder with a file .env. In the rules, COMPOSE stands for the path of docker-compose. The Compose project is p, and the
// environment sets no version.
func Start(t *testing.T, rules string, programNames ...string) (dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs, dir := t.TempDir(), t.TempDir()
	for _, name := range slices.Concat([]string{"docker", "docker-compose"}, programNames) {
		if err := os.Symlink(self, filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(Env), 0o644); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(programs, "log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"SPIRE_VERSION", "SPIRE_REGISTRY", "GO_IMAGE", "TOOLS_BASE_IMAGE", "LAB_TAG"} {
		t.Setenv(name, "")
	}
	t.Setenv(logVariable, log)
	t.Setenv("PATH", programs)
	t.Setenv(rulesVariable, strings.ReplaceAll(rules, "COMPOSE", filepath.Join(programs, "docker-compose")))
	t.Setenv("COMPOSE_PROJECT_NAME", "p")
	return dir
}
