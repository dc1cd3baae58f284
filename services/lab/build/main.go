// Command build compiles the programs lab and console for the machine on which they will run, and stores the hash of their sources in
// lab. The Dockerfile and scripts/lab both call it, so both build the same programs:
//
//	go run ./services/lab/build -os darwin -arch arm64 -o folder
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/spiffe-lab/spiffe-lab/services/internal/sources"
)

func main() {
	target := flag.String("os", runtime.GOOS, "operating system, as Go names it")
	arch := flag.String("arch", runtime.GOARCH, "architecture, as Go names it")
	folder := flag.String("o", ".", "folder to write to")
	flag.Parse()
	if err := build(*target, *arch, *folder); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func build(target, arch, folder string) error {
	hash, err := sources.Hash(".", sources.Program...)
	if err != nil {
		return err
	}
	for _, program := range []string{"lab", "console"} {
		file := filepath.Join(folder, program)
		if target == "windows" {
			file += ".exe"
		}
		// The console needs no HTTP/2, which would add half a megabyte. Without inlining, a program is a tenth smaller.
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "nethttpomithttp2", "-gcflags=all=-l",
			"-ldflags", "-s -w -X main.sourcesHash="+hash, "-o", file, "./services/"+program)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+target, "GOARCH="+arch, "GOFLAGS=-mod=readonly", "GO111MODULE=on", "GOWORK=off")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return err
		}
	}
	return nil
}
