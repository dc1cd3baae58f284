package traffic

import (
	"errors"
	"fmt"
	"regexp"
)

var rotation = regexp.MustCompile(`X\.509-SVID of (\S+) rotated: serial (\S+) -> ([^\s,]+),`)

// Rotations returns how many rotations of its SVID a program has logged in these lines. It returns an error if there is
// no rotation, if a rotation has a different SPIFFE ID, or if the old serial number of a rotation is not the new serial
// number of the rotation before it.
func Rotations(lines []string, id string) (int, error) {
	if len(lines) == 0 {
		return 0, errors.New("there is no rotation")
	}
	held := ""
	for _, line := range lines {
		found := rotation.FindStringSubmatch(line)
		switch {
		case found == nil:
			return 0, fmt.Errorf("this is no rotation: %s", line)
		case found[1] != id:
			return 0, fmt.Errorf("a rotation is not of %s: %s", id, line)
		case found[2] == found[3]:
			return 0, fmt.Errorf("a rotation changed nothing: %s", line)
		case held != "" && found[2] != held:
			return 0, fmt.Errorf("the rotations are no unbroken chain of serials, %s was held before: %s", held, line)
		}
		held = found[3]
	}
	return len(lines), nil
}
