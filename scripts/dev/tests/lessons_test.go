package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// differs lists the parts of a line that may differ between two runs. All other numbers must be equal: exit statuses, versions, lifetimes,
// users, fixed ports, and each 0.
var differs = []struct {
	expression *regexp.Regexp
	becomes    string
	once       bool // replace only the first match in a line
}{
	{regexp.MustCompile(`([0-9]{1,3}\.){3}[0-9]{1,3}`), "ADDRESS", false},
	{regexp.MustCompile(`ADDRESS:[0-9]{5}`), "ADDRESS:PORT", false},
	{regexp.MustCompile(`[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9:]{8}(\.[0-9]+)?(Z| \+0000 UTC)?`), "TIME", false},
	{regexp.MustCompile(`[A-Z][a-z]{2} +[0-9]+ [0-9:]{8} [0-9]{4} GMT`), "TIME", false},
	{regexp.MustCompile(`([0-9A-Fa-f]{2}:){7,}[0-9A-Fa-f]{2}`), "HEX", false},
	{regexp.MustCompile(`[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?`), "TIME", false},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID", false},
	{regexp.MustCompile(`[0-9A-Fa-f]{20,}`), "HEX", false},
	{regexp.MustCompile(`pid=[0-9]+`), "pid=N", true},
	{regexp.MustCompile(`process [0-9]+`), "process N", true},
	{regexp.MustCompile(`(/[a-z]+(-[a-z]+)*)-[0-9]+"`), `$1-N"`, true},
	{regexp.MustCompile(`retry_interval=[0-9.]+m?s`), "retry_interval=N", true},
	{regexp.MustCompile(`[0-9.]+ s later`), "N s later", true},
	{regexp.MustCompile(`[0-9]+ s\)`), "N s)", true},
	{regexp.MustCompile(`took [0-9]+ s`), "took N s", true},
	{regexp.MustCompile(`Up (Less than a|About a|[0-9]+) (second|minute)s?( \((health: starting|healthy|unhealthy)\))?`), "Up N", true},
	{regexp.MustCompile(`[1-9][0-9]* (requests|sent|served|failed|failures|rotations)`), "N $1", false},
	{regexp.MustCompile(`(received|refused) [1-9][0-9]*`), "$1 N", false},
	{regexp.MustCompile(`[1-9][0-9]* of them`), "N of them", true},
}

// plain returns a line without its indentation, and with a fixed text for each part that may differ between two runs.
func plain(line string) string {
	for _, d := range differs {
		if at := d.expression.FindStringIndex(line); at != nil && d.once {
			line = line[:at[0]] + d.expression.ReplaceAllString(line[at[0]:at[1]], d.becomes) + line[at[1]:]
		} else {
			line = d.expression.ReplaceAllString(line, d.becomes)
		}
	}
	return strings.Join(strings.Fields(line), " ")
}

// remark matches the lesson's own remark, which begins with "<-", after a quoted line or on a separate line.
var remark = regexp.MustCompile(`(^|\s+)<- .*$`)

// quoted returns the lines between ```console and ```, without the lesson's remarks. It leaves out lines that begin with "...". They stand
// for omitted output, or are printed only while a wait lasts.
func quoted(markdown string) []string {
	var all []string
	inside := false
	for _, line := range strings.Split(markdown, "\n") {
		switch {
		case line == "```console":
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside:
			line = remark.ReplaceAllString(line, "")
			if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "...") {
				all = append(all, line)
			}
		}
	}
	return all
}

// missingQuotes returns the lines that a lesson quotes, but that the program has not printed. In a quoted line, " ... " stands for any
// text.
func missingQuotes(markdown, printed string) []string {
	var said []string
	for line := range strings.Lines(printed) {
		said = append(said, plain(line))
	}
	return slices.DeleteFunc(quoted(markdown), func(line string) bool {
		pieces := strings.Split(plain(line)+" ", " ... ")
		pieces[len(pieces)-1] = strings.TrimSuffix(pieces[len(pieces)-1], " ")
		return slices.ContainsFunc(said, func(one string) bool { return hasPieces(one, pieces) })
	})
}

