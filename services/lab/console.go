package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

func (a *app) console() *cobra.Command {
	var port, record, replay string
	var quiet bool
	command := &cobra.Command{
		Use:     "console",
		Short:   "show the lab in a browser, live",
		Example: "  scripts/lab console\n  scripts/lab console --record bad-id.jsonl\n  scripts/lab console --replay bad-id.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			args := []string{"-port", port}
			if quiet {
				args = append(args, "-no-open")
			}
			for flag, file := range map[string]string{"-record": record, "-replay": replay} {
				if file == "" {
					continue
				}
				file, err := filepath.Abs(file)
				if err != nil {
					return err
				}
				args = append(args, flag, file)
			}
			return a.besides(cmd, append(args, "serve"))
		},
	}
	command.Flags().StringVar(&port, "port", "8089", "port on 127.0.0.1")
	command.Flags().StringVar(&record, "record", "", "until Ctrl-C, record into a new file what the page shows")
	command.Flags().StringVar(&replay, "replay", "", "show a recorded file, step by step; no lab is needed")
	command.MarkFlagsMutuallyExclusive("record", "replay")
	command.Flags().BoolVar(&quiet, "no-open", false, "open no browser")
	return command
}

func (a *app) handshake() *cobra.Command {
	var as string
	command := &cobra.Command{
		Use:     "handshake",
		Short:   "perform one real TLS handshake, and show its messages",
		Example: "  scripts/lab handshake\n  scripts/lab handshake --as nobody",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.besides(cmd, []string{"-as", as, "handshake"}) },
	}
	command.Flags().StringVar(&as, "as", lab.ClientUser, "client-workload, server-workload, or nobody (no certificate)")
	return command
}

// besides runs the program console, which is in the same folder as this program. The console uses the learner's
// terminal.
func (a *app) besides(cmd *cobra.Command, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	file := filepath.Join(filepath.Dir(self), "console")
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	if _, err := os.Stat(file); err != nil {
		return &engine.Problem{What: "the program console is missing beside the program lab: " + err.Error(), Remedy: "remove " + self + ", then run scripts/lab, which builds both programs"}
	}
	run := exec.CommandContext(cmd.Context(), file, append([]string{"-dir", a.dir}, args...)...)
	run.Stdin, run.Stdout, run.Stderr = os.Stdin, os.Stdout, os.Stderr
	run.Cancel = func() error {
		if runtime.GOOS == "windows" {
			return nil // Ctrl-C has reached the console too, and there is no other signal
		}
		return run.Process.Signal(os.Interrupt)
	}
	run.WaitDelay = 10 * time.Second
	err = run.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exitStatus(exit.ExitCode())
	case cmd.Context().Err() != nil:
		return nil // the console has ended as requested
	}
	return err
}
