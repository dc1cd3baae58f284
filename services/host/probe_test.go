//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/health"
)

func TestProbeTellsHealth(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	var state error
	stop, err := health.Listen(addr, func() error { return state })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()

	for _, c := range []struct {
		name   string
		state  error
		args   []string
		status int
		text   string
	}{
		{"healthy", nil, []string{"http://" + addr + "/healthz"}, 0, ""},
		{"ill", errors.New("the X.509-SVID expired"), []string{"http://" + addr + "/healthz"}, 1, "503 Service Unavailable: the X.509-SVID expired\n"},
		{"another path", nil, []string{"http://" + addr + "/"}, 1, "404 Not Found"},
		{"the mTLS port", nil, []string{"https://server:8443/"}, 2, "want one such as http://127.0.0.1:8080/healthz"},
		{"no argument", nil, nil, 2, "probe: probe wants URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			state = c.state
			var stderr bytes.Buffer
			if got := run(append([]string{"/opt/spiffe-lab/bin/probe"}, c.args...), io.Discard, &stderr); got != c.status || !strings.Contains(stderr.String(), c.text) {
				t.Errorf("exit status %d, %q; want %d, %q", got, stderr.String(), c.status, c.text)
			}
		})
	}
	if _, err := health.Listen(addr, nil); err == nil || !strings.HasPrefix(err.Error(), "-health: listen tcp "+addr) {
		t.Errorf("a second listener on the address: %v", err)
	}
}
