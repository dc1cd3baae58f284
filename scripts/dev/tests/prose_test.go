package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unclear has patterns that a reader has to read twice if English is not their first language, and what to write instead.
var unclear = []struct {
	expression *regexp.Regexp
	instead    string
}{
	{pattern(`\banew\b`), "again, re-attest, recreate, restart"},
	{pattern(`\bmend(s|ed|ing)?\b`), "fix"},
	{pattern(`\bstands? (in|at|on)\b`), "is in, appears in"},
	{pattern(`, for (it|they|he|she|we|you|there|then|not)\b|, for (the|no|its|their|both|only|by|in)( [\w'-]+){1,6} (is|are|has|have|was|were|can|cannot|must|needs?|does|do)\b`), "because"},
	{pattern(`\banother( [a-z-]+){0,3} than\b|\bother( [a-z-]+){1,3} than\b`), "different from, or name both"},
	{pattern(`\b(is|are|was) another( one\b|[.,;:)"'])`), "differs, is a different one, is a new one"},
	{pattern(`\b(let|lets|letting|comes?|came) (\w+ )?in\b[.,;:"']`), "attest, join, accept"},
	{pattern(`\ball the (while|same time)\b`), "all the time, meanwhile"},
	{pattern(`\b(himself|herself|whom|(knows|says) (nothing|nobody) of)\b`), "a noun; it, which, that"},
	{pattern(`\b(the|its|which|same|these) words\b`), "message, log line, text"},
	{pattern(`\b(believes?|vouch(es)?|strangers?)\b`), "verifies, trusts, accepts"},
	{pattern(`\bone (must|may|can|cannot|could|has to|sees|likes|types)\b`), "you"},
	{pattern(`\b(SVIDs?|it|they|that|agents) lives? (for )?(\$|[0-9]|so|as|an? |longer)`), "is valid for"},
	{pattern(`\b(half|end) of (its|their|the|an SVID's) li(fe|ves)\b`), "lifetime"},
	{pattern(`\b(is|are|was|were) told\b`), "learns, gets the message"},
	{pattern(`\bin vain\b`), "timed out"},
	{pattern(`\b(say|says|said) so\b`), "prints, reports, logs"},
	{pattern(`\bonce more\b`), "again"},
	{pattern(`\bput(s|ting)? (in|right|back)\b`), "inject, fix, restore"},
	{pattern(`\bholds? such\b`), "a noun after such"},
	{pattern(`\bas (it|they) (was|were|comes?)[.,;:"']`), "restored, by default"},
	{pattern(`\bis away\b`), "is down, is stopped"},
	{pattern(`\b(said|says?|known|told|tells?|learned|learns?) of\b`), "about"},
	{pattern(`\b(is|are|was|were|be) said to\b`), "the person or program that says it"},
	{pattern(`[;,] then (docker|make) `), "a new sentence: Then run: make up"},
	{pattern(`\badmit(s|ted|ting)?\b`), "accept"},
	{pattern(`\bentry of (the )?(client|server|guest)\b`), "the entry for, the entry named"},
	{pattern(`\bwhoever\b`), "anyone who, a process that"},
	{pattern(`\b(all the same|for want of|without a look|giv(e|es|en) away|letter by letter|small letters)\b`), "although, without, before you look, reveal, lower case"},
	{pattern(`\bspeaks? against\b`), "contradicts"},
}

func pattern(expression string) *regexp.Regexp { return regexp.MustCompile(`(?i)` + expression) }

// plainFiles are the files that must have none of the patterns of the variable unclear. Do not remove a file from this list.
var plainFiles = []string{
	"*.md", "*/*.md", "scripts/*/*.md", "services/*/*.md", "services/internal/*/*.md", "spire/kubernetes/*.md",
	"scripts/scenarios/*.sh", "scripts/scenarios/extras.yaml", "scripts/kit/*", "spire/*.sh", "compose.yaml",
	"services/[a-hj-z]*/*.go", "services/*/*/[a-z]*.go",
}

// shortFiles are the files whose printed sentences must not be too long for a learner.
var shortFiles = []string{
	"scripts/scenarios/*.sh", "services/internal/scenario/[a-z]*.go", "services/internal/cause/[a-z]*.go", "services/internal/grade/[a-z]*.go",
}

// longSentence is the largest number of words in one sentence.
const longSentence = 30

// TestProse: the sentences that a learner reads must be plain English. `make lint` runs this test.
func TestProse(t *testing.T) {
	for _, name := range filesOf(t, plainFiles) {
		for _, found := range unclearIn(prose(name, read(t, name))) {
			t.Errorf("%s:%s", name, found)
		}
	}
	for _, name := range filesOf(t, []string{"scripts/faults/*.sh"}) {
		texts := faultTexts(read(t, name))
		for _, found := range slices.Concat(unclearIn(texts), longIn(texts)) {
			t.Errorf("%s:%s", name, found)
		}
	}
	for _, name := range filesOf(t, []string{"scripts/scenarios/*.md"}) {
		for _, found := range longIn(withoutCode(prose(name, read(t, name)))) {
			t.Errorf("%s:%s", name, found)
		}
	}
	for _, name := range filesOf(t, shortFiles) {
		for _, found := range longIn(printedBy(t, name, read(t, name))) {
			t.Errorf("%s:%s", name, found)
		}
	}
}

