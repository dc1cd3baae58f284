// Command sandbox simulates a DNS server, and watches the packets that a lab sends to other networks:
//
//	sandbox dns ADDRESS hangs|refuses|lies   is a DNS server, and prints a line for each question
//	sandbox watch SUBNET                     prints a line for each packet from SUBNET to a different network
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

// answer returns a DNS response (RFC 1035, 4.1.1). With the manner "lies" the response has the same address for every
// name, as from a captive portal. With "hangs" there is no response.
func answer(query []byte, manner string) []byte {
	const header = 12
	end := header
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // the root label, the type, the class
	if manner == "hangs" || end > len(query) {
		return nil
	}
	response := append([]byte{query[0], query[1], 0x80 | query[2], 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[header:end]...)
	if manner == "refuses" {
		response[3] |= 5
		return response
	}
	response[7] = 1
	// The answer is an A record for the name in the question, and is valid for a minute. Its address is reserved for
	// documentation (RFC 5737).
	return append(response, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1)
}
