//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

func TestNoSuchNameOnlyOfQueries(t *testing.T) {
	for name, packet := range map[string][]byte{
		"nothing":    {},
		"too short":  make([]byte, 11),
		"a response": {0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0},
	} {
		if noSuchName(packet) {
			t.Errorf("%s is answered", name)
		}
	}
}

func TestNoSuchName(t *testing.T) {
	// The packet is a query for the name "a.", type SRV, with the flag "recursion desired".
	query := []byte{0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 33, 0, 1}
	packet := bytes.Clone(query)
	if !noSuchName(packet) {
		t.Fatal("a query is not answered")
	}
	if packet[2] != 0x81 || packet[3] != 0x83 {
		t.Errorf("flags %x, want 8183: a response, recursion available, no such name", packet[2:4])
	}
	if !bytes.Equal(packet[:2], query[:2]) || !bytes.Equal(packet[4:], query[4:]) {
		t.Errorf("got %x: it is no answer to %x", packet, query)
	}
}

func TestServeNoNames(t *testing.T) {
	// This finds a free port. The resolver asks again until the DNS server listens on it.
	probe, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.LocalAddr().String()
	probe.Close()
	go serveNoNames(address)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", address)
	}}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, _, err = resolver.LookupSRV(context.Background(), "grpclb", "tcp", "spire-server.")
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound && !dns.IsTemporary && !dns.IsTimeout {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("want no such host, got %v", err)
		}
	}
}
