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
	return &cobra.Command{
		Use:               "lesson NAME",
		Short:             "show the lesson of a scenario",
		Example:           "  scripts/lab lesson bad-id",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeScenarios,
		RunE: func(_ *cobra.Command, args []string) error {
			script, err := scenario.Find(a.dir, args[0])
			if err != nil {
				return err
			}
			if script.Lesson == "" {
				return &engine.Problem{What: "the scenario " + script.Name + " has no lesson", Remedy: "make scenarios lists the scenarios"}
			}
			text, err := os.ReadFile(filepath.Join(a.dir, filepath.FromSlash(script.Lesson)))
			if err != nil {
				return err
			}
			return markdown.Render(screen.New(os.Stdout), text)
		},
	}
}

func (a *app) answer() *cobra.Command {
	return &cobra.Command{
		Use:               "answer NAME",
		Short:             "show the answer to the question of a lesson",
		Example:           "  scripts/lab answer bad-id",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeScenarios,
		RunE: func(_ *cobra.Command, args []string) error {
			script, err := scenario.Find(a.dir, args[0])
			if err != nil {
				return err
			}
			text, err := os.ReadFile(filepath.Join(a.dir, "scripts", "scenarios", "ANSWERS.md"))
			if err != nil {
				return err
			}
			section := regexp.MustCompile(`(?ms)^## ` + regexp.QuoteMeta(script.Name) + `\n.*?(?:^## |\z)`).Find(text)
			if section == nil {
				return fmt.Errorf("scripts/scenarios/ANSWERS.md has no answer for %s", script.Name)
			}
			return markdown.Render(screen.New(os.Stdout), regexp.MustCompile(`(?m)^## \z`).ReplaceAll(section, nil))
		},
	}
}
