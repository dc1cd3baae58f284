package fault

import (
	"strings"
	"testing"
)

func TestFlow(t *testing.T) {
	const text = `  From: the team of the client
  Since last night our client gets nothing done: not one request is answered. We have changed
  nothing. Somebody tidied up.

  You can try it:
    $ docker compose exec --user client-workload client client -wait 5s
  Please see that it is served.
  What it was: the registration entry of the client had been deleted. The running client kept its SVID
    for as long as it lived.
  In life: "no identity issued" is a common error message, and it does not say why
    (https://github.com/spiffe/spire/issues/1108).
`
	const want = `  From: the team of the client
  Since last night our client gets nothing done: not one
  request is answered. We have changed nothing. Somebody
  tidied up.

  You can try it:
    $ docker compose exec --user client-workload client client -wait 5s
  Please see that it is served.
  What it was: the registration entry of the client had
    been deleted. The running client kept its SVID for as
    long as it lived.
  In life: "no identity issued" is a common error message,
    and it does not say why
    (https://github.com/spiffe/spire/issues/1108).
`
	if got := flow(text, 58); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestFlowOfFaults: folding must not lose a word of a ticket or debrief. No line may be wider than the terminal, except a command.
func TestFlowOfFaults(t *testing.T) {
	all, err := List(root(t))
	if err != nil {
		t.Fatal(err)
	}
	const width = 76 // the text width in a terminal of 80 columns
	for _, f := range all {
		for _, function := range []string{"ticket", "debrief"} {
			text, err := f.text(function)
			if err != nil {
				t.Fatal(err)
			}
			got := flow(text, width)
			if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(text), " ") {
				t.Errorf("%s of %s has other words:\n%s", function, f.Name, got)
			}
			for line := range strings.Lines(got) {
				if len([]rune(line)) > width+1 && strings.Contains(strings.TrimSpace(line), " ") && !copied(line) {
					t.Errorf("%s of %s has the line: %s", function, f.Name, line)
				}
			}
		}
	}
}
