// Command probe is the containers' health check: their image has no shell and no curl. It exits
// with 0 if the URL answers 200 within two seconds, with 2 for wrong usage, else with 1.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	if len(args) != 1 || !strings.HasPrefix(args[0], "http://") {
		fmt.Fprintln(stderr, "usage: probe http://ADDRESS/healthz")
		return 2
	}
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get(args[0])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		fmt.Fprintf(stderr, "%s: %s", response.Status, body)
		return 1
	}
	return 0
}