// hasPieces reports whether a line begins with the first piece, ends with the last piece, and has the other pieces between them, in this
// order.
func hasPieces(line string, pieces []string) bool {
	last := len(pieces) - 1
	if last == 0 {
		return line == pieces[0]
	}
	line, ok := strings.CutPrefix(line, pieces[0])
	for _, piece := range pieces[1:last] {
		_, after, found := strings.Cut(line, piece)
		line, ok = after, ok && found
	}
	return ok && strings.HasSuffix(line, pieces[last])
}

var parts = []string{"What you will see", "What it prints", "Why", "Without this check", "A question", "Try it"}

// enough is the largest number of words before "Try it", without the quotes.
const enough = 400

var timeNeeded = regexp.MustCompile(`^[0-9]+ minutes[,;] .*\.$`)

func lessonProblems(markdown string, v versions) []string {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	all := strings.Split(markdown, "\n")
	for _, part := range parts {
		if !slices.Contains(all, "## "+part) {
			problem("it has no part \"## %s\"", part)
		}
	}
	if len(quoted(markdown)) == 0 {
		problem("it quotes no output (a block that begins with ```console)")
	}
	if len(all) < 3 || !timeNeeded.MatchString(all[2]) {
		problem("it does not say in its third line how long it takes and what it needs, such as: 10 minutes; after [bad-id](bad-id.md).")
	}
	if commands, _ := tried(markdown); len(commands) == 0 {
		problem("\"Try it\" has no commands in a block that begins with ```sh")
	}
	if n := explained(all); n > enough {
		problem("it has %d words before \"Try it\": %d are enough", n, enough)
	}
	return append(problems, sourceProblems(markdown, v)...)
}

// explained returns the number of words before "Try it". Blocks of output and descriptions of pictures do not count.
func explained(lines []string) int {
	n, inside := 0, false
	for _, line := range lines {
		switch {
		case line == "## Try it":
			return n
		case strings.HasPrefix(line, "```"):
			inside = !inside
		case !inside && !strings.HasPrefix(line, "!["):
			n += len(strings.Fields(line))
		}
	}
	return n
}

// versions are the versions of SPIRE and go-spiffe that the lab runs. The sources that a lesson links must have the same versions.
type versions struct{ spire, goSPIFFE string }

func labVersions(t *testing.T) versions {
	t.Helper()
	found := func(name, expression string) string {
		all := regexp.MustCompile(expression).FindStringSubmatch(read(t, name))
		if all == nil {
			t.Fatalf("%s has nothing that matches %s", name, expression)
		}
		return all[1]
	}
	v := versions{os.Getenv("SPIRE_VERSION"), found("go.mod", `(?m)/go-spiffe/v2 (v[0-9.]+)$`)}
	if v.spire == "" {
		v.spire = found(".env", `(?m)^SPIRE_VERSION=(.*)$`)
	}
	return v
}

var (
	// pinned matches a link to a tag, a commit or an RFC, whose text never changes. The text on a branch may change.
	pinned = regexp.MustCompile(`^\[[^]]+\]\(https://(github\.com/[^/ ]+/[^/ ]+/blob/([0-9a-f]{40}|[a-z-]*[0-9]+([._][0-9]+)+)/|www\.rfc-editor\.org/rfc/rfc[0-9]+)[^ )]*\),?$`)

	paragraphs = regexp.MustCompile(`\n(?:[ \t]*\n)+`)
	sections   = regexp.MustCompile(`(?i)sections? [0-9][0-9.]*`)
)

