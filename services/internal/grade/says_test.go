package grade

import "testing"

func TestSays(t *testing.T) {
	for text, want := range map[string]bool{
		"INVENTORY":                true, // a value
		"the client is not served": true, // a whole sentence
		"also serves every other workload of the trust":     true, // a part of a sentence
		"gets an SVID for spiffe://example.org/x":           true, // a sentence with a value at its end
		"client runs as root":                               true, // a sentence with values at both ends
		"the command of the container server still differs": true, // a sentence that only hints at the difference
		"the container node sees every process":             true,
		"more processes than before can get spiffe://x":     false, // the grader does not print this sentence
		"the client is not served at all":                   false,
		"client was started as root":                        false,
		"":                                                  false,
	} {
		if got := Says(text); got != want {
			t.Errorf("Says(%q) is %v", text, got)
		}
	}
}
