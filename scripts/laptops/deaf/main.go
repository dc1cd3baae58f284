// Command deaf stands in for a DNS server that does not answer: it prints a line for each question that
// comes to the UDP address it is given.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "deaf:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("want one address such as 172.17.0.1:53")
	}
	conn, err := net.ListenPacket("udp", os.Args[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	question := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(question)
		if err != nil {
			return err
		}
		fmt.Printf("%v asks %q\n", from, question[:n])
	}
}