// sourceProblems checks that the paragraph before a lesson's last line links the lesson's sources, and that no other paragraph has section
// numbers. Links to SPIRE and go-spiffe must have the versions that the lab runs.
func sourceProblems(markdown string, v versions) []string {
	var problems []string
	all := paragraphs.Split(strings.Trim(markdown, "\n"), -1)
	if len(all) < 2 || !strings.HasPrefix(all[len(all)-2], "Sources: ") {
		return []string{"it has no paragraph \"Sources: \" before its last line"}
	}
	for _, source := range strings.Split(strings.TrimPrefix(all[len(all)-2], "Sources: "), "\n") {
		if !pinned.MatchString(source) {
			problems = append(problems, "it has a source that is not one link to a tag, a commit or an RFC: "+source)
		}
		ours := strings.Contains(source, "github.com/spiffe/spire/") || strings.Contains(source, "github.com/spiffe/go-spiffe/")
		if ours && !strings.Contains(source, "github.com/spiffe/spire/blob/v"+v.spire+"/") && !strings.Contains(source, "github.com/spiffe/go-spiffe/blob/"+v.goSPIFFE+"/") {
			problems = append(problems, fmt.Sprintf("it has a source with a different version than SPIRE v%s and go-spiffe %s: %s", v.spire, v.goSPIFFE, source))
		}
	}
	text := slices.DeleteFunc(all, func(paragraph string) bool { return strings.HasPrefix(paragraph, "Sources: ") })
	// A line may end between the word "section" and its number.
	if named := sections.FindAllString(strings.Join(strings.Fields(strings.Join(text, " ")), " "), -1); named != nil {
		problems = append(problems, "it names sections outside its sources: "+strings.Join(named, " "))
	}
	return problems
}

// course has the texts of all lessons, of the course page, and of the answers.
type course struct {
	page, answers string
	lessons       map[string]string // the text of each lesson, by name
	names         []string          // the names of the scenarios, sorted
}

var (
	rowOfPage  = regexp.MustCompile(`(?m)^\| \[([a-z0-9-]+)\]\(([a-z0-9-]+)\.md\) \| .*`)
	nextLesson = regexp.MustCompile(`^Next: \[([a-z0-9-]+)\]\(([a-z0-9-]+)\.md\)$`)
	needed     = regexp.MustCompile(`\]\(([a-z0-9-]+)\.md\)`)
	heading    = regexp.MustCompile(`(?m)^## (.*)$`)
)

// problems checks the "Next:" lines of the lessons. From the first lesson on they must visit every scenario, in the order of the course
// page and of the answers. No lesson may need a later lesson.
func (c course) problems() []string {
	var problems, rows, visited []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, row := range rowOfPage.FindAllStringSubmatch(c.page, -1) {
		if row[1] == row[2] {
			rows = append(rows, row[1])
		}
	}
	if len(rows) == 0 {
		return append(problems, "scripts/scenarios/README.md has no rows of scenarios")
	}
	last := ""
	for name := rows[0]; c.lessons[name] != ""; {
		if slices.Contains(visited, name) {
			return append(problems, "the Next lines form a circle: "+name+" comes twice")
		}
		all := strings.Split(strings.TrimRight(c.lessons[name], "\n"), "\n")
		if len(all) > 2 {
			for _, need := range needed.FindAllStringSubmatch(all[2], -1) {
				if !slices.Contains(visited, need[1]) {
					problem("%s.md needs %s, which comes after it", name, need[1])
				}
			}
		}
		visited = append(visited, name)
		last = all[len(all)-1]
		next := nextLesson.FindStringSubmatch(last)
		if next == nil || next[1] != next[2] {
			break
		}
		name = next[1]
	}
	if last != "Next: [the answers](ANSWERS.md)" {
		problem("%s.md does not end with a line such as \"Next: [bad-id](bad-id.md)\", or the last one with \"Next: [the answers](ANSWERS.md)\"", visited[max(0, len(visited)-1):])
	}
	if sorted := slices.Sorted(slices.Values(visited)); !slices.Equal(sorted, c.names) {
		problem("the Next lines do not visit every scenario: they visit %s", strings.Join(visited, " "))
	}
	if !slices.Equal(visited, rows) {
		problem("the course page has an order that differs from that of the Next lines: %s", strings.Join(rows, " "))
	}
	var answered []string
	for _, found := range heading.FindAllStringSubmatch(c.answers, -1) {
		answered = append(answered, found[1])
	}
	if !slices.Equal(visited, answered) {
		problem("ANSWERS.md does not answer each lesson, in their order: %s", strings.Join(answered, " "))
	}
	return problems
}

