package main

import (
	"errors"
	"strings"
	"testing"
)

// TestPart: an unknown part must be refused. The error must name all parts.
func TestPart(t *testing.T) {
	for _, args := range []string{"part", "part nonsense", "part build preflight"} {
		root := newRoot()
		root.SetArgs(strings.Fields(args))
		var usage usageError
		if err := root.Execute(); !errors.As(err, &usage) || !strings.Contains(err.Error(), `"preflight"`) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
