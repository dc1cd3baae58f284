// Package grader tells whether a fault has been mended. On its standard input are reports of one lab, as
// scripts/lab report writes them, each after a line that names it:
//
//	## snapshot: before    how the lab was before it was broken
//	## snapshot: broken    how it was when it had just been broken
//	## snapshot: now       how it is now, and what was tried out in it (sections trial-NAME)
//
// It judges the state and not the way there: who is served and who is refused, what was opened wider, what
// was lost. It says what is still wrong as a learner can see it, and never why: of what differs from the lab
// as it was, that which the fault itself has changed is not named.
//
// Exit status: 0 mended, 1 not yet, 2 wrong usage, 4 cannot tell.
package grader

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
)

const usage = `grader judges whether a lab is as it was before it was broken.

usage: grader [-lost] <SNAPSHOTS

`

// Main is the command line of the grader. It returns the exit status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("grader", flag.ContinueOnError)
	flags.SetOutput(stderr)
	lost := flags.Bool("lost", false, "what the fault itself has lost need not survive")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "grader: unexpected argument %q: it reads standard input only\n", flags.Arg(0))
		return 2
	}
	snapshots, err := read(stdin)
	if err != nil {
		fmt.Fprintf(stderr, "grader: %v\n", err)
		return 2
	}
	verdict := judge(snapshots, *lost)
	switch {
	case len(verdict.unknown) > 0:
		fmt.Fprintf(stdout, "cannot tell: no answer from %s\n", strings.Join(verdict.unknown, ", "))
		return 4
	case len(verdict.wrong) > 0:
		for _, w := range verdict.wrong {
			fmt.Fprintln(stdout, w)
		}
		return 1
	}
	return 0
}

// snapshots are the reports of one lab.
type snapshots struct {
	before, broken, now *facts.Facts
}

func read(in io.Reader) (snapshots, error) {
	texts := map[string]*strings.Builder{}
	var current *strings.Builder
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "## snapshot: "); ok {
			current = &strings.Builder{}
			texts[name] = current
		} else if current != nil {
			current.WriteString(lines.Text())
			current.WriteByte('\n')
		}
	}
	if err := lines.Err(); err != nil {
		return snapshots{}, err
	}
	var s snapshots
	for name, to := range map[string]**facts.Facts{"before": &s.before, "broken": &s.broken, "now": &s.now} {
		text := texts[name]
		if text == nil {
			return s, fmt.Errorf("there is no snapshot %q: want what scripts/faults.sh gathers", name)
		}
		whole, tried, _ := strings.Cut(text.String(), "\n## section: ")
		f, err := report.Read(strings.NewReader(whole))
		if err != nil {
			return s, fmt.Errorf("snapshot %q: %w", name, err)
		}
		addTrials(f, tried)
		*to = f
	}
	return s, nil
}

// addTrials adds what was tried out, as scripts/lib/fault.sh writes it: the name, a line with the status, and what was printed,
// indented by two spaces.
func addTrials(f *facts.Facts, text string) {
	for part := range strings.SplitSeq(text, "## section: ") {
		lines := strings.Split(strings.TrimRight(part, "\n"), "\n")
		if len(lines) < 2 {
			continue
		}
		s := &facts.Section{Question: lines[0], Status: strings.TrimPrefix(lines[1], "status: ")}
		for _, line := range lines[2:] {
			s.Lines = append(s.Lines, strings.TrimPrefix(line, "  "))
		}
		f.Add(s)
	}
}
