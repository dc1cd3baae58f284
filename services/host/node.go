//go:build unix

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

// node is the first process of the lab's host. The agent and the workloads join its PID namespace. The first process of
// a PID namespace inherits processes whose parent has ended, so node reaps them. It returns after SIGTERM or SIGINT.
func node(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	var dns string
	flags.Var(cli.Address{Value: &dns}, "dns", "UDP `address` of a DNS server that answers every question with \"no such name\"")
	if err := cli.Parse(flags, args, stdout); err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	if dns != "" {
		go func() {
			// The host works without the DNS server, but each DNS question then times out after a second.
			if err := serveNoNames(dns); err != nil {
				fmt.Fprintln(stderr, "node: cannot answer DNS questions:", err)
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
