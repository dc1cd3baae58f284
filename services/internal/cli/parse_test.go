package cli

import (
	"flag"
	"io"
	"strings"
	"testing"
)

func TestFlagValue(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"client -interval 5s", ""},
		{"client -url https://a/", "https://a/"},
		{"client --url https://a/", "https://a/"},
		{"client -url=https://a/?b=c", "https://a/?b=c"},
		{"client -url https://a/ -url https://b/", "https://b/"},
		{"client -url-of-another x", ""},
		{"client -url", ""},
	} {
		if got := FlagValue(strings.Fields(test.args), "url"); got != test.want {
			t.Errorf("FlagValue(%q) = %q, want %q", test.args, got, test.want)
		}
	}
}

func TestParseArguments(t *testing.T) {
	for _, test := range []struct{ names, args, err string }{
		{"", "", ""},
		{"", "x", `unexpected argument "x": p takes flags only`},
		{"FROM TO", "a b", ""},
		{"FROM TO", "-v a b", ""},
		{"FROM TO", "a", `p wants FROM TO, got ["a"]`},
		{"FROM TO", "a b c", `p wants FROM TO, got ["a" "b" "c"]`},
		{"SERVICE...", "a b", ""},
		{"SERVICE...", "", `p wants SERVICE..., got []`},
		{"[COMMAND...]", "", ""},
		{"[COMMAND...]", "-v client -url x", ""},
		{"[COMMAND...]", "-url x", "flag provided but not defined: -url"},
	} {
		flags := flag.NewFlagSet("p", flag.ContinueOnError)
		flags.Bool("v", false, "")
		err := Parse(flags, strings.Fields(test.args), io.Discard, strings.Fields(test.names)...)
		if got := errText(err); got != test.err {
			t.Errorf("%q with %q: %q, want %q", test.args, test.names, got, test.err)
		}
	}
}

func TestParseHelp(t *testing.T) {
	var out strings.Builder
	flags := flag.NewFlagSet("p", flag.ContinueOnError)
	flags.Bool("v", false, "says more")
	if err := Parse(flags, []string{"-help"}, &out, "FROM"); err != flag.ErrHelp || !strings.Contains(out.String(), "usage: p [flags] FROM\n") || !strings.Contains(out.String(), "says more") {
		t.Errorf("%v, and %q", err, out.String())
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
