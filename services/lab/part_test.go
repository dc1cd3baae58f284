package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// A part gets its own flags, also those that lab has, and its exit status is that of lab.
func TestPart(t *testing.T) {
	var got []string
	parts["test"] = func(args []string, _ io.Reader, _, _ io.Writer) int {
		got = args
		return len(args)
	}
	t.Cleanup(func() { delete(parts, "test") })
	for _, test := range []struct {
		args, want string
		status     int
	}{
		{"--dir=../.. part test", "", 0},
		{"--dir=../.. part test -help --dir=x y", "-help --dir=x y", 3},
		{"part test -- x", "-- x", 2},
	} {
		root := newRoot()
		root.SetArgs(strings.Fields(test.args))
		var status exitStatus
		if err := root.Execute(); err != nil && !errors.As(err, &status) {
			t.Errorf("%s: %v", test.args, err)
		}
		if int(status) != test.status || !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("%s: exit status %d, and the part gets %q", test.args, status, got)
		}
	}
	for _, args := range []string{"part", "part nonsense"} {
		root := newRoot()
		root.SetArgs(strings.Fields(args))
		var usage usageError
		if err := root.Execute(); !errors.As(err, &usage) || !strings.Contains(err.Error(), `"traffic"`) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
