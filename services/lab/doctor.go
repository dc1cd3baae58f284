package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cause"
	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	gather "github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// exitCannotTell means that the doctor found nothing wrong, but did not get every answer.
const exitCannotTell = 4

func (a *app) doctor() *cobra.Command {
	var output string
	var force bool
	var patience time.Duration
	command := &cobra.Command{
		Use:   "doctor [REPORT]",
		Short: "find the first cause of a problem, in this lab or in a report",
		Long: "Find the first cause of a problem, and print what to do, and the lesson that explains it.\n\n" +
			"Exit statuses: 0 all is well; 1 a cause was found; 2 the command line is wrong, or the file is not a report; 4 the doctor found no cause, but did not get every answer.",
		Example: "  scripts/lab doctor\n  scripts/lab doctor report.json\n  scripts/lab doctor -o json",
		Args:    cobra.MaximumNArgs(1),
	}
	command.Flags().StringVarP(&output, "output", "o", "text", "text, or json for programs")
	command.Flags().BoolVar(&force, "force", false, "run although the doctor is off for the open fault; counts as a hint")
	command.Flags().DurationVar(&patience, "patience", 0, "how long to wait for all answers, without a second attempt")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if output != "text" && output != "json" {
			return usageError{fmt.Errorf("--output is %q: want text or json", output)}
		}
		if len(args) == 1 {
			f, err := readReport(args[0])
			if err != nil {
				return usageError{err}
			}
			return tellVerdict(cause.Judge(f, true), output)
		}
		l, err := a.launcher()
		if err != nil {
			return err
		}
		off, err := progress.Of(l.Dir, l.Project).DoctorOff(force || os.Getenv("FORCE") == "1")
		if err != nil {
			return err
		}
		if off != "" {
			l.Screen.Say("%s", off)
			return exitStatus(exitCannotTell)
		}
		return tellVerdict(l.Doctor(cmd.Context(), gather.Options{Patience: patience, Cut: scenario.CutOff(l.Engine)}), output)
	}
	return command
}

func readReport(name string) (*facts.Facts, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("there is no report %s: scripts/lab report writes one, and prints its name", name)
	}
	defer file.Close()
	f, err := gather.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

func tellVerdict(v cause.Verdict, output string) error {
	var err error
	if output == "json" {
		err = json.NewEncoder(os.Stdout).Encode(v)
	} else {
		_, err = os.Stdout.WriteString(v.Text())
	}
	switch {
	case err != nil:
		return err
	case v.Finding != nil:
		return exitStatus(exitFailure)
	case len(v.Unanswered) > 0:
		return exitStatus(exitCannotTell)
	}
	return nil
}

func (a *app) report() *cobra.Command {
	var patience time.Duration
	command := &cobra.Command{
		Use:     "report [FILE]",
		Short:   "write the state of the lab into one file, without secrets",
		Long:    "Write the state of the lab into one file, for the trainer or for \"scripts/lab doctor FILE\". The file has no passwords, tokens, keys or home folders. The default FILE is .cache/report.json; - is the standard output.",
		Example: "  scripts/lab report\n  scripts/lab report mine.json",
		Args:    cobra.MaximumNArgs(1),
	}
	command.Flags().DurationVar(&patience, "patience", 0, "how long to wait for all answers, without a second attempt")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := a.launcher()
		if err != nil {
			return err
		}
		f := l.PatientReport(cmd.Context(), gather.Options{Patience: patience, Cut: scenario.CutOff(l.Engine)})
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		if len(args) == 1 && args[0] == "-" {
			return gather.Save(os.Stdout, f)
		}
		name := l.Cache("report.json")
		if len(args) == 1 {
			name = args[0]
		}
		if err := saveReport(name, f); err != nil {
			return &engine.Problem{What: "the report cannot be written: " + err.Error(), Remedy: "name another file: scripts/lab report FILE"}
		}
		for _, s := range f.Sections() {
			if !s.Answered() {
				l.Screen.Say("no answer to %s: %s", s.Question, s.Status)
			}
		}
		l.Screen.Say("the report: %s", name)
		return nil
	}
	return command
}

func saveReport(name string, f *facts.Facts) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(gather.Save(file, f), file.Close())
}
