package main

import "net"

// serveNoNames answers every DNS question that comes to this UDP address: there is no such name. The names of
// the lab the engine knows; what it does not know it would pass on to the DNS server of the room, which
// has nothing to do with the lab, and may never answer.
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
			_, _ = conn.WriteTo(packet[:n], from) // who is gone does not need it
		}
	}
}

// noSuchName turns a DNS query into the response "no such name" (RFC 1035, 4.1.1); false for what is no query.
func noSuchName(packet []byte) bool {
	const header, response, recursion, nameError = 12, 1 << 7, 1 << 7, 3
	if len(packet) < header || packet[2]&response != 0 {
		return false
	}
	packet[2] |= response
	packet[3] = recursion | nameError
	return true
}
