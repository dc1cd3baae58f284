package main

import (
	"fmt"
	"net/netip"
	"syscall"
)

// watch reads the IPv4 packets of all interfaces, and prints each packet from the subnet to an address outside of the
// subnet. Link-local (RFC 3927), multicast and broadcast addresses do not count as outside. The program needs root for
// this.
func watch(subnet netip.Prefix) error {
	const ipv4 = syscall.ETH_P_IP>>8 | syscall.ETH_P_IP&0xff<<8 // the protocol number in network byte order
	socket, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, ipv4)
	if err != nil {
		return err
	}
	fmt.Println("watching")
	packet := make([]byte, 65536)
	for {
		n, _, err := syscall.Recvfrom(socket, packet, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n < 20 {
			continue
		}
		from, to := netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20]))
		if subnet.Contains(from) && !subnet.Contains(to) && !to.IsLinkLocalUnicast() && !to.IsMulticast() && to != netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			fmt.Printf("%v to %v, protocol %d\n", from, to, packet[9])
		}
	}
}
