// Package enginetest lets a test's own program stand in for docker and docker compose.
package enginetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rulesVariable has the rules; the test's program is docker where it is set.
const rulesVariable = "ENGINETEST_DOCKER"

// Main is for TestMain: it runs the tests, or answers as docker.
func Main(m *testing.M) {
	if rules := os.Getenv(rulesVariable); rules != "" {
		os.Exit(answer(rules, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// answer answers by the first rule "WORDS => STATUS TEXT" whose words are in the command line. In the text " | " is a line break and ARGS
// the command line. With a status over 0 the text goes to the standard error.
func answer(rules string, args []string) int {
	line := strings.Join(args, " ")
	for rule := range strings.Lines(rules) {
		words, answer, ok := strings.Cut(strings.TrimSpace(rule), " => ")
		if !ok || !strings.Contains(line, words) {
			continue
		}
		status, text, _ := strings.Cut(answer, " ")
		out := os.Stdout
		if status != "0" {
			out = os.Stderr
		}
		fmt.Fprintln(out, strings.ReplaceAll(strings.ReplaceAll(text, " | ", "\n"), "ARGS", line))
		return int(status[0] - '0')
	}
	fmt.Fprintln(os.Stderr, "unexpected:", line)
	return 9
}

// Version and Info are rules for an engine that the lab works with, and for its Compose plugin.
const (
	Version = `version --format => 0 {"Server":{"APIVersion":"1.44","Version":"25.0.1","Os":"linux","Arch":"arm64","Components":[{"Name":"Engine"}]}}
`
	Info = `info --format => 0 {"ClientInfo":{"Plugins":[{"Name":"buildx","Version":"v1","Path":"/x"},{"Name":"compose","Version":"v2.40.0","Path":"COMPOSE"}]}}
`
)

// Env is a good .env.
const Env = "SPIRE_VERSION=1.15.3\nSPIRE_REGISTRY=ghcr.io/spiffe\nGO_IMAGE=golang:1.26-alpine\nTOOLS_BASE_IMAGE=buildpack-deps:bookworm-curl\nLAB_TAG=local\n"

// Start puts a docker that answers by these rules into PATH, as the only program there, and returns a folder that has a .env. In the
// rules COMPOSE is the path of docker-compose. The project's name is p.
func Start(t *testing.T, rules string) (dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"docker", "docker-compose"} {
		if err := os.Symlink(self, filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(Env), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs)
	t.Setenv(rulesVariable, strings.ReplaceAll(rules, "COMPOSE", filepath.Join(programs, "docker-compose")))
	t.Setenv("COMPOSE_PROJECT_NAME", "p")
	return dir
}
