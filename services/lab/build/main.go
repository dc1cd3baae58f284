// Command build compiles the program lab for the machine that it will run on, and puts the hash of its sources into it.
// The Dockerfile and scripts/lab both call it, so that both ways make the same program:
//
//	go run ./services/lab/build -os darwin -arch arm64 -o lab
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/spiffe-lab/spiffe-lab/services/internal/sources"
)

func main() {
	target := flag.String("os", runtime.GOOS, "operating system, as Go names it")
	arch := flag.String("arch", runtime.GOARCH, "architecture, as Go names it")
	out := flag.String("o", "lab", "file to write")
	flag.Parse()
	if err := build(*target, *arch, *out); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func build(target, arch, out string) error {
	hash, err := sources.Hash(".", sources.Program...)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.sourcesHash="+hash, "-o", out, "./services/lab")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+target, "GOARCH="+arch, "GOFLAGS=-mod=readonly", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}
