package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/grade"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
)

// sampleDesk returns the desk of a learner who has the sample fault open, and no other faults.
func sampleDesk(t *testing.T, lines string) *desk {
	t.Helper()
	dir := t.TempDir()
	folder := filepath.Join(dir, "scripts", "faults")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	writeSample(t, folder, "inject() { true; }\n"+lines)
	d := deskIn(t, dir, "p")
	d.begins(t, progress.Open{Name: "01-sample", Number: 1, Level: 1, Since: noon.Add(-21 * time.Second)})
	return d
}

// recorded returns the content of the file with the result records.
func (d *desk) recorded(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(d.progress().Results())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// TestQuestion: each answer that a learner types must lead to the right output and result record.
func TestQuestion(t *testing.T) {
	for _, c := range []struct {
		name, typed string
		want        []string // texts of the output, in this order
		record      string
	}{
		{"at once", "1\n", []string{"fixed: sample", "What was the cause?", "  1  The first. (a)", "  4  The fourth. (d)", "that is the cause: a", "solved: sample, cause named at try 1, with 0 hints (21 s)", "What it was", "That was the last fault."},
			`"fixed":true,"cause":"named","answers":["a"]`},
		{"by its key, after others", "b\nnonsense\n\n3\nb\na\n", []string{"not b: The log.", "  make svid", `there is no answer "nonsense": want one of a, b, c, d`, "not c: The list.", "  docker ps", "not b:", "that is the cause", "cause named at try 3"},
			`"cause":"named","answers":["b","c","a"]`},
		{"not at all", "0\n", []string{"fixed: sample, cause not named, with 0 hints"}, `"fixed":true,"cause":"not named","seconds":21`},
		{"until the input ends", "d\n", []string{"not d: The hash.", "fixed: sample, cause not named"}, `"cause":"not named","answers":["d"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := sampleDesk(t, "")
			d.Typed = strings.NewReader(c.typed)
			if err := d.Check(context.Background(), CheckOptions{}); err != nil {
				t.Fatal(err)
			}
			rest := d.printed.String()
			for _, want := range c.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("want %q in its place in:\n%s", want, d.printed)
				}
				rest = after
			}
			if record := d.recorded(t); !strings.Contains(record, c.record) || strings.Count(record, "\n") != 1 {
				t.Errorf("want %s, got %s", c.record, record)
			}
			if _, open := d.progress().Open(); open {
				t.Error("the fault is still open")
			}
		})
	}
}

// TestQuestionCutOff: a fixed fault must stay fixed if the learner ends the program at the question, and then uses a different command.
func TestQuestionCutOff(t *testing.T) {
	for name, end := range map[string]func(*desk) error{
		"reset":   func(d *desk) error { return d.Reset(context.Background()) },
		"give-up": func(d *desk) error { return d.GiveUp(context.Background()) },
		"down":    func(d *desk) error { return d.Forget(func(string) {}, d.Screen.Tell) },
	} {
		d := sampleDesk(t, "")
		ctx, cancel := context.WithCancel(context.Background())
		d.Typed = blocked{cancel}
		if err := d.Check(ctx, CheckOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: check ends with %v", name, err)
		}
		if record := d.recorded(t); record != "" {
			t.Errorf("%s: recorded before the end: %s", name, record)
		}
		if err := end(d); err != nil {
			t.Error(err)
		}
		if record := d.recorded(t); !strings.Contains(record, `"fixed":true,"cause":"not named","seconds":21`) {
			t.Errorf("%s: recorded is %q", name, record)
		}
		if ends, err := d.progress().Ends(); err != nil || ends["01-sample"].How != progress.Fixed {
			t.Errorf("%s: it ended as %v, %v", name, ends, err)
		}
	}
}

// blocked is a terminal that gets Ctrl-C instead of an answer.
type blocked struct{ cancel func() }

func (b blocked) Read([]byte) (int, error) {
	b.cancel()
	select {}
}

// TestCauseOption: a learner must be able to give the answer on the command line, before and after fixing the fault.
func TestCauseOption(t *testing.T) {
	ctx := context.Background()
	d := sampleDesk(t, "")
	d.lab.unserved = errors.New("refused")
	check := func(cause string) error { return d.Check(ctx, CheckOptions{Cause: cause}) }
	d.says(t, "an unknown key", check("nonsense"), `there is no answer "nonsense"`)
	if _, answers := d.progress().Cause(); len(answers) > 0 {
		t.Errorf("it is an answer: %v", answers)
	}
	d.says(t, "a wrong answer before", check("b"), "not b: The log.\n  make svid\n\n", "not yet: ", ErrNotYet.Error())
	d.says(t, "the right answer before", check("a"), "that is the cause: a", "not yet: ", ErrNotYet.Error())
	d.says(t, "a wrong answer after the right one", check("c"), "not c: The list.")
	d.lab.unserved = nil
	d.Typed = strings.NewReader("") // an empty input, because the program must not ask the question again
	d.says(t, "fixed", check(""), "solved: sample, cause named at try 2")
	if record := d.recorded(t); !strings.Contains(record, `"cause":"named","answers":["b","a"]`) {
		t.Error(record)
	}

	d = sampleDesk(t, "")
	d.says(t, "a wrong answer after the fix", check("b"), "not b: The log.", "fixed: the lab works again, but you have not named the cause yet", ErrNotYet.Error())
	d.says(t, "the right answer after the fix", check("a"), "solved: sample, cause named at try 2")
}

// TestGivenUp: the record must say that the fault was not fixed, and whether the learner named the cause.
func TestGivenUp(t *testing.T) {
	d := sampleDesk(t, "")
	d.lab.unserved = errors.New("refused")
	d.says(t, "check", d.Check(context.Background(), CheckOptions{Who: "Ada", Cause: "a"}), "not yet")
	d.lab.unserved = nil
	d.says(t, "give-up", d.GiveUp(context.Background()), "What it was")
	if record := d.recorded(t); !strings.Contains(record, `"fixed":false,"cause":"named","answers":["a"]`) || !strings.Contains(record, `"who":"Ada"`) {
		t.Error(record)
	}
}

// TestWhyItIsWrong: check must explain a wrong fix that it recognizes.
func TestWhyItIsWrong(t *testing.T) {
	for condition, want := range map[string]bool{"": true, "client_served": false, "! client_served": true} {
		d := sampleDesk(t, fmt.Sprintf("wrong six 'not served' 'a restart changes nothing' '%s'\nwrong_six() { true; }\n", condition))
		d.lab.unserved = errors.New("refused")
		if err := d.Check(context.Background(), CheckOptions{}); !errors.Is(err, ErrNotYet) {
			t.Error(err)
		}
		if said := d.printed.String(); strings.Contains(said, "why: a restart changes nothing") != want || strings.Contains(said, "why: why") {
			t.Errorf("with the condition %q:\n%s", condition, said)
		}
	}
}

// TestWhyOfTwo: if two wrong fixes lead to the same verdict, check must explain the fix whose condition is true.
func TestWhyOfTwo(t *testing.T) {
	d := sampleDesk(t, "wrong six 'not served' 'the one' '! client_served'\nwrong seven 'not served' 'the other'\n")
	d.lab.unserved = errors.New("refused")
	if err := d.Check(context.Background(), CheckOptions{}); !errors.Is(err, ErrNotYet) {
		t.Error(err)
	}
	if said := d.printed.String(); !strings.Contains(said, "why: the one") || strings.Contains(said, "the other") {
		t.Errorf("it says:\n%s", said)
	}
}

// TestLossIsExplainedFirst: if the SPIRE server has lost its data, check must explain only the wrong fix that lost the data. It must not
// explain a wrong fix whose condition is true only because of this loss.
func TestLossIsExplainedFirst(t *testing.T) {
	d := sampleDesk(t, "wrong six 'not served' 'the consequence' '! client_served'\nwrong seven '"+grade.LostData+"' 'the loss'\n")
	s, _, err := d.opened()
	if err != nil {
		t.Fatal(err)
	}
	d.lab.unserved = errors.New("refused")
	why, err := s.recognized(t.Context(), grade.Verdict{Wrong: []string{"the client is not served", grade.LostData + " (its CA is gone)"}})
	if err != nil || !slices.Equal(why, []string{"the loss"}) {
		t.Errorf("it explains %q (%v)", why, err)
	}
}

// TestReceipts: the table must have the records of all labs, or of the named files. Records of older versions of the lab must be readable.
func TestReceipts(t *testing.T) {
	d := newDesk(t)
	d.says(t, "without records", d.Receipts(nil), "there are no result records yet")
	write := func(name, text string) string {
		file := filepath.Join(d.Place.Dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write(".lab/one/results.jsonl", `{"fault":"clean-up","level":1,"seconds":21,"hints":1,"who":"Zoë","at":"2026-11-28T12:00:00Z"}
{"fault":"strangers","level":2,"fixed":false,"cause":"not named","answers":["x"],"seconds":300,"hints":3,"who":"Ada","at":"2026-11-28T12:00:00Z"}
`)
	write(".lab/two/results.jsonl", `{"fault":"clean-up","level":1,"fixed":true,"cause":"named","answers":["x","y"],"seconds":85,"hints":0,"who":"somebody","at":"2026-11-28T12:00:00Z"}`)
	if err := d.Receipts(nil); err != nil {
		t.Fatal(err)
	}
	want := `LEARNER          FAULT      FIXED  CAUSE NAMED  HINTS  TIME
Ada              strangers  no     not          3      5m0s
Zoë              clean-up   yes    not asked    1      21s
somebody in two  clean-up   yes    at try 2     0      1m25s
`
	if d.printed.String() != want {
		t.Errorf("got\n%s\nwant\n%s", d.printed, want)
	}
	d.printed.Reset()
	other := write("ada.jsonl", "\ufeff"+`{"fault":"clean-up","seconds":1,"hints":0,"who":"A\u001b[31mda"}`+"\r\n")
	d.says(t, "a file", d.Receipts([]string{other}), "A31mda")
	d.says(t, "no file", d.Receipts([]string{filepath.Join(d.Place.Dir, "nothing")}), "no such file")
	d.says(t, "no record", d.Receipts([]string{write("text", "hello\n")}), "text line 1 is no result record")
}
