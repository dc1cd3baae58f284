package progress

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// TestLabsAreApart: two labs in the same folder must not share their progress.
func TestLabsAreApart(t *testing.T) {
	dir := t.TempDir()
	one, two := Of(dir, "one"), Of(dir, "two")
	if err := one.Begin(Open{Name: "01-clean-up", Number: 1, Level: 1, Since: noon}); err != nil {
		t.Fatal(err)
	}
	if err := one.Ended("01-clean-up", Solved, 1); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(one.Remember("Ada"), one.Record(Result{Fault: "clean-up"}, noon)); err != nil {
		t.Fatal(err)
	}
	if _, open := two.Open(); open {
		t.Error("the fault of the first lab is open in the second")
	}
	if all, err := two.Ends(); err != nil || len(all) > 0 {
		t.Errorf("the second lab has %v, %v", all, err)
	}
	if err := two.Record(Result{Fault: "clean-up"}, noon); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(two.Results()); err != nil || !strings.Contains(string(text), `"who":"somebody"`) {
		t.Errorf("the second lab knows a name: %s, %v", text, err)
	}
}

func TestRecord(t *testing.T) {
	p := Of(t.TempDir(), "one")
	if err := p.Remember("Zoë \"O'Neil\"\n"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Record(Result{Fault: "clean-up", Level: 1, Fixed: true, Cause: Named, Answers: []string{"a", "b"}, Seconds: 20, Hints: 2}, noon); err != nil {
			t.Fatal(err)
		}
	}
	line := `{"fault":"clean-up","level":1,"fixed":true,"cause":"named","answers":["a","b"],"seconds":20,"hints":2,"who":"Zoë ONeil","at":"2026-11-28T12:00:00Z"}` + "\n"
	if text, err := os.ReadFile(p.Results()); err != nil || string(text) != line+line {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestEnds(t *testing.T) {
	p := Of(t.TempDir(), "one")
	for _, end := range []struct {
		how   string
		hints int
		want  End
	}{{Shown, 3, End{Shown, 3}}, {Solved, 1, End{Solved, 1}}, {Shown, 2, End{Solved, 1}}} {
		if err := p.Ended("01-clean-up", end.how, end.hints); err != nil {
			t.Fatal(err)
		}
		if all, err := p.Ends(); err != nil || all["01-clean-up"] != end.want {
			t.Errorf("after %s: %v, %v", end.how, all, err)
		}
	}
	if err := p.ForgetEnds(); err != nil {
		t.Fatal(err)
	}
	if all, err := p.Ends(); err != nil || len(all) > 0 {
		t.Errorf("after ForgetEnds: %v, %v", all, err)
	}
	if err := p.ForgetEnds(); err != nil {
		t.Errorf("with nothing to forget: %v", err)
	}
}

func TestOpen(t *testing.T) {
	p := Of(t.TempDir(), "one")
	if _, open := p.Open(); open {
		t.Error("a fault is open that nobody opened")
	}
	want := Open{Name: "22-the-wrong-letter", Number: 22, Level: 2, Since: time.Unix(noon.Unix(), 0)}
	if err := p.Begin(want); err != nil {
		t.Fatal(err)
	}
	if got, open := p.Open(); !open || got != want {
		t.Errorf("got %v, %t", got, open)
	}
	for _, hint := range []string{"1", "doctor"} {
		if err := p.AddHint(hint); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(p.Hints(), " "); got != "1 doctor" {
		t.Errorf("hints are %q", got)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := p.Open(); open || len(p.Hints()) > 0 {
		t.Error("it is open after Close")
	}
}

// TestDoctorOff: from level 2 on, the doctor must be off. If a learner forces it on, this must count as a hint.
func TestDoctorOff(t *testing.T) {
	p := Of(t.TempDir(), "one")
	if why, err := p.DoctorOff(false); why != "" || err != nil {
		t.Errorf("without a fault: %q, %v", why, err)
	}
	for level := 1; level <= 3; level++ {
		if err := p.Begin(Open{Name: "07-planted", Number: 7, Level: level, Since: noon}); err != nil {
			t.Fatal(err)
		}
		if why, err := p.DoctorOff(false); (why != "") != (level > 1) || level > 1 && !strings.Contains(why, "the doctor is off while fault 7 is open") || err != nil {
			t.Errorf("level %d: %q, %v", level, why, err)
		}
		if len(p.Hints()) > 0 {
			t.Errorf("level %d: a hint is counted where none was given", level)
		}
		if why, err := p.DoctorOff(true); why != "" || err != nil {
			t.Errorf("level %d, forced: %q, %v", level, why, err)
		}
		if hints := strings.Join(p.Hints(), " "); (hints == "doctor") != (level > 1) {
			t.Errorf("level %d, forced: hints %q", level, hints)
		}
	}
}

// TestUnwritable: if the folder .lab cannot be written, the error must say that the progress cannot be kept.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/"+Root, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Of(dir, "one").Ended("01-clean-up", Solved, 0); err == nil || !strings.Contains(err.Error(), "cannot be kept") {
		t.Errorf("got %v", err)
	}
}
