package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/markdown"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

func (a *app) lesson() *cobra.Command {
	return a.reads("lesson", "show the lesson of a scenario", func(script scenario.Script) ([]byte, error) {
		if script.Lesson == "" {
			return nil, &engine.Problem{What: "the scenario " + script.Name + " has no lesson", Remedy: "\"make scenarios\" lists the scenarios"}
		}
		return os.ReadFile(filepath.Join(a.dir, filepath.FromSlash(script.Lesson)))
	})
}

func (a *app) answer() *cobra.Command {
	return a.reads("answer", "show the answer to the question of a lesson", func(script scenario.Script) ([]byte, error) {
		text, err := os.ReadFile(filepath.Join(a.dir, "scripts", "scenarios", "ANSWERS.md"))
		if err != nil {
			return nil, err
		}
		section := regexp.MustCompile(`(?ms)^## ` + regexp.QuoteMeta(script.Name) + `\n.*?(?:^## |\z)`).Find(text)
		if section == nil {
			return nil, fmt.Errorf("scripts/scenarios/ANSWERS.md has no answer for %s", script.Name)
		}
		return regexp.MustCompile(`(?m)^## \z`).ReplaceAll(section, nil), nil
	})
}

func (a *app) reads(name, short string, text func(scenario.Script) ([]byte, error)) *cobra.Command {
	return &cobra.Command{
		Use:               name + " NAME",
		Short:             short,
		Example:           "  scripts/lab " + name + " bad-id",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeScenarios,
		RunE: func(_ *cobra.Command, args []string) error {
			script, err := scenario.Find(a.dir, args[0])
			if err != nil {
				return err
			}
			shown, err := text(script)
			if err != nil {
				return err
			}
			return markdown.Render(screen.New(os.Stdout), shown)
		},
	}
}
