// Package doctor names the first cause of what is wrong with a lab. It reads the report of
// scripts/report.sh on its standard input, and is a pure function of it: it asks nobody.
//
//	doctor [-o text|json] <report    the finding, or that all is well
//	doctor -table                    every finding there is, as the README's table
//
// It stops at the first cause: what comes after it in the list may well be its consequence.
package doctor

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
)

// Exit statuses.
const (
	well       = 0
	found      = 1
	usage      = 2
	cannotTell = 4
)

// Main is the command line of the doctor. It returns the exit status.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	status, err := run(args, in, out)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(errOut, "doctor: %v\n", err)
	}
	return status
}

func run(args []string, in io.Reader, out io.Writer) (int, error) {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	format := flags.String("o", "text", "`format`: text or json")
	table := flags.Bool("table", false, "print every finding there is, as a table in Markdown")
	final := flags.Bool("final", false, "there will be no second look: judge also what came without some of the answers")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), "doctor names the first cause of what is wrong with a lab, whose report it reads.\n\nusage: doctor [flags] <report\n\n")
		flags.PrintDefaults()
		fmt.Fprint(flags.Output(), "\nexit status: 0 all is well, 1 a cause was found, 2 wrong usage, 4 cannot tell\n")
	}
	if err := cli.Parse(flags, args, out); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return well, err
		}
		return usage, err
	}
	if *format != "text" && *format != "json" {
		return usage, fmt.Errorf("-o is %q: want text or json", *format)
	}
	if *table {
		return well, printTable(out)
	}
	f, err := report.Read(in)
	if err != nil {
		return usage, err
	}
	v := judge(f, *final)
	if *format == "json" {
		err = json.NewEncoder(out).Encode(v)
	} else {
		_, err = io.WriteString(out, v.text())
	}
	return v.status(), err
}

func (v verdict) status() int {
	switch {
	case v.Finding != nil:
		return found
	case len(v.Unanswered) > 0:
		return cannotTell
	}
	return well
}

// text is four short lines and the lesson, or one line.
func (v verdict) text() string {
	if v.Finding == nil && len(v.Unanswered) > 0 {
		return fmt.Sprintf("cannot tell: nothing wrong was seen, but there is no answer to %s\n", plain(strings.Join(v.Unanswered, ", ")))
	}
	if v.Finding == nil {
		return plain(v.Well) + "\n"
	}
	d := v.Finding
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s\n", d.Code, plain(d.Finding))
	fmt.Fprintf(&text, "  seen:     %s\n", plain(d.Seen))
	fmt.Fprintf(&text, "  expected: %s\n", plain(d.Expected))
	fmt.Fprintf(&text, "  do:       %s\n", visible(d.Do)) // a command that is cut would do harm
	fmt.Fprintf(&text, "  lesson:   %s\n", d.Lesson)
	if len(v.Unanswered) > 0 {
		fmt.Fprintf(&text, "  but:      there is no answer to %s\n", plain(strings.Join(v.Unanswered, ", ")))
	}
	return text.String()
}

// longestLine is the longest of the lines, in bytes, except that of what to do.
const longestLine = 400

// plain is a text as one line of limited length that steers no terminal.
func plain(text string) string {
	text = visible(text)
	if len(text) > longestLine {
		text = strings.TrimSpace(strings.ToValidUTF8(text[:longestLine], "")) + "..."
	}
	return text
}

// visible is a text as one line that steers no terminal: a report may come from anybody.
func visible(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, text))
}
