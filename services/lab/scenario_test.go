package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// TestPauseWithoutTerminal: without a terminal, --pause must be an error before the scenario begins.
func TestPauseWithoutTerminal(t *testing.T) {
	enginetest.Start(t, "")
	stdin := os.Stdin
	t.Cleanup(func() { os.Stdin = stdin })
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	os.Stdin = file
	root := newRoot()
	root.SetArgs([]string{"--dir=../..", "scenario", "bad-id", "--pause"})
	err = root.Execute()
	var usage usageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "the standard input is not a terminal") {
		t.Errorf("%v", err)
	}
	if log := enginetest.Log(t); log != "" {
		t.Errorf("docker was asked:\n%s", log)
	}
}
