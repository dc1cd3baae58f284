package classroom

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
)

// want runs a command, and compares what it writes, or, where fails is set, the words of its failure.
func want(t *testing.T, args []string, in, out, fails string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := Main(args, strings.NewReader(in), &stdout, &stderr)
	switch said := stdout.String() + stderr.String(); {
	case (status == 0) != (fails == ""):
		t.Fatalf("status %d, %q; want %q", status, said, out+fails)
	case !strings.Contains(said, out+fails):
		t.Fatalf("writes %q, want %q", said, out+fails)
	}
}

func TestNetworks(t *testing.T) {
	tests := map[string]struct{ in, out, fails string }{
		"the engine's own pools":      {"", "31\n", ""},
		"one network is there":        {"used 172.17.0.0/16\n", "30\n", ""},
		"a route over many":           {"used 172.16.0.0/12\n", "16\n", ""},
		"a small one within":          {"used 192.168.17.0/24\n", "30\n", ""},
		"a pool of the configuration": {"pool 10.201.0.0/16 24\nused 172.17.0.0/16\nused 10.201.3.0/24\n", "255\n", ""},
		"two pools":                   {"pool 10.0.0.0/23 24\npool 10.1.0.0/24 26\n", "6\n", ""},
		"the last addresses":          {"pool 255.255.254.0/23 24\n", "2\n", ""},
		"IPv6 has no end":             {"pool 10.0.0.0/23 24\npool fd00::/8 64\nused fd00::/64\n", "2\n", ""},
		"a network without a subnet":  {"used \nused\n", "31\n", ""},
		"no network":                  {"used 10.0.0.0/99\n", "", `"10.0.0.0/99" is no network`},
		"no pool":                     {"pool 10.0.0.0/24 16\n", "", `"10.0.0.0/24 16" is no address pool`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { want(t, []string{"networks"}, test.in, test.out, test.fails) })
	}
}

func TestMemory(t *testing.T) {
	tests := map[string]struct{ in, out, fails string }{
		"units":   {"a 1.5GiB / 7GiB\nb 10MiB\nc 512KiB\nd 2048B\n", "1583618\n", ""},
		"nothing": {"", "0\n", ""},
		"a comma": {"a 1,5GiB\n", "", `"1,5GiB" is no size`},
		"no size": {"a\n", "", "this has no size"},
		"no unit": {"a 15\n", "", `"15" is no size`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { want(t, []string{"memory"}, test.in, test.out, test.fails) })
	}
}

const class = "lab c-01 2.04 ok\nlab c-02 0 happy-path failed: see /a \"b\"\nmemory c-01-client-1 10.5MiB / 7GiB\nmemory c-01-node-1 512KiB / 7GiB\nmemory c-02-node-1 1MiB / 7GiB\n"

func TestClassroomTable(t *testing.T) {
	want(t, []string{"table"}, class, "lab   ready after       memory  result\nc-01       2.04 s     11.0 MiB  ok\nc-02       0.00 s      1.0 MiB  happy-path failed: see /a \"b\"\n", "")
	want(t, []string{"table"}, "lab c-01 soon ok\n", "", `"soon" is no number of seconds`)
	want(t, []string{"table"}, "nonsense\n", "", "neither a lab nor its memory")
}

func TestClassroomJSON(t *testing.T) {
	var out bytes.Buffer
	args := []string{"table", "-json", "-seconds", "7", "-machine-memory", "120"}
	if status := Main(args, strings.NewReader(class), &out, io.Discard); status != 0 {
		t.Fatal(status)
	}
	var got report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v", out.String(), err)
	}
	if got.N != 2 || got.Seconds != 7 || got.MachineMiB != 120 || got.Labs[0] != (lab{"c-01", 2.04, 11, "ok"}) || got.Labs[1].Result != `happy-path failed: see /a "b"` {
		t.Errorf("%+v", got)
	}
}
