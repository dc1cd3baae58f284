// Command node is the lab's host: a process that owns the PID namespace which the agent and the
// workloads join. As its first process it inherits orphans, so it reaps them.
//
//	node -dns ADDRESS   also answers DNS questions there: no such name
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	dns := flag.String("dns", "", "UDP `address` on which every DNS question is answered: no such name")
	flag.Parse()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	if *dns != "" {
		go func() {
			// The host is there without it: who asks then waits in vain for a second.
			if err := serveNoNames(*dns); err != nil {
				fmt.Fprintln(os.Stderr, "node: no answers to DNS questions:", err)
			}
		}()
	}
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
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
}
