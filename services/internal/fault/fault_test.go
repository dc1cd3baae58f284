package fault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// TestFaults lints every fault, and compares it with what it refers to.
func TestFaults(t *testing.T) {
	all, err := List(root(t))
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile(filepath.Join(root(t), "scripts", "faults", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(guide), "## The categories")
	codes := doctorCodes(t)
	taken := map[string]bool{}
	for _, f := range all {
		for _, problem := range Lint(f) {
			t.Error(problem)
		}
		if !codes[f.Doctor] {
			t.Errorf("%s names no finding of the doctor: %q", f.Name, f.Doctor)
		}
		for _, category := range f.Categories {
			taken[category] = true
			if !strings.Contains(list, "\n- "+category+"\n") {
				t.Errorf("%s is of the category %q, which scripts/faults/README.md does not list", f.Name, category)
			}
		}
		if ticket, err := f.text("ticket"); err != nil || !strings.HasPrefix(ticket, "  From: ") {
			t.Errorf("%s: the ticket does not say whom it is from: %v %q", f.Name, err, ticket)
		}
		debrief, err := f.text("debrief")
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if !strings.Contains(debrief, "https://") {
			t.Errorf("%s has no link to where it happened in life", f.Name)
		}
		shown := regexp.MustCompile(`make scenario-([a-z0-9-]+)`).FindAllStringSubmatch(debrief, -1)
		if len(shown) == 0 {
			t.Errorf("%s names no scenario that shows it", f.Name)
		}
		for _, found := range shown {
			if _, err := scenario.Find(root(t), found[1]); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
		}
		for _, hint := range f.Hints {
			if strings.Contains(hint.Text, "entry update") && !strings.Contains(hint.Text, "replaces the whole entry") {
				t.Errorf("%s: a hint names entry update, and does not say that it replaces the whole entry: %s", f.Name, hint.Text)
			}
		}
	}
	for _, found := range regexp.MustCompile(`(?m)^- (.*)$`).FindAllStringSubmatch(list, -1) {
		if !taken[found[1]] {
			t.Errorf("no fault is of the category %q", found[1])
		}
	}
}

// doctorCodes are the codes in the doctor's sources.
func doctorCodes(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range regexp.MustCompile(`"(LAB[0-9]{3})"`).FindAllStringSubmatch(string(text), -1) {
			codes[code[1]] = true
		}
	}
	return codes
}

// TestLint has a line for each thing that a fault must not have.
func TestLint(t *testing.T) {
	for lines, want := range map[string]string{
		"inject() { true; }":                                            "",
		"inject() { sed x; }":                                           "sed is not a helper function",
		"inject() { run docker ps; }":                                   "run is not a helper function",
		"inject() { docker ps & }":                                      "& is not allowed",
		"inject() { true; }\nnobody() { true; }":                        "hides the helper function",
		"inject() { true; }\nclient_served() { true; }":                 "hides the helper function",
		"setup() { true; }":                                             "has no function inject",
		"inject() { true; }\nwrong_four() { true; }":                    "does not declare the wrong fix four",
		"inject() { true; }\nwrong four words why":                      "has no function wrong_four",
		"inject() { true; }\nwrong four '' why\nwrong_four() { true; }": "does not say what the grader says of four",
		"inject() { true; }\nhint true again":                           "has 4 hints, not three",
	} {
		if said := strings.Join(Lint(sample(t, lines)), "\n"); want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%s: want %q, got %q", lines, want, said)
		}
	}
	f := sample(t, "inject() { true; }")
	f.Hints[1].Condition = "curl x"
	if said := strings.Join(Lint(f), "\n"); !strings.Contains(said, "in the condition of hint 2: 01-sample.sh:1: curl is not a helper function") {
		t.Errorf("got %q", said)
	}
}

