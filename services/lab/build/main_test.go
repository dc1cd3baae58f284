package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The Dockerfile copies for the workloads the folders that they are compiled from, and no others: what is missing there
// would fail only where the images are built in the Go image.
func TestDockerfileCopies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.ImportPath}}{{end}}{{end}}",
		"../../server", "../../client", "../../host").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, path := range strings.Fields(string(out)) {
		want = append(want, "services/"+strings.SplitN(path, "/services/", 2)[1])
	}
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stage, _, _ := strings.Cut(string(text), "\nFROM scratch AS compiled\n")
	var got []string
	for _, found := range regexp.MustCompile(`(?m)^COPY (services/\S+) (\S+)$`).FindAllStringSubmatch(stage, -1) {
		if found[1] != found[2] {
			t.Errorf("%s is copied to %s", found[1], found[2])
		}
		got = append(got, found[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("services/Dockerfile copies %q, and the programs are compiled from %q", got, want)
	}
}
