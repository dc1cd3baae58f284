//go:build unix

package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestName: host runs the command with the name of the link, or of the first argument. An unknown name is an error.
func TestName(t *testing.T) {
	for _, test := range []struct {
		args   string
		status int
		text   string
	}{
		{"host", 2, `host: no command "host": want node, observer, probe, svid`},
		{"/opt/spiffe-lab/bin/host", 2, `host: no command "host"`},
		{"host nonsense", 2, `host: no command "nonsense"`},
		{"host probe", 2, "probe: probe wants URL"},
		{"/opt/spiffe-lab/bin/probe", 2, "probe: probe wants URL"},
		{"probe svid", 2, `probe: the URL is "svid"`},
		{"svid -nonsense", 2, "svid: flag provided but not defined: -nonsense"},
		{"svid extra", 2, `svid: unexpected argument "extra"`},
		{"node -dns nowhere", 2, `node: invalid value "nowhere" for flag -dns`},
		{"observer -limit 0s", 2, "observer: invalid value"},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(strings.Fields(test.args), &stdout, &stderr); got != test.status || !strings.Contains(stderr.String(), test.text) || stdout.Len() > 0 {
			t.Errorf("%q: exit status %d, %q; want %d, %q", test.args, got, stderr.String(), test.status, test.text)
		}
	}
	var stdout, stderr bytes.Buffer
	if got := run([]string{"host", "observer", "-help"}, &stdout, &stderr); got != 0 || !strings.Contains(stdout.String(), "-limit") {
		t.Errorf("observer -help: exit status %d, %q", got, stdout.String())
	}
}
