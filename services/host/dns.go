//go:build unix

package main

import "net"

// serveNoNames answers every DNS question to this UDP address with "no such name". The engine knows the names of the
// lab. Without serveNoNames, the engine would forward every other question to the DNS server of the local network,
// which has nothing to do with the lab and may never answer.
func serveNoNames(address string) error {
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
		if noSuchName(packet[:n]) {
			_, _ = conn.WriteTo(packet[:n], from) // a client that has gone needs no answer
		}
	}
}

// noSuchName turns a DNS query into the response "no such name" (RFC 1035, 4.1.1). It returns false if the packet is
// not a query.
func noSuchName(packet []byte) bool {
	const header, response, recursion, nameError = 12, 1 << 7, 1 << 7, 3
	if len(packet) < header || packet[2]&response != 0 {
		return false
	}
	packet[2] |= response
	packet[3] = recursion | nameError
	return true
}
