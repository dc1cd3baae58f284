package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestProcesses(t *testing.T) {
	id := strings.Repeat("ab", 32)
	proc := fstest.MapFS{}
	for pid, is := range map[int]struct{ command, cgroup string }{
		1:   {"node -dns :53", "12:pids:/docker/" + id},
		7:   {"server -health 127.0.0.1:8080", "0::/"},
		12:  {"/opt/spiffe-lab/bin/client -interval 5s", "0::/../docker-" + id + ".scope"},
		20:  {"/opt/spire/bin/spire-agent run -config /etc/spire/agent/agent.conf", "4:cpu:/docker/" + strings.Repeat("cd", 32) + "/docker/" + id},
		21:  {"/opt/spire/bin/spire-agent healthcheck", "4:cpu:/docker/" + id},
		30:  {"/usr/lib/mail/client --password secret", "0::/"},
		31:  {"", "0::/"},
		200: {"observer client", "0::/"},
	} {
		folder := fmt.Sprint(pid)
		proc[folder+"/cmdline"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(is.command, " ", "\x00") + "\x00")}
		proc[folder+"/cgroup"] = &fstest.MapFile{Data: []byte(is.cgroup + "\n")}
	}
	proc["net/tcp"] = &fstest.MapFile{}
	var got []string
	for _, p := range processes(proc) {
		got = append(got, fmt.Sprintf("%d %s %s", p.PID, p.Container, strings.Join(p.Command, " ")))
	}
	want := []string{
		"7  server -health 127.0.0.1:8080",
		"12 " + id + " /opt/spiffe-lab/bin/client -interval 5s",
		"20 " + id + " /opt/spire/bin/spire-agent run -config /etc/spire/agent/agent.conf",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestListening(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	got := listening(fstest.MapFS{
		"net/tcp": {Data: []byte(head +
			"   0: 0B00007F:A8F3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n" +
			"   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1111        0 2 1 0 100 0 0 10 0\n" +
			"   2: 0500A8C0:CE3A 0400A8C0:20FB 01 00000000:00000000 00:00000000 00000000  1111        0 3 1 0 100 0 0 10 0\n")},
		"net/tcp6": {Data: []byte(head +
			"   0: 00000000000000000000000000000000:20FB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1111        0 4 1 0 100 0 0 10 0\n" +
			"   1: 00000000000000000000000001000000:20FC 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1111        0 5 1 0 100 0 0 10 0\n")},
	})
	if want := []string{"127.0.0.1:8080", "[::1]:8444", "[::]:8443"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