func readCourse(t *testing.T) course {
	t.Helper()
	c := course{page: read(t, "scripts/scenarios/README.md"), answers: read(t, "scripts/scenarios/ANSWERS.md"), lessons: map[string]string{}}
	for _, file := range glob("scripts/scenarios/*.sh") {
		name := nameOf(file)
		c.names = append(c.names, name)
		if lesson, err := os.ReadFile(filepath.Join(root(), "scripts", "scenarios", name+".md")); err == nil {
			c.lessons[name] = string(lesson)
		}
	}
	return c
}

// TestLessons: every scenario must have a complete lesson, and the lessons must form one course. `make lint` runs this test.
func TestLessons(t *testing.T) {
	c, v := readCourse(t), labVersions(t)
	for _, name := range c.names {
		lesson := c.lessons[name]
		if lesson == "" {
			t.Errorf("there is no scripts/scenarios/%s.md", name)
			continue
		}
		for _, problem := range lessonProblems(lesson, v) {
			t.Errorf("scripts/scenarios/%s.md: %s", name, problem)
		}
	}
	for _, problem := range c.problems() {
		t.Error(problem)
	}
}

// TestQuotes: a quote must match a printed line if they differ only in parts that may differ between two runs.
func TestQuotes(t *testing.T) {
	for _, c := range []struct {
		same           bool
		quote, printed string
	}{
		{true, "server logs: 2026/11/24 21:07:54 http: TLS handshake error from 172.25.0.6:59262: EOF", "    server logs: 2026/11/25 01:00:00 http: TLS handshake error from 10.0.0.1:41000: EOF"},
		{true, "expires 2026-11-24T21:09:32Z", "expires 2026-11-25T10:48:59Z"},
		{true, "rotated: serial 3881EBCC7D32FA3EAF96A9664CC848D -> CDE31A73E460964A73D4A7EBD323836", "rotated: serial 9F1EBCC7D32FA3EAF96A9664CC848D0A -> 11E31A73E460964A73D4A7EBD3238365"},
		{true, "117 requests: 117 served, 0 failed; the server received 117, and refused 0", "119 requests: 119 served, 0 failed; the server received 119, and refused 0"},
		{true, `msg="No identity issued" pid=285 registered=false`, `msg="No identity issued" pid=1246 registered=false`},
		{true, "PASS bad-id (8 checks, 3 s)", "PASS bad-id (8 checks, 11 s)"},
		{true, "client   Up 1 second (health: starting)", "client         Up About a minute (healthy)"},

		{true, "exit status 4     <- refused", "exit status 4"},
		{true, "  <- a remark\nexit status 4", "exit status 4"},
		{true, `msg="No identity issued" ... unix:gid:1" ... service=A`, `msg="No identity issued" pid=3 selectors="unix:uid:1, unix:gid:1" of the service=A`},

		{false, "exit status 4     <- refused", "exit status 3"},
		{false, "exit status 4     <- refused", "exit status 4 refused"},
		{false, "first ... third ... second", "first second third"},
		{true, "first ...", "first second third"},
		{false, "first ... third", "a first second third"},
		{false, "first ... second", "first second third"},
		{false, "first second ... second third", "first second third"},
		{false, "exit status 4", "exit status 3"},
		{false, "Protocol version: TLSv1.2", "Protocol version: TLSv1.3"},
		{false, "svid: uid 1112: rpc error", "svid: uid 1113: rpc error"},
		{false, "Reused, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256", "Reused, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"},
		{false, "-ttl 12s", "-ttl 13s"},
		{false, "117 requests: 117 served, 0 failed", "117 requests: 112 served, 5 failed"},
		{false, "PASS bad-id (8 checks, 3 s)", "PASS bad-id (7 checks, 3 s)"},
		{false, "https://server:8443/", "https://server:9443/"},
		{false, "curl: (60) SSL", "curl: (55) SSL"},
	} {
		if missing := missingQuotes("```console\n"+c.quote+"\n```\n", c.printed+"\n"); (len(missing) == 0) != c.same {
			t.Errorf("%q matches %q: %t, want %t", c.quote, c.printed, !c.same, c.same)
		}
	}
}

