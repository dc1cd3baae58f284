//go:build unix

package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// probe is the health check of the containers, whose image has no shell and no curl. It fails unless the URL answers
// 200 within two seconds.
func probe(args []string, stdout, _ io.Writer) error {
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	if err := cli.Parse(flags, args, stdout, "URL"); err != nil {
		return err
	}
	if !strings.HasPrefix(flags.Arg(0), "http://") {
		return cli.Usagef("the URL is %q: want one such as http://127.0.0.1:8080/healthz", flags.Arg(0))
	}
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get(flags.Arg(0))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
