package scenario

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of the course into its page, and the times into the lessons")

// These two lines enclose each part of the course page that the test generates from the table Course.
const (
	begins = "<!-- %: go test ./services/internal/scenario -run TestCourse -update -->\n"
	ends   = "<!-- end -->\n"
)

// between replaces, in a page, the text between the lines begins and ends.
func between(t *testing.T, page, name, text string) string {
	t.Helper()
	line := strings.Replace(begins, "%", name, 1)
	before, rest, ok := strings.Cut(page, line)
	_, after, ok2 := strings.Cut(rest, ends)
	if !ok || !ok2 {
		t.Fatalf("the course page does not have the lines %q and %q", line, ends)
	}
	return before + line + text + ends + after
}

var timeOfLesson = regexp.MustCompile(`^[0-9]+ minutes(, [0-9]+ of them waiting)?`)

// TestCourse: every scenario must have its place in the table Course. The course page and the lessons must agree with this table.
func TestCourse(t *testing.T) {
	dir := root(t)
	scripts, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	expectations := map[string]string{}
	var names, course []string
	for _, script := range scripts {
		names = append(names, script.Name)
		expectations[script.Name] = script.Expectation
	}
	for _, chapter := range Course {
		for _, l := range chapter.Lessons {
			course = append(course, l.Name)
			same(t, dir, l.Name+".md", func(lesson string) string {
				lines := strings.SplitN(lesson, "\n", 4)
				if len(lines) < 4 {
					return ""
				}
				lines[2] = timeOfLesson.ReplaceAllString(lines[2], l.Time())
				if !strings.HasPrefix(lines[2], l.Time()) {
					lines[2] = l.Time()
				}
				return strings.Join(lines, "\n")
			})
		}
		if chapter.Predict != "" && !slices.ContainsFunc(chapter.Lessons, func(l Lesson) bool { return l.Name == chapter.Predict }) {
			t.Errorf("%s is not a lesson of %q", chapter.Predict, chapter.Title)
		}
	}
	slices.Sort(course)
	if !slices.Equal(names, course) {
		t.Errorf("the course has %s; the scenarios are %s", course, names)
	}
	same(t, dir, "README.md", func(page string) string {
		return between(t, between(t, page, "The tables", Tables(expectations)), "The plan", HalfADay())
	})
}

// same compares a file with the text that the function make generates from it. With -update it writes this text.
func same(t *testing.T, dir, name string, make func(string) string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(folder), name)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := make(string(text))
	switch {
	case want == string(text):
	case *update:
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("scripts/scenarios/%s does not say what the table in course.go says: go test ./services/internal/scenario -run TestCourse -update writes it", name)
	}
}

// TestHalfADay: in the plan for half a day, the total must be the sum of the rows.
func TestHalfADay(t *testing.T) {
	sum, total := 0, 0
	for _, row := range regexp.MustCompile(`(?m)^\| (\*\*)?([0-9]+)`).FindAllStringSubmatch(HalfADay(), -1) {
		if row[1] == "" {
			sum += number(row[2])
		} else {
			total = number(row[2])
		}
	}
	if sum == 0 || sum != total {
		t.Errorf("the rows have %d minutes, and the last line says %d", sum, total)
	}
}

func TestInCourse(t *testing.T) {
	got := InCourse([]Script{{Name: "bad-id"}, {Name: "mine"}, {Name: "happy-path"}})
	want := []Placed{{Script{Name: "happy-path"}, "1. " + Course[0].Title}, {Script{Name: "bad-id"}, "3. " + Course[2].Title}, {Script{Name: "mine"}, "not in the course"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
