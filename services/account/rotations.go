package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
)

var rotation = regexp.MustCompile(`X\.509-SVID of (\S+) rotated: serial (\S+) -> ([^\s,]+),`)

// rotations reads the lines in which a program logs that its SVID was rotated, and writes their number.
// Each must name the SPIFFE ID -id, and take up the serial that the one before has left.
func rotations(args []string, in io.Reader, out io.Writer, _ clock) error {
	flags := flag.NewFlagSet("rotations", flag.ContinueOnError)
	id := flags.String("id", "", "the SPIFFE `ID`")
	if err := parse(flags, args); err != nil {
		return err
	}
	lines, err := readLines(in)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return errors.New("there is no rotation")
	}
	held := ""
	for _, line := range lines {
		found := rotation.FindStringSubmatch(line)
		switch {
		case found == nil:
			return fmt.Errorf("this is no rotation: %s", line)
		case found[1] != *id:
			return fmt.Errorf("a rotation is not of %s: %s", *id, line)
		case found[2] == found[3]:
			return fmt.Errorf("a rotation changed nothing: %s", line)
		case held != "" && found[2] != held:
			return fmt.Errorf("the rotations are no unbroken chain of serials, %s was held before: %s", held, line)
		}
		held = found[3]
	}
	fmt.Fprintln(out, len(lines))
	return nil
}
