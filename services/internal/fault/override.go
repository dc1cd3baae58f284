package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// overrideFile is the file that Compose reads in addition to compose.yaml. A fault may write it, as if another team had left it there.
const overrideFile = "compose.override.yaml"

// overrideKept has every version of the file that the open fault has written.
const overrideKept = "override"

func (s *session) composeFolder() string { return filepath.Dir(s.ComposeFile(overrideFile)) }

// brought returns the text that the fault has written into the override. ok is false if the fault has written no override.
func (s *session) brought() (text string, ok bool) {
	all, err := os.ReadFile(s.kept.OpenFile(overrideKept))
	return string(all), err == nil
}

func (s *session) mayOverride() error {
	if !s.calls("override") {
		return nil
	}
	if name := engine.OverrideIn(s.composeFolder()); name != "" {
		return &engine.Problem{What: "the fault " + s.Short() + " writes " + overrideFile + ", but there is a file of yours: " + s.relative(s.ComposeFile(name)),
			Remedy: "move your file away, and run \"make up\". Or inject a different fault: make break NAME=name"}
	}
	return nil
}

func (s *session) relative(file string) string {
	if path, err := filepath.Rel(s.Dir, file); err == nil {
		return filepath.ToSlash(path)
	}
	return file
}

// calls reports whether the file of the fault calls a helper function.
func (f *Fault) calls(name string) (found bool) {
	syntax.Walk(f.syntax, func(node syntax.Node) bool {
		if call, ok := node.(*syntax.CallExpr); ok && len(call.Args) > 0 && call.Args[0].Lit() == name {
			found = true
		}
		return true
	})
	return found
}

// overrideScript writes its standard input into the override. The lines that the functions setup and inject write belong to the fault. The
// lines that a fix writes count as the learner's lines. If a service is given, overrideScript recreates the service with the override.
func (s *session) overrideScript(ctx context.Context, hc interp.HandlerContext, args []string) error {
	return s.overrideFrom(ctx, hc, "override", args, s.override)
}

func (s *session) overrideAddsScript(ctx context.Context, hc interp.HandlerContext, args []string) error {
	return s.overrideFrom(ctx, hc, "override_adds", args, func(text string) error {
		before, err := os.ReadFile(s.ComposeFile(overrideFile))
		if err != nil {
			return err
		}
		return s.override(string(before) + text)
	})
}

// overrideFrom passes the standard input to the parameter write. If a service is given, overrideFrom then recreates the service.
func (s *session) overrideFrom(ctx context.Context, hc interp.HandlerContext, name string, args []string, write func(text string) error) error {
	if len(args) > 0 {
		if err := scenario.CheckArguments(name+" SERVICE", args); err != nil {
			return err
		}
	}
	text, err := read(hc)
	if err == nil && strings.TrimSpace(string(text)) == "" {
		return scenario.Failf("%s wants a Compose file on its standard input", name)
	}
	if err == nil {
		err = write(string(text))
	}
	if err == nil {
		err = s.recreated(ctx, args)
	}
	return scenario.Answer(hc, err)
}

// recreated uses `docker compose up`: the container of a service, if one is given, gets the settings in the Compose files.
func (s *session) recreated(ctx context.Context, service []string) error {
	if len(service) == 0 {
		return nil
	}
	_, err := s.compose(ctx, append([]string{"up", "--detach", "--no-deps"}, service...)...)
	return err
}

func (s *session) override(text string) error {
	s.mu.Lock()
	part := s.part
	s.mu.Unlock()
	if part == "setup" || part == "inject" {
		before, ours := s.brought()
		if name := engine.OverrideIn(s.composeFolder()); name != "" && !ours {
			return fmt.Errorf("there is a file %s, which this fault did not write", s.relative(s.ComposeFile(name)))
		}
		if err := s.kept.Keep(overrideKept, []byte(before+text)); err != nil {
			return err
		}
	}
	return os.WriteFile(s.ComposeFile(overrideFile), []byte(text), 0o644)
}

// noOverride removes the override, and recreates a service without it.
func (s *session) noOverride(ctx context.Context, args []string) error {
	if len(args) > 0 {
		if err := scenario.CheckArguments("no_override SERVICE", args); err != nil {
			return err
		}
	}
	if err := os.Remove(s.ComposeFile(overrideFile)); err != nil {
		return err
	}
	return s.recreated(ctx, args)
}

// overrideHas checks whether a line of the override matches a regular expression.
func (s *session) overrideHas(_ context.Context, args []string) error {
	text, err := os.ReadFile(s.ComposeFile(overrideFile))
	if err != nil {
		return err
	}
	if !regexp.MustCompile(`(?m)` + args[0]).MatchString(strings.ReplaceAll(string(text), "\r\n", "\n")) {
		return fmt.Errorf("no line of %s matches %s", overrideFile, args[0])
	}
	return nil
}

// dropOverride removes the override of the fault. If the file has lines that the fault did not write, dropOverride keeps a copy next to the
// result records, and returns the path of the copy.
func (s *session) dropOverride() (saved string, err error) {
	written, ours := s.brought()
	if !ours {
		return "", nil
	}
	text, err := os.ReadFile(s.ComposeFile(overrideFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", os.Remove(s.kept.OpenFile(overrideKept))
	}
	if err != nil {
		return "", err
	}
	lines := func(text string) []string {
		var all []string
		for line := range strings.Lines(text) {
			all = append(all, strings.TrimSpace(line))
		}
		return all
	}
	known := lines(written)
	if slices.ContainsFunc(lines(string(text)), func(line string) bool { return line != "" && !slices.Contains(known, line) }) {
		if saved, err = s.kept.Save(strings.TrimSuffix(overrideFile, ".yaml")+"-"+s.Short(), ".yaml", text); err != nil {
			return "", err
		}
	}
	return saved, errors.Join(os.Remove(s.ComposeFile(overrideFile)), os.Remove(s.kept.OpenFile(overrideKept)))
}
