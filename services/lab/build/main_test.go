package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDockerfileCopies: the Dockerfile must copy exactly the folders from which the workloads are compiled. A missing folder would cause a
// failure only where the images are built in the Go image.
func TestDockerfileCopies(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.ImportPath}}{{end}}{{end}}",
		"../../server", "../../client", "../../host")
	list.Env = append(os.Environ(), "GOOS=linux") // the workloads run on Linux, whatever this machine runs
	out, err := list.Output()
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

// TestEveryStageHasAnImage: each stage of the Dockerfile must have an image name. Otherwise Docker Engine 20.10 builds no stage of the
// Dockerfile. Then the program lab is not compiled in the Go image, but by the machine's own Go, if there is any.
func TestEveryStageHasAnImage(t *testing.T) {
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	compose, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	stages := regexp.MustCompile(`(?m)^FROM \$\{(\w+)\}`).FindAllSubmatch(dockerfile, -1)
	if len(stages) == 0 {
		t.Fatal("services/Dockerfile has no stage whose image is an argument")
	}
	for _, stage := range stages {
		name := regexp.QuoteMeta(string(stage[1]))
		if !regexp.MustCompile(`(?m)^ARG `+name+`=`).Match(dockerfile) && !regexp.MustCompile(`(?m)^ +`+name+`: \S`).Match(compose) {
			t.Errorf("services/lab/compose.yaml gives no image for FROM ${%s} of services/Dockerfile", stage[1])
		}
	}
}
