package scenario

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

// tool is a small filter for a pipe in a script. It replaces a program of the machine.
type tool func(in io.Reader, out io.Writer, args []string) error

var tools = map[string]tool{
	"captured":  captured,
	"key_id":    keyID,
	"authority": authority,
	"grep":      grep,
	"head":      head,
	"tail":      tail,
	"count":     count,
}

func exitStatusOf(err error) (int, error) {
	var status interp.ExitStatus
	if errors.As(err, &status) {
		return int(status), nil
	}
	return 0, err
}

func lines(in io.Reader, each func(line string)) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		each(strings.TrimSuffix(scanner.Text(), "\r"))
	}
	return scanner.Err()
}

// captured REGEX prints, for each matching line, the text in the first pair of parentheses.
func captured(in io.Reader, out io.Writer, args []string) error {
	if len(args) != 1 {
		return failf("want: captured REGEX")
	}
	expression, err := regexp.Compile(args[0])
	if err != nil {
		return failf("captured: %v", err)
	}
	if expression.NumSubexp() != 1 {
		return failf("captured: want one pair of parentheses in %q", args[0])
	}
	return lines(in, func(line string) {
		if found := expression.FindStringSubmatch(line); found != nil {
			fmt.Fprintln(out, found[1])
		}
	})
}

// keyID is key_id: it prints a key identifier as SPIRE prints it, which is in lower case and without colons.
func keyID(in io.Reader, out io.Writer, args []string) error {
	if len(args) != 0 {
		return failf("key_id takes no arguments")
	}
	return lines(in, func(line string) {
		fmt.Fprintln(out, strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(line)))
	})
}

// authority STATE reads the output of `localauthority x509 show`, and prints the ID of the authority in this state: Active, Prepared
// or Old. If no authority has this state, it prints nothing.
func authority(in io.Reader, out io.Writer, args []string) error {
	if len(args) != 1 {
		return failf("want: authority Active|Prepared|Old")
	}
	mine := false
	return lines(in, func(line string) {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasSuffix(trimmed, " X.509 authority:"):
			mine = strings.HasPrefix(trimmed, args[0]+" ")
		case mine && strings.HasPrefix(trimmed, "Authority ID: "):
			fmt.Fprintln(out, strings.TrimPrefix(trimmed, "Authority ID: "))
		}
	})
}

// grep -E REGEX prints the matching lines, or with -cE their number. The exit status is 1 if no line matches.
func grep(in io.Reader, out io.Writer, args []string) error {
	if len(args) != 2 || args[0] != "-E" && args[0] != "-cE" {
		return failf("want: grep -E REGEX, or grep -cE REGEX")
	}
	expression, err := regexp.Compile(args[1])
	if err != nil {
		return failf("grep: %v", err)
	}
	found := 0
	err = lines(in, func(line string) {
		if expression.MatchString(line) {
			found++
			if args[0] == "-E" {
				fmt.Fprintln(out, line)
			}
		}
	})
	if args[0] == "-cE" {
		fmt.Fprintln(out, found)
	}
	if err == nil && found == 0 {
		return interp.ExitStatus(1)
	}
	return err
}

// head -n N prints the first lines.
func head(in io.Reader, out io.Writer, args []string) error {
	all, n, err := some("head", in, args)
	for _, line := range all[:min(n, len(all))] {
		fmt.Fprintln(out, line)
	}
	return err
}

// tail -n N prints the last lines.
func tail(in io.Reader, out io.Writer, args []string) error {
	all, n, err := some("tail", in, args)
	for _, line := range all[max(0, len(all)-n):] {
		fmt.Fprintln(out, line)
	}
	return err
}

func some(name string, in io.Reader, args []string) (all []string, n int, err error) {
	if len(args) != 2 || args[0] != "-n" || wholeNumber(args[1]) != nil {
		return nil, 0, failf("want: %s -n N", name)
	}
	err = lines(in, func(line string) { all = append(all, line) })
	return all, number(args[1]), err
}

// count prints the number of non-empty lines.
func count(in io.Reader, out io.Writer, args []string) error {
	if len(args) != 0 {
		return failf("count takes no arguments")
	}
	n := 0
	err := lines(in, func(line string) {
		if line != "" {
			n++
		}
	})
	fmt.Fprintln(out, n)
	return err
}
