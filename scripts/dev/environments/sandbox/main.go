// Command sandbox plays a DNS server of the local network, and watches what a lab sends there:
//
//	sandbox dns ADDRESS hangs|refuses|lies   a DNS server: prints a line for each question
//	sandbox watch SUBNET                     prints a line for each packet that goes from SUBNET elsewhere
package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "dns" && slices.Contains([]string{"hangs", "refuses", "lies"}, args[2]):
		return serveDNS(args[1], args[2])
	case len(args) == 2 && args[0] == "watch":
		subnet, err := netip.ParsePrefix(args[1])
		if err != nil {
			return err
		}
		return watch(subnet)
	}
	return fmt.Errorf("want dns ADDRESS hangs|refuses|lies, or watch SUBNET")
}

func serveDNS(address, manner string) error {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	packet := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(packet)
		if err != nil {
			return err
		}
		fmt.Printf("%v asks %q\n", from, packet[:n])
		if answer := answer(packet[:n], manner); answer != nil {
			if _, err := conn.WriteTo(answer, from); err != nil {
				return err
			}
		}
	}
}

// answer makes a response (RFC 1035, 4.1.1): "refused", or an address for any name, as a captive portal does.
func answer(query []byte, manner string) []byte {
	const header = 12
	end := header
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // the root, the type, the class
	if manner == "hangs" || end > len(query) {
		return nil
	}
	response := append([]byte{query[0], query[1], 0x80 | query[2], 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[header:end]...)
	if manner == "refuses" {
		response[3] |= 5
		return response
	}
	response[7] = 1
	// The name of the question, an A record of the Internet, good for a minute: an address of no machine (RFC 5737).
	return append(response, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1)
}
