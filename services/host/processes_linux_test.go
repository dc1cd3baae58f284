package main

import (
	"net"
	"os"
	"slices"
	"testing"
)

// TestListeningHere: the function listening must understand the format of this machine's kernel.
func TestListeningHere(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Log(err) // the machine has no IPv6
			continue
		}
		if got, here := listening(os.DirFS("/proc")), listener.Addr().String(); !slices.Contains(got, here) {
			t.Errorf("%s is not among %q", here, got)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}
}