func TestRead(t *testing.T) {
	f := sample(t, "lost\ninject() { true; }")
	if f.Number() != 1 || f.Short() != "sample" || f.Level != 1 || f.Symptom != "somebody complains" || !f.Lost || len(f.Wrong) != 3 || f.Categories[1] != "agent: stopped" {
		t.Errorf("got %+v", f)
	}
	for lines, want := range map[string]string{"level 4": "want 1, 2 or 3", "hint one": "want: hint CONDITION TEXT", "docker ps": "is called outside of a function"} {
		file := filepath.Join(t.TempDir(), "01-sample.sh")
		if err := os.WriteFile(file, []byte("# a\n# b\n"+lines+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "01-sample.sh:3") {
			t.Errorf("%s: %v", lines, err)
		}
	}
}

// desk is a learner's desk: the commands, what they printed, and the lab.
type desk struct {
	*Commands
	lab     *fakeLab
	printed *bytes.Buffer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "scripts", "faults"), os.DirFS(filepath.Join(root(t), "scripts", "faults"))); err != nil {
		t.Fatal(err)
	}
	return deskIn(t, dir, "p")
}

func deskIn(t *testing.T, dir, project string) *desk {
	t.Helper()
	d := &desk{lab: healthy(t), printed: &bytes.Buffer{}}
	d.Commands = &Commands{Place: scenario.Place{Dir: dir, Cache: filepath.Join(dir, ".cache"), Project: project}, Lab: d.lab,
		Screen: screen.Plain(d.printed), Errors: screen.Plain(&bytes.Buffer{}), now: func() time.Time { return noon }}
	return d
}

// says runs a command, and wants a text in what it prints or in its error.
func (d *desk) says(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	said := d.printed.String()
	if err != nil {
		said += err.Error()
	}
	for _, text := range want {
		if !strings.Contains(said, text) {
			t.Errorf("%s: want %q in:\n%s", what, text, said)
		}
	}
	d.printed.Reset()
}

