package report

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

var update = flag.Bool("update", false, "record reporttest/healthy.json from the lab that runs here")

const recording = "reporttest/healthy.json"

// TestRecording: the recorded report must be the same after it was read and written again. With -update the test first records a new
// report.
func TestRecording(t *testing.T) {
	if *update {
		e, err := engine.New("../../..")
		if err != nil {
			t.Fatal(err)
		}
		f := Gather(context.Background(), e, Options{Patience: 30 * time.Second})
		for _, s := range f.Sections() {
			if !s.OK() {
				t.Fatalf("%s: %s", s.Question, s.Status)
			}
		}
		f.Host.Patience = Patience
		f.Host.Variables = nil
		var out strings.Builder
		if err := Save(&out, f); err != nil {
			t.Fatal(err)
		}
		// The recording must not depend on the names of this lab, so it gets the default names.
		tag := e.Setting("LAB_TAG")
		text := strings.NewReplacer(`: "`+e.Project+`"`, `: "`+lab.Project+`"`, e.Project+"-", lab.Project+"-", e.Project+"_", lab.Project+"_", `:`+tag+`"`, `:local"`, `:`+tag+` `, `:local `,
			`"labTag": "`+tag+`"`, `"labTag": "local"`).Replace(out.String())
		if err := os.WriteFile(recording, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Read(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Save(&out, f); err != nil {
		t.Fatal(err)
	}
	if out.String() != string(text) {
		t.Error("what Save writes is not what Read has read")
	}
	if len(f.Containers) != 6 || len(f.Entries) != 3 || len(f.Agents) != 1 || len(f.Users) != 4 || len(f.Observations) != 3 || len(f.Images) != 4 || len(f.Bundle) != 1 || len(f.HostBundle) != 1 ||
		len(f.Credential) != 3 || f.Authorities.Active == nil || f.Engine.API == "" || f.Clock.IsZero() || len(f.Log("spire-agent")) == 0 {
		t.Errorf("something was not read: %d containers, %d entries, %d agents, %d users, %d observations, %d images, %d and %d CAs, %v", len(f.Containers), len(f.Entries), len(f.Agents), len(f.Users),
			len(f.Observations), len(f.Images), len(f.Bundle), len(f.HostBundle), f.Credential)
	}
}
