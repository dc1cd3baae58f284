// Package markdown shows a lesson in a terminal. Headings are bold, code is unchanged, and paragraphs are as wide as the terminal.
package markdown

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// Render prints a Markdown text. A link is shown by its text. An address that begins with https:// is shown after the text.
func Render(out *screen.Screen, source []byte) error {
	document := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(source))
	r := renderer{out: out, source: source}
	for node := document.FirstChild(); node != nil; node = node.NextSibling() {
		r.block(node, "")
		if node.NextSibling() != nil {
			out.Say("")
		}
	}
	return nil
}

type renderer struct {
	out    *screen.Screen
	source []byte
}

// block prints one block; every line begins with the indent.
func (r renderer) block(node ast.Node, indent string) {
	switch n := node.(type) {
	case *ast.Heading:
		r.out.Say("%s%s%s%s", indent, r.out.Bold, r.inline(n), r.out.Plain)
	case *ast.FencedCodeBlock:
		r.code(n.Lines(), indent)
	case *ast.CodeBlock:
		r.code(n.Lines(), indent)
	case *ast.List:
		r.list(n, indent)
	case *ast.Blockquote:
		for child := n.FirstChild(); child != nil; child = child.NextSibling() {
			r.block(child, indent+"| ")
		}
	case *extast.Table:
		r.table(n, indent)
	case *ast.ThematicBreak:
		r.out.Say("%s%s", indent, strings.Repeat("-", 20))
	default:
		r.paragraph(r.inline(n), indent, indent)
	}
}

func (r renderer) code(lines *text.Segments, indent string) {
	for _, segment := range lines.Sliced(0, lines.Len()) {
		r.out.Say("%s    %s%s%s", indent, r.out.Dim, strings.TrimRight(string(segment.Value(r.source)), "\n"), r.out.Plain)
	}
}

func (r renderer) list(list *ast.List, indent string) {
	number := list.Start
	for item := list.FirstChild(); item != nil; item = item.NextSibling() {
		mark := "- "
		if list.IsOrdered() {
			mark = fmt.Sprintf("%d. ", number)
			number++
		}
		inner := indent + strings.Repeat(" ", len(mark))
		for child := item.FirstChild(); child != nil; child = child.NextSibling() {
			switch child.(type) {
			case *ast.Paragraph, *ast.TextBlock:
				first := inner
				if child == item.FirstChild() {
					first = indent + mark
				}
				r.paragraph(r.inline(child), first, inner)
			default:
				r.block(child, inner)
			}
		}
	}
}

// paragraph prints a text. The parameter first is the beginning of the first line, and indent is the beginning of each further
// line.
func (r renderer) paragraph(paragraph, first, indent string) {
	for i, line := range wrap(paragraph, r.out.Width-len(indent)) {
		if i == 0 {
			r.out.Say("%s%s", first, line)
		} else {
			r.out.Say("%s%s", indent, line)
		}
	}
}

// wrap breaks a text between words. A word that is wider than the width gets its own line and is not broken, so that an address
// can be copied.
func wrap(paragraph string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(paragraph) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

func (r renderer) table(table *extast.Table, indent string) {
	var rows [][]string
	var widths []int
	for row := table.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			content := r.inline(cell)
			if len(widths) <= len(cells) {
				widths = append(widths, 0)
			}
			widths[len(cells)] = max(widths[len(cells)], len(content))
			cells = append(cells, content)
		}
		rows = append(rows, cells)
	}
	for _, cells := range rows {
		line := indent
		for i, cell := range cells {
			line += fmt.Sprintf("%-*s  ", widths[i], cell)
		}
		r.out.Say("%s", strings.TrimRight(line, " "))
	}
}

// inline returns the text of a block without Markdown's marks.
func (r renderer) inline(node ast.Node) string {
	var all bytes.Buffer
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		switch n := child.(type) {
		case *ast.Text:
			all.Write(n.Segment.Value(r.source))
			if n.SoftLineBreak() || n.HardLineBreak() {
				all.WriteByte(' ')
			}
		case *ast.Image:
			fmt.Fprintf(&all, "[picture: %s]", r.inline(n))
		case *ast.AutoLink:
			all.Write(n.URL(r.source))
		case *ast.Link:
			all.WriteString(r.inline(n))
			if address := string(n.Destination); strings.HasPrefix(address, "https://") {
				fmt.Fprintf(&all, " <%s>", address)
			}
		default:
			all.WriteString(r.inline(n))
		}
	}
	return all.String()
}
