package cause

import (
	"fmt"
	"strings"
	"unicode"
)

// Text is the verdict for a terminal: five lines for a finding, else one line. Lines about missing answers and about an override may
// follow.
func (v Verdict) Text() string {
	note := ""
	if v.Override != "" {
		note = "note: " + plain(v.Override) + "\n"
	}
	return v.text() + note
}

func (v Verdict) text() string {
	if v.Finding == nil && len(v.Unanswered) > 0 {
		return fmt.Sprintf("cannot tell: no check has failed, but there is no answer to %s\n", plain(strings.Join(v.Unanswered, ", ")))
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

// longestLine is the maximum length of a line in bytes. The line with the remedy may be longer.
const longestLine = 400

// plain is a text as one line of limited length, without control characters.
func plain(text string) string {
	text = visible(text)
	if len(text) > longestLine {
		text = strings.TrimSpace(strings.ToValidUTF8(text[:longestLine], "")) + "..."
	}
	return text
}

// visible is a text as one line without control characters, because a report may come from anybody.
func visible(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, text))
}
