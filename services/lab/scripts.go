package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
)

// orders are the variables by which the scripts below take their options. In the learner's environment they are no orders: WSL sets
// NAME.
var orders = []string{"all", "FULL", "FAULTS_KEPT", "KEEP", "KEEP_OPEN", "NAME", "ONLY", "PATIENCE", "PAUSE", "QUICK", "REPORT", "RESET", "WAIT", "WHO"}

// addScripts adds the commands that are shell scripts. They need bash.
func (a *app) addScripts(add func(group string, commands ...*cobra.Command)) {
	// script runs a script of scripts/ with arguments, and with its options as variables.
	script := func(file string, arguments func(args []string) []string, options map[string]*string) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			var extra []string
			for name, value := range options {
				if *value != "" {
					extra = append(extra, name+"="+*value)
				}
			}
			return a.runScriptFile(cmd, file, arguments(args), extra)
		}
	}
	fixed := func(words ...string) func([]string) []string {
		return func([]string) []string { return words }
	}
	{
		var reset bool
		var value string
		command := &cobra.Command{Use: "faults", Short: "list the faults that you can find and fix, with your progress", Args: cobra.NoArgs}
		command.Flags().BoolVar(&reset, "reset", false, "forget the progress")
		run := script("faults.sh", fixed("list"), map[string]*string{"RESET": &value})
		command.RunE = func(cmd *cobra.Command, args []string) error {
			if reset {
				value = "1"
			}
			return run(cmd, args)
		}
		add("faults", command)
	}
	{
		var name string
		command := &cobra.Command{Use: "break [NAME]", Short: "inject the next fault, or this one, and show what somebody complains of", Args: cobra.MaximumNArgs(1),
			Example: "  scripts/lab break\n  scripts/lab break clean-up\n  scripts/lab break 1"}
		run := script("faults.sh", fixed("break"), map[string]*string{"NAME": &name})
		command.RunE = func(cmd *cobra.Command, args []string) error {
			name = strings.Join(args, "")
			return run(cmd, args)
		}
		add("faults", command)
	}
	{
		var who string
		command := &cobra.Command{Use: "check", Short: "is the fault fixed?", Args: cobra.NoArgs}
		command.Flags().StringVar(&who, "who", "", "your name, for the receipt; it is remembered")
		command.RunE = script("faults.sh", fixed("check"), map[string]*string{"WHO": &who})
		add("faults", command)
	}
	for _, verb := range [][2]string{{"ticket", "show the complaint again"}, {"hint", "show the next of three hints"}, {"give-up", "show what the fault was, and fix it"}, {"reset", "fix the fault without a word"}} {
		add("faults", &cobra.Command{Use: verb[0], Short: verb[1], Args: cobra.NoArgs, RunE: script("faults.sh", fixed(verb[0]), nil)})
	}
}

// runScriptFile runs a script of scripts/ with the learner's terminal.
func (a *app) runScriptFile(cmd *cobra.Command, file string, args, extra []string) error {
	if _, err := exec.LookPath("bash"); err != nil {
		return &engine.Problem{What: "this command is a shell script, and there is no bash on this machine", Remedy: "install bash; on Windows use WSL 2"}
	}
	run := exec.CommandContext(cmd.Context(), "bash", append([]string{filepath.Join(a.dir, "scripts", file)}, args...)...)
	run.Env = append(withoutOrders(os.Environ()), extra...)
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.Stdin, run.Stdout, run.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := run.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitStatus(exit.ExitCode())
	}
	return err
}

func withoutOrders(environ []string) []string {
	var kept []string
next:
	for _, variable := range environ {
		for _, order := range orders {
			if strings.HasPrefix(variable, order+"=") {
				continue next
			}
		}
		kept = append(kept, variable)
	}
	return kept
}