// TestLessonProblems: for each requirement on a lesson, a change that violates it must be found.
func TestLessonProblems(t *testing.T) {
	v := labVersions(t)
	lesson := read(t, "scripts/scenarios/bad-id.md")
	if problems := lessonProblems(lesson, v); problems != nil {
		t.Fatal(problems)
	}
	long := strings.Repeat("word ", enough)
	for _, c := range []struct{ expression, becomes, want string }{
		{`(?m)^Sources: `, "", `has no paragraph "Sources: "`},
		{`/665a28f[0-9a-f]+/`, "/main/", "not one link to a tag, a commit or an RFC"},
		{`www.rfc-editor.org/rfc/`, "www.example.org/", "not one link to a tag, a commit or an RFC"},
		{`(?m)(\[RFC 8446, section 2\].*)`, "see $1", "not one link to a tag, a commit or an RFC"},
		{`(go-spiffe/blob)/v[0-9.]+/`, "$1/v2.0.0/", "a source with a different version"},
		{`under "Validation"`, "in section 5", "names sections outside its sources: section 5"},
		{`(?m)^## Why$`, "## Because", `has no part "## Why"`},
		{"```console", "```text", "quotes no output"},
		{"(?s)```sh.*?```\n", "", "has no commands in a block"},
		{`(?m)^[0-9]+ minutes.*$`, "It is short.", "does not say in its third line how long it takes"},
		{`(?m)^## Why$`, "## Why\n" + long, "words before"},
	} {
		changed := regexp.MustCompile(c.expression).ReplaceAllString(lesson, c.becomes)
		if changed == lesson {
			t.Errorf("%q changes nothing", c.expression)
		}
		if said := strings.Join(lessonProblems(changed, v), "\n"); !strings.Contains(said, c.want) {
			t.Errorf("with %q: want %q, got %q", c.expression, c.want, said)
		}
	}
}

// TestCourseProblems: for each requirement on the course, a change that violates it must be found.
func TestCourseProblems(t *testing.T) {
	for want, change := range map[string]func(*course){
		"happy-path.md needs bad-id, which comes after it": func(c *course) {
			c.lessons["happy-path"] = strings.Replace(c.lessons["happy-path"], " minutes", " minutes, [bad-id](bad-id.md)", 1)
		},
		"the Next lines form a circle: happy-path comes twice": func(c *course) { c.lessons["happy-path"] = "a\nb\nc\nNext: [happy-path](happy-path.md)\n" },
		"the Next lines do not visit every scenario":           func(c *course) { c.lessons["happy-path"] = "a\nb\nc\nNext: [nowhere](nowhere.md)\n" },
		"does not end with a line such as":                     func(c *course) { c.lessons["happy-path"] = "a\nb\nc\nThe end\n" },
		"ANSWERS.md does not answer each lesson":               func(c *course) { c.answers = strings.Replace(c.answers, "## bad-id", "## bad", 1) },
		"the course page has an order that differs": func(c *course) {
			c.page = strings.Replace(c.page, "| [happy-path](happy-path.md) |", "| [openssl-eyes](openssl-eyes.md) |", 1)
		},
		"scripts/scenarios/README.md has no rows": func(c *course) { c.page = "" },
	} {
		c := readCourse(t)
		change(&c)
		if said := strings.Join(c.problems(), "\n"); !strings.Contains(said, want) {
			t.Errorf("want %q, got %q", want, said)
		}
	}
}
