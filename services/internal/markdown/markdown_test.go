package markdown

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

func render(t *testing.T, source string, width int) string {
	t.Helper()
	var out bytes.Buffer
	s := screen.Plain(&out)
	s.Width = width
	if err := Render(s, []byte(source)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRender(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"a heading":        {"## Why", "Why\n"},
		"a paragraph":      {"one two three\nfour `five` *six*", "one two three four\nfive six\n"},
		"code":             {"```console\n$ make up\n  indented\n```", "    $ make up\n      indented\n"},
		"a list":           {"- one two three four five\n- six", "- one two three four\n  five\n- six\n"},
		"a numbered list":  {"1. one\n2. two", "1. one\n2. two\n"},
		"a link to a file": {"see [the lesson](bad-id.md)", "see the lesson\n"},
		"a link to a page": {"see [RFC](https://example.org/a)", "see RFC\n<https://example.org/a>\n"},
		"a picture":        {"![who refuses](a.png)", "[picture: who\nrefuses]\n"},
		"a table":          {"| a | b |\n|---|---|\n| long | c |", "a     b\nlong  c\n"},
		"a quotation":      {"> said", "| said\n"},
	} {
		if got := render(t, c.source, 20); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// TestLessons: the rendered form of every lesson must have each line of the lesson's code blocks.
func TestLessons(t *testing.T) {
	files, err := filepath.Glob("../../../scripts/scenarios/*.md")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d lessons, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said := render(t, string(text), 80)
		code := false
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "```") {
				code = !code
			} else if line = strings.TrimRight(line, "\n"); code && !strings.Contains(said, line) {
				t.Errorf("%s: this line is lost: %s", filepath.Base(file), line)
			}
		}
	}
}
