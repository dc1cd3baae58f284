package fault

import "strings"

// flowed breaks the lines of a ticket or debrief for the width of the terminal, which may be narrower than the file of the fault. A line
// that is indented by more than two blanks, as in a debrief, continues the line before it. A line that is indented by two blanks continues
// the line before it if that line is long. A command, which begins with "$ ", stays on one line, so that a learner can copy it.
func (c *Commands) flowed(text string) string {
	if !c.Screen.Terminal {
		return text
	}
	return flow(text, c.Screen.Width)
}

func flow(text string, width int) string {
	const long = 70 // the author has ended a shorter line on purpose
	var blocks []string
	before := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n ")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if line != "" && before != "" && !copied(line) && !copied(before) && (indent > 2 || !item(line) && len(before) >= long) {
			blocks[len(blocks)-1] += " " + strings.TrimLeft(line, " ")
		} else {
			blocks = append(blocks, line)
		}
		before = line
	}
	var out strings.Builder
	for _, block := range blocks {
		indent := "  "
		if item(block) {
			indent = "    "
		}
		if block == "" || copied(block) {
			out.WriteString(block + "\n")
			continue
		}
		out.WriteString(wrapped("  ", indent, block, width))
	}
	return out.String()
}

// copied reports whether a line is a command that a learner can copy.
func copied(line string) bool { return strings.HasPrefix(strings.TrimLeft(line, " "), "$ ") }

// wrapped breaks a text into lines of at most width characters. The first line begins with head, and each further line with indent. A word
// that is longer than a line, such as a link, is not broken.
func wrapped(head, indent, text string, width int) string {
	var out strings.Builder
	line, empty := head, true
	for _, word := range strings.Fields(text) {
		switch {
		case empty:
			line += word
		case len([]rune(line))+1+len([]rune(word)) <= width:
			line += " " + word
		default:
			out.WriteString(line + "\n")
			line = indent + word
		}
		empty = false
	}
	return out.String() + line + "\n"
}

// item reports whether a line begins a part of a debrief, such as "What it was:".
func item(line string) bool {
	head, _, ok := strings.Cut(strings.TrimLeft(line, " "), ": ")
	return ok && len(strings.Fields(head)) <= 5 && !strings.ContainsAny(head, ".,\"")
}
