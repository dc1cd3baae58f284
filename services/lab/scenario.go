package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

func (a *app) scenarios() *cobra.Command {
	return &cobra.Command{
		Use:   "scenarios",
		Short: "list the scenarios with their expectations",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := scenario.List(a.dir)
			if err != nil {
				return err
			}
			title := ""
			for _, place := range scenario.InCourse(all) {
				if place.Chapter != title {
					title = place.Chapter
					fmt.Printf("%s\n", title)
				}
				fmt.Printf("  %-22s %s\n", place.Name, place.Expectation)
			}
			fmt.Println("\nto run one: make scenario-NAME, or scripts/lab scenario NAME")
			return nil
		},
	}
}

func (a *app) scenario() *cobra.Command {
	options := scenario.Options{}
	var pause bool
	command := &cobra.Command{
		Use:   "scenario NAME",
		Short: "run one scenario",
		Long: `Run one scenario in steps. Each step prints its commands as you could type them, their real output,
and an explanation. The scenario ends with PASS and restores the lab. If a check does not hold, or
if you interrupt the scenario, the lab is reset.`,
		Example:           "  scripts/lab scenario bad-id\n  scripts/lab scenario rotation --pause",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			script, err := scenario.Find(a.dir, args[0])
			if err != nil {
				return err
			}
			l, err := a.launcher()
			if err != nil {
				return err
			}
			if pause {
				if !term.IsTerminal(int(os.Stdin.Fd())) {
					return usageError{fmt.Errorf("--pause waits for Enter, and the standard input is not a terminal")}
				}
				options.Pause = os.Stdin
			}
			return runScript(cmd, l, script, options)
		},
	}
	flags := command.Flags()
	flags.BoolVar(&options.Quick, "quick", false, "the short form, with shorter waits")
	flags.BoolVar(&pause, "pause", false, "wait for Enter between the steps")
	flags.BoolVar(&options.Keep, "keep", false, "do not reset the lab if the scenario fails, so that you can inspect it")
	flags.DurationVar(&options.RunLimit, "run-limit", scenario.DefaultRunLimit, "the longest that a command may take")
	flags.DurationVar(&options.LogLimit, "log-limit", scenario.DefaultLogLimit, "the longest wait for a line in a log")
	return command
}

func runScript(cmd *cobra.Command, l *launch.Launcher, script scenario.Script, options scenario.Options) error {
	if _, open := progress.Of(l.Dir, l.Project).Open(); open {
		return &engine.Problem{What: "you have an unsolved fault in this lab, and scenarios need a healthy lab",
			Remedy: "run \"make check\" or \"make reset\". Or run the scenario in a second lab: COMPOSE_PROJECT_NAME=other make scenario-" + script.Name}
	}
	if err := os.MkdirAll(l.Cache(), 0o755); err != nil {
		return l.Unwritable(l.Cache(), err)
	}
	place := scenario.Place{Dir: l.Dir, Cache: l.Cache(), Project: l.Project, Folder: l.Folder}
	if scenario.Run(cmd.Context(), l, place, script, l.Screen, options) {
		return nil
	}
	if cmd.Context().Err() != nil {
		return exitStatus(exitInterrupt)
	}
	return exitStatus(exitFailure)
}

func (a *app) completeScenarios(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := scenario.List(a.dir)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, script := range all {
		names = append(names, cobra.CompletionWithDesc(script.Name, script.Expectation))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
