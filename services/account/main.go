// Command account counts, compares times and judges for the scenarios. They run in bash on the
// learner's machine, and feed it what the engine's logs say: it runs in the lab's own image, so that
// no Go is needed there, and its clock is the engine's, as that of the logs.
//
//	docker run --rm -i --network none spiffe-lab/workload:TAG account COMMAND ...
//
// It exits with 0 if what it was asked holds, with 1 if it does not, and with 2 for wrong usage. Why
// it does not is an answer, and goes to the standard output as any other.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

func main() {
	os.Exit(status(run(os.Args[1:], os.Stdin, os.Stdout, systemClock{}), os.Stdout, os.Stderr))
}

// clock is the time, which tests make up.
type clock interface {
	Now() time.Time
	// After is [time.After].
	After(time.Duration) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// commands by name. Each parses its own flags.
var commands = map[string]func(args []string, in io.Reader, out io.Writer, clock clock) error{
	"classroom": classroom,
	"countdown": countdown,
	"held":      held,
	"memory":    memory,
	"networks":  networks,
	"past":      past,
	"rotations": rotations,
	"seconds":   seconds,
	"traffic":   traffic,
}

func run(args []string, in io.Reader, out io.Writer, clock clock) error {
	names := strings.Join(slices.Sorted(maps.Keys(commands)), ", ")
	if len(args) == 0 {
		return cli.Usagef("want a command: %s", names)
	}
	command, ok := commands[args[0]]
	if !ok {
		return cli.Usagef("unknown command %q: want %s", args[0], names)
	}
	return command(args[1:], in, out, clock)
}

func status(err error, stdout, stderr io.Writer) int {
	if err == nil {
		return cli.OK
	}
	var usage *cli.UsageError
	if errors.As(err, &usage) {
		fmt.Fprintln(stderr, err)
		return cli.Usage
	}
	fmt.Fprintln(stdout, err)
	return cli.Failed
}

// parse parses flags that are followed by the named arguments.
func parse(flags *flag.FlagSet, args []string, names ...string) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	if err := flags.Parse(args); err != nil {
		return cli.Usagef("%s: %w", flags.Name(), err)
	}
	if flags.NArg() != len(names) {
		return cli.Usagef("%s: want the arguments %v, got %q", flags.Name(), names, flags.Args())
	}
	return nil
}

// readLines returns all lines.
func readLines(in io.Reader) ([]string, error) {
	var lines []string
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines, scanner.Err()
}
