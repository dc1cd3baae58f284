// Command console serves the page that shows a running lab. It is a program of its own, beside lab, because an HTTP server makes a
// program larger by half, and most commands need none.
package main

import (
	"os"

	"github.com/spiffe-lab/spiffe-lab/services/internal/console"
)

func main() { os.Exit(console.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
