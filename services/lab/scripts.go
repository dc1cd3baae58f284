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
// NAME, conda sets AS, and platforms set PORT.
var orders = []string{"all", "AS", "FULL", "KEEP", "KIT", "N", "ONLY", "OPEN", "PAUSE", "PORT", "QUICK", "REPORT", "WAIT",
	"YES"}

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
		var port, open string
		var quiet bool
		command := &cobra.Command{Use: "console", Short: "show the lab in a browser, live", Args: cobra.NoArgs}
		command.Flags().StringVar(&port, "port", "", "port on 127.0.0.1 (8089)")
		command.Flags().BoolVar(&quiet, "no-open", false, "open no browser")
		run := script("console.sh", fixed(), map[string]*string{"PORT": &port, "OPEN": &open})
		command.RunE = func(cmd *cobra.Command, args []string) error {
			if quiet {
				open = "0"
			}
			return run(cmd, args)
		}
		add("learn", command)
	}
	{
		var as string
		command := &cobra.Command{Use: "handshake", Short: "perform one real TLS handshake, and show its messages", Args: cobra.NoArgs}
		command.Flags().StringVar(&as, "as", "", "client-workload, server-workload, or nobody, who shows no certificate (client-workload)")
		command.RunE = script("handshake.sh", fixed(), map[string]*string{"AS": &as})
		add("learn", command)
	}
	{
		var folder string
		command := &cobra.Command{Use: "kit", Short: "pack the lab with its images into one file, for a room without a network", Args: cobra.NoArgs}
		command.Flags().StringVar(&folder, "to", "", "folder for the file (.cache/kit)")
		command.RunE = script("kit.sh", fixed(), map[string]*string{"KIT": &folder})
		add("trainer", command)
	}
	add("trainer",
		&cobra.Command{Use: "classroom N", Short: "start N labs on this machine, each verified", Args: cobra.ExactArgs(1),
			RunE: script("classroom.sh", func(args []string) []string { return append([]string{"up"}, args...) }, nil)},
		&cobra.Command{Use: "classroom-down", Short: "remove the labs of the classroom", Args: cobra.NoArgs, RunE: script("classroom.sh", fixed("down"), nil)})
	for _, verb := range [][2]string{{"up", "start the lab on the cluster of the current kubectl context"}, {"bad-id", "run the client there under the server's service account"},
		{"down", "remove the lab from that cluster"}} {
		var yes bool
		var value string
		command := &cobra.Command{Use: "k8s-" + verb[0], Short: verb[1], Args: cobra.NoArgs}
		command.Flags().BoolVar(&yes, "yes", false, "do not ask whether the cluster is the right one")
		run := script("kubernetes.sh", fixed(verb[0]), map[string]*string{"YES": &value})
		command.RunE = func(cmd *cobra.Command, args []string) error {
			if yes {
				value = "1"
			}
			return run(cmd, args)
		}
		add("trainer", command)
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
