package screen

import (
	"os"
	"testing"
)

// TestNew: a terminal must get colours and a line that changes, unless the learner or the terminal forbids it.
func TestNew(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, c := range map[string]struct {
		file             *os.File
		term, noColor    string
		changes, colours bool
	}{
		"a terminal":      {terminal, "xterm-256color", "", true, true},
		"without TERM":    {terminal, "", "", false, false},
		"TERM=dumb":       {terminal, "dumb", "", false, false},
		"NO_COLOR":        {terminal, "xterm", "1", true, false},
		"dumb, NO_COLOR":  {terminal, "dumb", "1", false, false},
		"a file":          {file, "xterm", "", false, false},
		"a file, no TERM": {file, "", "", false, false},
	} {
		t.Setenv("TERM", c.term)
		t.Setenv("NO_COLOR", c.noColor)
		s := New(c.file)
		if colours := s.Bold+s.Dim+s.Red+s.Green+s.Cyan+s.Plain != ""; s.Terminal != c.changes || colours != c.colours {
			t.Errorf("%s: a line changes: %v, colours: %v", name, s.Terminal, colours)
		}
	}
}