// filesOf returns the files that the patterns match, except Go tests.
func filesOf(t *testing.T, patterns []string) (names []string) {
	t.Helper()
	for _, pattern := range patterns {
		found := glob(pattern)
		if len(found) == 0 {
			t.Errorf("there is no %s", pattern)
		}
		for _, file := range found {
			name, err := filepath.Rel(root(), file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, "_test.go") {
				names = append(names, filepath.ToSlash(name))
			}
		}
	}
	return names
}

type text struct {
	line int
	text string
}

var item = regexp.MustCompile(`^ *(-|[0-9]+\.) `)

// prose returns the paragraphs of a Markdown file, without code, quoted output and sources. For any other file it returns the lines.
func prose(name, content string) (all []text) {
	if !strings.HasSuffix(name, ".md") {
		for i, line := range strings.Split(content, "\n") {
			all = append(all, text{i + 1, line})
		}
		return all
	}
	inside, console := false, false
	var paragraph text
	for i, line := range append(strings.Split(content, "\n"), "") {
		fence := strings.HasPrefix(line, "```")
		if fence {
			inside = !inside
			console = inside && line == "```console"
		}
		switch {
		case inside || fence:
			// Of a block of quoted output, only the lesson's remarks are prose.
			if _, remark, ok := strings.Cut(line, "<- "); ok && console {
				all = append(all, text{i + 1, remark})
			}
			line = ""
			fallthrough
		case line == "":
			if paragraph.text != "" && !strings.HasPrefix(paragraph.text, "Sources: ") {
				all = append(all, paragraph)
			}
			paragraph = text{}
		case paragraph.text == "", item.MatchString(line):
			if paragraph.text != "" {
				all = append(all, paragraph)
			}
			paragraph = text{i + 1, line}
		default:
			paragraph.text += " " + line
		}
	}
	return all
}

var codeSpan = regexp.MustCompile("`[^`]*`|\\([^)]*[.]md\\)")

// withoutCode replaces code and the address of a link by one word, and removes tables.
func withoutCode(all []text) []text {
	var rest []text
	for _, one := range all {
		if !strings.HasPrefix(one.text, "|") && !strings.HasPrefix(one.text, "<!--") {
			rest = append(rest, text{one.line, codeSpan.ReplaceAllString(one.text, "CODE")})
		}
	}
	return rest
}

func unclearIn(all []text) (problems []string) {
	for _, one := range all {
		words := codeSpan.ReplaceAllString(one.text, "CODE")
		for _, p := range unclear {
			if found := p.expression.FindString(words); found != "" {
				problems = append(problems, fmt.Sprintf("%d: %q: write %s", one.line, strings.TrimSpace(found), p.instead))
			}
		}
	}
	return problems
}

var (
	fixedTexts = regexp.MustCompile(`^(hint|wrong|answer|cause|	["'])`) // lines of a fault that have texts for a learner
	anyQuoted  = regexp.MustCompile(`'([^']*)'|"((?:[^"\\]|\\.)*)"`)
	aCommand   = regexp.MustCompile(`"[^"]*"`)
)

// faultTexts returns the texts of a fault for a learner. It leaves out the ticket, because tickets may talk like people. It replaces each
// command by one word.
func faultTexts(content string) (all []text) {
	_, debrief, _ := strings.Cut(content, "\ndebrief() {\n")
	debrief, _, _ = strings.Cut(debrief, "\nEND\n")
	first := strings.Count(content[:max(0, strings.Index(content, debrief))], "\n") + 1
	for i, line := range strings.Split(debrief, "\n") {
		switch {
		case strings.HasPrefix(line, "    ") && len(all) > 0:
			all[len(all)-1].text += " " + strings.TrimSpace(line)
		case strings.HasPrefix(line, "  "):
			_, after, _ := strings.Cut(line, ": ")
			all = append(all, text{first + i, after})
		}
	}
	for i := range all {
		all[i].text = codeSpan.ReplaceAllString(all[i].text, "CODE")
	}
	for i, line := range strings.Split(content, "\n") {
		if fixedTexts.MatchString(line) {
			for _, found := range anyQuoted.FindAllStringSubmatch(line, -1) {
				all = append(all, text{i + 1, aCommand.ReplaceAllString(strings.ReplaceAll(found[1]+found[2], `\"`, `"`), "CODE")})
			}
		}
	}
	return slices.DeleteFunc(all, func(one text) bool { return notProse.MatchString(one.text) })
}