// opens opens fault 1 without injecting it, in a lab whose client is refused until the learner has fixed it.
func (d *desk) opens(t *testing.T) {
	t.Helper()
	kept := d.progress()
	if err := kept.Begin(progress.Open{Name: "01-clean-up", Number: 1, Level: 1, Since: noon.Add(-21 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := report.Save(&text, d.lab.report); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{beforeFile, brokenFile} {
		if err := kept.Keep(name, text.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACourse plays a fault from the ticket to its result record.
func TestACourse(t *testing.T) {
	ctx := context.Background()
	d := newDesk(t)
	d.says(t, "check", d.Check(ctx, "", 0, false), "no fault is open in this lab")
	d.says(t, "break", d.Break(ctx, "nonsense"), `there is no fault "nonsense"`)
	// The fake lab can have what fault 2 injects: 0-night-shift is the first SVID, and the client is refused once it is restarted.
	d.lab.rules = append([]rule{{"entry create -entryID 0-night-shift", 0, ""}, {"exec client client-workload svid", 0, "SPIFFE ID   spiffe://example.org/night-shift\n"}}, d.lab.rules...)
	d.lab.refusedAfter = "docker restart --time 6 id-of-client"
	d.says(t, "break", d.Break(ctx, "2"), "Fault 2, second-shift (level 1)", "From: the operators of the server", "make doctor helps")
	d.says(t, "break", d.Break(ctx, "1"), "a fault is open already: second-shift")
	d.says(t, "faults", d.List(false), "[open, 0 hints]", "0 of 25 solved", "open: second-shift (make ticket")
	d.says(t, "ticket", d.Ticket(), "Fault 2, second-shift")
	d.says(t, "check", d.Check(ctx, "", 0, false), "not yet: the client is not served", "the fault is not fixed yet")
	d.says(t, "hint", d.Hint(ctx), "hint 1: The server says whom it turned away")
	d.says(t, "hint", d.Hint(ctx), "hint 2: Two registration entries") // the second one's condition does not hold here
	d.says(t, "hint", d.Hint(ctx), "there are no more hints")
	d.lab.unserved, d.lab.refusedAfter = nil, ""
	d.says(t, "check", d.Check(ctx, "Ada", 0, true), "solved: second-shift, with 2 hints (0 s)")
	if _, open := d.progress().Open(); !open {
		t.Fatal("it is closed, and should stay open")
	}
	d.says(t, "check", d.Check(ctx, "Ada", 0, false), "solved: second-shift, with 2 hints (0 s)\n\n  What it was:", "next: make break (clean-up)")
	d.says(t, "faults", d.List(false), "[solved, 2 hints]", "1 of 25 solved", "make break puts the next one in")
	if text, err := os.ReadFile(d.progress().Results()); err != nil || string(text) != `{"fault":"second-shift","level":1,"seconds":0,"hints":2,"who":"Ada","at":"2026-11-28T12:00:00Z"}`+"\n" {
		t.Errorf("the result record is %s, %v", text, err)
	}
	d.says(t, "faults", d.List(true), "forgotten: 1 solved, 0 shown (the result records stay in .lab/p/results.jsonl)", "0 of 25")
	d.says(t, "faults", d.List(true), "nothing to forget")
}

// closedPipe is the standard output of `make check | head -1`: it takes the first line, and ends the program with the next one.
type closedPipe struct{ after func() }

func (c closedPipe) Write(p []byte) (int, error) {
	c.after()
	return 0, errors.New("broken pipe")
}

// TestRecordedBeforeTold: when the first byte is printed, the fault is recorded and closed.
func TestRecordedBeforeTold(t *testing.T) {
	d := newDesk(t)
	d.opens(t)
	told := false
	d.Screen = screen.Plain(closedPipe{func() {
		told = true
		if _, open := d.progress().Open(); open {
			t.Error("the fault is open when it is said to be solved")
		}
		if ends, err := d.progress().Ends(); err != nil || ends["01-clean-up"].How != progress.Solved {
			t.Errorf("it is not recorded as solved: %v, %v", ends, err)
		}
		if text, err := os.ReadFile(d.progress().Results()); err != nil || !strings.Contains(string(text), `"fault":"clean-up","level":1,"seconds":21`) {
			t.Errorf("there is no result record: %s, %v", text, err)
		}
	}})
	if err := d.Check(context.Background(), "", 0, false); err != nil || !told {
		t.Errorf("%v; something was printed: %t", err, told)
	}
}

// TestTwoLabs: two labs of one folder have an open fault and progress of their own.
func TestTwoLabs(t *testing.T) {
	one := newDesk(t)
	two := deskIn(t, one.Place.Dir, "two")
	one.opens(t)
	two.says(t, "check", two.Check(context.Background(), "", 0, false), "no fault is open in this lab")
	one.says(t, "check", one.Check(context.Background(), "Ada", 0, false), "solved: clean-up")
	two.says(t, "faults", two.List(false), "0 of 25 solved")
	if _, err := os.Stat(two.progress().Results()); err == nil {
		t.Error("the second lab has a result record")
	}
}

// TestGiveUpOfALockedLab records nothing, shows nothing, and leaves the fault open.
func TestGiveUpOfALockedLab(t *testing.T) {
	d := newDesk(t)
	d.opens(t)
	if err := os.MkdirAll(d.Place.Cache, 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := scenario.Lock(filepath.Join(d.Place.Cache, "lock-scenario-p"), "it is in use")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := d.GiveUp(ctx); err == nil {
		t.Error("a locked lab is reset")
	}
	if _, open := d.progress().Open(); !open || d.printed.Len() > 0 {
		t.Errorf("open is %t, and it printed %s", open, d.printed)
	}
	if ends, err := d.progress().Ends(); err != nil || len(ends) > 0 {
		t.Errorf("it recorded %v, %v", ends, err)
	}
	unlock()
	d.says(t, "give-up", d.GiveUp(context.Background()), "What it was: the registration entry", "the lab is as it was before")
	if ends, err := d.progress().Ends(); err != nil || ends["01-clean-up"].How != progress.Shown {
		t.Errorf("it recorded %v, %v", ends, err)
	}
}

// TestReset removes what was made since the fault began, and nothing else; where that does not help, the lab is a new one.
func TestReset(t *testing.T) {
	d := newDesk(t)
	d.opens(t)
	if err := d.progress().Keep(stateFile, []byte(`{"Entries":["client","mine"],"Agents":["spiffe://example.org/spire/agent/x509pop/host"],"Bundles":["kept.test"]}`)); err != nil {
		t.Fatal(err)
	}
	if err := d.progress().Keep("images", []byte("spiffe-lab/workload:local.fault-1\n")); err != nil {
		t.Fatal(err)
	}
	d.lab.rules = append([]rule{
		{"entry show -output json", 0, `{"entries":[{"id":"client"},{"id":"mine"},{"id":"theirs"}]}`},
		{"agent list -output json", 0, `{"agents":[{"id":{"trust_domain":"example.org","path":"/spire/agent/x509pop/host"},"banned":true}]}`},
		{"bundle list -output json", 0, `{"bundles":[{"trust_domain":"kept.test"},{"trust_domain":"new.test"}]}`},
	}, d.lab.rules...)
	d.says(t, "reset", d.Reset(context.Background()), "the lab is as it was before")
	ran := strings.Join(d.lab.ran, "\n")
	for text, want := range map[string]bool{
		"entry delete -entryID theirs": true, "entry delete -entryID mine": false,
		"bundle delete -id spiffe://new.test -mode dissociate": true, "spiffe://kept.test": false,
		"agent evict -spiffeID spiffe://example.org/spire/agent/x509pop/host": true,
		"docker image rm spiffe-lab/workload:local.fault-1":                   true,
		"entry delete -entryID backup":                                        true, // the teardown of fault 1
	} {
		if strings.Contains(ran, text) != want {
			t.Errorf("%q was run: %t, in\n%s", text, !want, ran)
		}
	}
	if d.lab.resets != 0 {
		t.Error("a new lab was made where that was not needed")
	}
	d.opens(t)
	d.lab.rules = append([]rule{{"compose up --detach --no-deps spire-server", 1, "no space left"}}, d.lab.rules...)
	d.says(t, "reset", d.Reset(context.Background()), "that does not put it right: the lab is made anew", "the lab is as it was before")
	if d.lab.resets != 1 {
		t.Error("no new lab was made")
	}
}

// TestTeardown: what one command of a teardown does not find is not in the way of the next one.
func TestTeardown(t *testing.T) {
	d := newDesk(t)
	if err := d.progress().Begin(progress.Open{Name: "07-the-backup", Number: 7, Level: 2, Since: noon}); err != nil {
		t.Fatal(err)
	}
	d.lab.rules = append([]rule{{"entry delete", 1, "there is no such entry"}}, d.lab.rules...)
	d.says(t, "reset", d.Reset(context.Background()), "the lab is as it was before")
	if ran := strings.Join(d.lab.ran, "\n"); !strings.Contains(ran, "docker volume rm p_spire-server-empty-disk") {
		t.Errorf("the volume was not removed:\n%s", ran)
	}
}

// TestForget: a fault goes with its lab, and the learner is told.
func TestForget(t *testing.T) {
	d := newDesk(t)
	d.opens(t)
	if err := d.progress().Keep("images", []byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	var removed []string
	remove := func(image string) { removed = append(removed, image) }
	d.says(t, "down", Forget(d.progress(), d.Screen, remove), "the fault clean-up was open in this lab", "make up, then make break NAME=clean-up")
	if _, open := d.progress().Open(); open || len(removed) != 2 {
		t.Errorf("open is %t, removed are %v", open, removed)
	}
	if err := Forget(d.progress(), d.Screen, remove); err != nil || d.printed.Len() > 0 {
		t.Errorf("without an open fault: %v, %s", err, d.printed)
	}
}
