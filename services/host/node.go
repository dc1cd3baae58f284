package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// node is the lab's host: a process that owns the PID namespace which the agent and the workloads join. As the
// namespace's first process it inherits orphans, so it reaps them. It returns after SIGTERM or SIGINT.
func node(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	var dns string
	flags.Var(cli.Address{Value: &dns}, "dns", "UDP `address` on which every DNS question is answered: no such name")
	if err := cli.Parse(flags, args, stdout); err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	if dns != "" {
		go func() {
			// The host is there without it: who asks then waits in vain for a second.
			if err := serveNoNames(dns); err != nil {
				fmt.Fprintln(stderr, "node: no answers to DNS questions:", err)
			}
		}()
	}
	for received := range signals {
		if received != syscall.SIGCHLD {
			return nil
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err == syscall.EINTR {
				continue
			}
			if pid <= 0 || err != nil {
				break
			}
		}
	}
	return nil
}