var (
	doubleQuoted = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
	sentenceEnds = regexp.MustCompile(`[.!?]["')]*(\s+|$)|\n`)
	notProse     = regexp.MustCompile(`[{}|]|^[^ ]*$|/opt/|docker compose|^#|spiffe://[^ ]+ -|\.\*`)
)

// printedBy returns those strings of a script or a Go file that are sentences.
func printedBy(t *testing.T, name, content string) (all []text) {
	t.Helper()
	if strings.HasSuffix(name, ".sh") {
		for i, line := range strings.Split(content, "\n") {
			for _, found := range doubleQuoted.FindAllStringSubmatch(line, -1) {
				all = append(all, text{i + 1, found[1]})
			}
		}
	} else {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, content, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if value, err := strconv.Unquote(literal.Value); err == nil {
					all = append(all, text{set.Position(literal.Pos()).Line, value})
				}
			}
			return true
		})
	}
	return slices.DeleteFunc(all, func(one text) bool { return notProse.MatchString(one.text) })
}

func longIn(all []text) (problems []string) {
	for _, one := range all {
		for _, sentence := range sentenceEnds.Split(one.text, -1) {
			if n := len(strings.Fields(sentence)); n > longSentence {
				problems = append(problems, fmt.Sprintf("%d: a sentence has %d words, %d are enough: %s", one.line, n, longSentence, sentence))
			}
		}
	}
	return problems
}

// TestUnclear: a pattern must be found in each bad sentence, and no pattern in a good sentence or in code.
func TestUnclear(t *testing.T) {
	for _, bad := range []string{
		"the agent has attested anew", "mended by hand", "The reason stands in the log.", "it ends, for it has no identity", "the clock is another one than this machine's",
		"its certificate is another: look", "it is another one on Windows", "the agent is let in.", "requests all the while", "comes back by himself", "in the same words", "the agent does not believe the server, which believes it",
		"one must be the one", "SVIDs live 20 s", "at half of its life", "the client is told why", "waited in vain", "the page says so", "started once more", "put in a fault",
		"until they hold such", "the entry as it was.", "the server is away",
	} {
		if unclearIn([]text{{1, bad}}) == nil {
			t.Errorf("nothing is found in %q", bad)
		}
	}
	for _, p := range unclear {
		if p.instead == "" {
			t.Errorf("%s does not say what to write instead", p.expression)
		}
	}
	good := "# t\n\nThe agent re-attests. It differs from `another one than this`.\n\n```console\nwords anew\n```\n\n```sh\nprint anew\n```\n\nSources: anew\nanew\n"
	if found := unclearIn(prose("x.md", good)); found != nil {
		t.Errorf("found in a good text: %s", found)
	}
	bad := "# t\n\nA paragraph that is\nmended.\n\n```console\nwords anew   <- said anew\n```\n\n- an item that is made anew\n"
	if found := unclearIn(prose("x.md", bad)); len(found) != 3 || !strings.HasPrefix(found[0], "3: ") || !strings.HasPrefix(found[1], "7: ") {
		t.Errorf("not all is found in a bad text, with its line: %s", found)
	}
	if found := unclearIn(prose("x.sh", "# fine\nstep \"made anew\"\n")); len(found) != 1 || !strings.HasPrefix(found[0], "2: ") {
		t.Errorf("in a script: %s", found)
	}
}

// TestLongSentences: a sentence with too many words must be found in a script and in a Go file.
func TestLongSentences(t *testing.T) {
	long := strings.Repeat("word ", longSentence) + "word"
	for name, content := range map[string]string{
		"x.sh": "step \"" + long + ".\"\n",
		"x.go": "package x\n\nvar a = \"" + long + ".\"\n",
	} {
		if found := longIn(printedBy(t, name, content)); len(found) != 1 {
			t.Errorf("%s: want one long sentence, got %s", name, found)
		}
		short := strings.Replace(content, "word word", "word. Word", 1)
		if found := longIn(printedBy(t, name, short)); found != nil {
			t.Errorf("%s: two sentences are too long: %s", name, found)
		}
	}
}

// TestFaultTexts: the hints, answers, explanations and debrief of a fault must be checked, but not its ticket.
func TestFaultTexts(t *testing.T) {
	const fault = "ticket() {\n\tcat <<'END'\n  It is made anew.\nEND\n}\n" +
		"answer a \"It is mended.\" \\\n\t\"The server says nothing of it.\" 'make svid'\n" +
		"wrong b 'a verdict' 'It is put right.' 'entry_has \"x\"'\nhint true 'Whoever asks runs \"docker compose ps anew\".'\n" +
		"debrief() {\n\tcat <<'END'\n  What it was: the agent\n    is let in.\nEND\n}\n"
	var found []string
	for _, one := range unclearIn(faultTexts(fault)) {
		line, _, _ := strings.Cut(one, ":")
		found = append(found, line)
	}
	if want := []string{"12", "6", "7", "8", "9"}; !slices.Equal(found, want) {
		t.Errorf("found in the lines %q, not in %q", found, want)
	}
}
