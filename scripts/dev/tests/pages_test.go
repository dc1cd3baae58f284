package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`!?\[[^]]*\]\(([^) ]+)\)`)
	unlined = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	title   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unfit   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// frontDoor is the largest number of lines of README.md.
const frontDoor = 200

// TestPages: every link of every page in the repository must lead to an existing file and heading.
func TestPages(t *testing.T) {
	listed, err := exec.Command("git", "-C", root(), "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, name := range lines(string(listed)) {
		text, err := os.ReadFile(filepath.Join(root(), filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, but not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(text)
	}
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(root(), filepath.FromSlash(name)))
		return err == nil
	}
	for _, problem := range pageProblems(pages, exists) {
		t.Error(problem)
	}
	if n := strings.Count(pages["README.md"], "\n"); n > frontDoor {
		t.Errorf("README.md has %d lines: %d are enough", n, frontDoor)
	}
}

func pageProblems(pages map[string]string, exists func(name string) bool) []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		for _, found := range link.FindAllStringSubmatch(unlined.ReplaceAllString(pages[name], "code"), -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = filepath.ToSlash(filepath.Join(filepath.Dir(name), target))
			}
			switch {
			case !exists(file):
				problems = append(problems, fmt.Sprintf("%s links %s, which does not exist", name, found[1]))
			case anchor != "" && strings.HasSuffix(file, ".md") && !slices.Contains(anchors(pages[file]), anchor):
				problems = append(problems, fmt.Sprintf("%s links %s, and %s has no such heading", name, found[1], file))
			}
		}
	}
	return problems
}

// anchors returns the names that GitHub gives to the headings of a page, for links.
func anchors(page string) []string {
	var all []string
	for _, found := range title.FindAllStringSubmatch(regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, ""), -1) {
		all = append(all, strings.ReplaceAll(strings.ToLower(unfit.ReplaceAllString(found[1], "")), " ", "-"))
	}
	return all
}

func TestPageProblems(t *testing.T) {
	pages := map[string]string{
		"README.md":  "# A lab\n\n[one](a/ONE.md#what-it-is-and-is-not) [file](a/x.sh) [here](#a-lab) [far](https://go.dev/x#y) `[no](link)`\n",
		"a/ONE.md":   "## What it *is*, and is not\n\n[back](../README.md)\n\n```\n# not a heading\n[no](link)\n```\n",
		"a/WRONG.md": "[gone](x.md) [heading](ONE.md#not-a-heading) [own](#none)\n",
	}
	exists := func(name string) bool { return pages[name] != "" || name == "a/x.sh" }
	got := pageProblems(pages, exists)
	want := []string{
		"a/WRONG.md links x.md, which does not exist",
		"a/WRONG.md links ONE.md#not-a-heading, and a/ONE.md has no such heading",
		"a/WRONG.md links #none, and a/WRONG.md has no such heading",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
