package grade

import (
	"regexp"
	"strings"
)

// Says reports whether a verdict can contain a text. The text may be a part of a sentence of [Difference.String], or of the hint that the
// grader prints instead. It may also be a single word, such as the name of a variable, that can be a value in a sentence.
func Says(text string) bool {
	if !strings.Contains(text, " ") {
		return text != ""
	}
	for _, file := range files {
		if strings.Contains(file, text) {
			return true
		}
	}
	for kind, k := range kinds {
		sentences := []string{k.sentence}
		if kind == SeesProcesses {
			sentences = append(sentences, allProcesses)
		}
		if k.part != "" {
			sentences = append(sentences, hintOf(k.part))
		}
		for _, sentence := range sentences {
			if within(text, pieces.FindAllString(sentence, -1)) {
				return true
			}
		}
	}
	return false
}

// pieces are the placeholders of a sentence, and the texts between them.
var pieces = regexp.MustCompile(`\{[a-z]+\}( \{[a-z]+\})*|[^{]+`)

// within reports whether a text is part of a sentence. At least three letters of the text must be letters of the sentence itself, not of a
// value in it.
func within(text string, sentence []string) bool {
	for i, piece := range sentence {
		if isPlace(piece) {
			if i+1 < len(sentence) && startsWithValue(text, sentence[i+1:]) {
				return true
			}
			continue
		}
		for from := range piece {
			if rest := piece[from:]; strings.HasPrefix(rest, text) || len(rest) >= 3 && strings.HasPrefix(text, rest) && begins(text[len(rest):], sentence[i+1:]) {
				return true
			}
		}
	}
	return false
}

func isPlace(piece string) bool { return strings.HasPrefix(piece, "{") }

// startsWithValue reports whether a text begins with a value, or with the end of a value, and continues with the text that follows this
// value in a sentence.
func startsWithValue(text string, after []string) bool {
	for end := range text {
		if rest := text[end:]; len(rest) >= 3 && !isPlace(after[0]) && begins(rest, after) {
			return true
		}
	}
	return false
}

// begins reports whether a sentence can begin with a text.
func begins(text string, sentence []string) bool {
	switch {
	case text == "":
		return true
	case len(sentence) == 0:
		return false
	case (sentence[0] == "{says}" || sentence[0] == "{health}") && text[0] != ';':
		return false
	case !isPlace(sentence[0]):
		return strings.HasPrefix(sentence[0], text) || strings.HasPrefix(text, sentence[0]) && begins(text[len(sentence[0]):], sentence[1:])
	}
	for end := range text {
		if begins(text[end:], sentence[1:]) {
			return true
		}
	}
	return true // the value goes on
}
