package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// TestFaults: every fault must satisfy Lint, and everything that it refers to must exist.
func TestFaults(t *testing.T) {
	all, err := List(root(t))
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile(filepath.Join(root(t), "scripts", "faults", "WRITING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(guide), "## The categories")
	codes := doctorCodes(t)
	taken := map[string]bool{}
	var solved []string         // the faults that a reflex solves
	places := map[float64]int{} // how often the right answer is at each place among the answers, where 0 is the first place and 1 the last
	for _, f := range all {
		for _, problem := range Lint(f) {
			t.Error(problem)
		}
		if len(f.Reflexes) > 0 {
			solved = append(solved, f.Name)
		}
		choices := f.Choices()
		places[float64(slices.IndexFunc(choices, func(a Answer) bool { return a.Key == f.Cause.Key }))/float64(max(1, len(choices)-1))]++
		if !codes[f.Doctor] {
			t.Errorf("%s names no finding of the doctor: %q", f.Name, f.Doctor)
		}
		for _, category := range f.Categories {
			taken[category] = true
			if !strings.Contains(list, "\n- "+category+"\n") {
				t.Errorf("%s is of the category %q, which scripts/faults/WRITING.md does not list", f.Name, category)
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
	for place, n := range places {
		if n > len(all)/2 {
			t.Errorf("%d of %d causes have the place %.2f among the answers, so that a learner can guess", n, len(all), place)
		}
	}
	if len(solved) > 5 {
		t.Errorf("a reflex solves %d faults, not at most five: %s", len(solved), strings.Join(solved, ", "))
	}
	for _, found := range regexp.MustCompile(`(?m)^- (.*)$`).FindAllStringSubmatch(list, -1) {
		if !taken[found[1]] {
			t.Errorf("no fault is of the category %q", found[1])
		}
	}
}

// doctorCodes returns the codes in the doctor's sources.
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

// TestLint: Lint must find each thing that a fault must not have.
func TestLint(t *testing.T) {
	for lines, want := range map[string]string{
		"inject() { true; }":                                          "",
		"inject() { sed x; }":                                         "sed is not a helper function",
		"inject() { run docker ps; }":                                 "run is not a helper function",
		"inject() { docker ps & }":                                    "& is not allowed",
		"inject() { true; }\nnobody() { true; }":                      "hides the helper function",
		"inject() { true; }\nclient_served() { true; }":               "hides the helper function",
		"setup() { true; }":                                           "has no function inject",
		"inject() { true; }\nwrong_six() { true; }":                   "does not declare the wrong fix six",
		"inject() { true; }\nwrong six words why":                     "has no function wrong_six",
		"inject() { true; }\nwrong six '' why\nwrong_six() { true; }": "does not give the verdict for six",
		"inject() { true; }\nhint true again":                         "has 4 hints, not three",
	} {
		if said := strings.Join(Lint(sample(t, lines)), "\n"); want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%s: want %q, got %q", lines, want, said)
		}
	}
	edited := func(old, new string) string {
		if !strings.Contains(sampleText, old) {
			t.Fatalf("the sample does not have %q", old)
		}
		return strings.Replace(sampleText, old, new, 1)
	}
	for text, want := range map[string]string{
		edited("cause a 'The first.'", ""):                                     "does not say what the cause is",
		sampleText + "cause b 'The other.'":                                    "cause is given twice",
		edited("'client_5'", "'a verdict of nobody'"):                          `has the verdict "a verdict of nobody" for five, which the grader never gives`,
		edited("wrong five 'client_5' 'why'", ""):                              "has 4 wrong fixes, not at least five",
		edited("'client_5'", "'client_1'"):                                     "cannot tell the wrong fixes one and five apart",
		edited("answer c ", "answer C "):                                       `has the key "C"`,
		edited("answer c ", "answer a "):                                       "has two answers with the key a",
		edited("answer c 'The third.'", "answer c 'The third, which was so.'"): "a learner must not recognize the right one by its length",
		edited("'The log.' 'make svid'", "'' 'make svid'"):                     "does not give the observation against b",
		edited("'make svid'", "'cat log'"):                                     "want a command that a learner can type",
		edited("also one", ""):                                                 "does not declare the right fix one",
		edited("right_two()", "other_two()"):                                   "has no function right_two",
		sampleText + "reflex up ''":                                            "does not say why up solves it",
		sampleText + "level 2; reflex up it":                                   "only a fault of level 1",
		sampleText + "reflex sleep why":                                        `reflex is "sleep"`,
		edited("states 'The  ticket.' client_served", ""):                      "no test checks a statement of its ticket",
		edited("states 'The  ticket.'", "states 'No ticket.'"):                 "states what is not in the ticket: No ticket.",
		edited("' client_served", "' 'curl x'"):                                `in the condition of the statement "The  ticket.": 01-sample.sh:1: curl is not`,
		sampleText + "wrong six words why 'curl x'":                            "in the condition of the wrong fix six",
		sampleText + "wrong six words why true x":                              "want: wrong NAME VERDICT WHY [CONDITION]",
	} {
		file := filepath.Join(t.TempDir(), "01-sample.sh")
		if err := os.WriteFile(file, []byte(text+"\ninject() { true; }\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Read(file)
		said := fmt.Sprint(err)
		if err == nil {
			said = strings.Join(Lint(f), "\n")
		}
		if !strings.Contains(said, want) {
			t.Errorf("want %q, got %q", want, said)
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
	if f.Number() != 1 || f.Short() != "sample" || f.Level != 1 || f.Symptom != "somebody complains" || !f.Lost || len(f.Wrong) != 5 || f.Categories[1] != "agent: stopped" {
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

// desk is a learner's desk. It has the commands, what they have printed, and the lab.
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

// says is an assertion: the output or the error of the last command has each of these texts.
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

// opens makes fault 1 the open fault. It does not inject the fault.
func (d *desk) opens(t *testing.T) {
	t.Helper()
	d.begins(t, progress.Open{Name: "01-clean-up", Number: 1, Level: 1, Since: noon.Add(-21 * time.Second)})
}

// begins makes a fault the open fault. It does not inject the fault.
func (d *desk) begins(t *testing.T, open progress.Open) {
	t.Helper()
	kept := d.progress()
	if err := kept.Begin(open); err != nil {
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

// TestACourse: a learner must be able to go from the ticket of a fault to its result record.
func TestACourse(t *testing.T) {
	ctx := context.Background()
	d := newDesk(t)
	faults, err := List(d.Place.Dir)
	if err != nil {
		t.Fatal(err)
	}
	all := strconv.Itoa(len(faults))
	d.says(t, "check", d.Check(ctx, CheckOptions{}), "no fault is open in this lab")
	d.says(t, "break", d.Break(ctx, "nonsense"), `there is no fault "nonsense"`)
	// For fault 2, the fake lab needs only two changes: the SVID of the entry 0-night-shift comes first, and the server refuses the client
	// after docker has restarted the client.
	d.lab.rules = append([]rule{{"entry create -entryID 0-night-shift", 0, ""}, {"exec client client-workload svid", 0, "SPIFFE ID   spiffe://example.org/night-shift\n"}}, d.lab.rules...)
	d.lab.refusedAfter = "docker restart --time 6 id-of-client"
	d.says(t, "break", d.Break(ctx, "2"), "Fault 2, second-shift (level 1)", "From: the operators of the server", "\"make doctor\" helps", "Log lines before 12:00:00 UTC may come from \"make break\"")
	d.says(t, "break", d.Break(ctx, "1"), "a fault is open already: second-shift")
	d.says(t, "faults", d.List(false), "[open, 0 hints]", "0 of "+all+" fixed", "open: second-shift (commands: make ticket")
	d.says(t, "ticket", d.Ticket(), "Fault 2, second-shift")
	d.says(t, "check", d.Check(ctx, CheckOptions{}), "not yet: the client is not served", "From 12:00:00 UTC to 12:00:00 UTC \"make check\" sent test requests", "the fault is not fixed yet")
	d.says(t, "hint", d.Hint(ctx), "hint 1: The server logs the SPIFFE ID that it refuses")
	d.says(t, "hint", d.Hint(ctx), "hint 2: The agent issues one SVID for each entry")
	d.says(t, "hint", d.Hint(ctx), "hint 3: The fault: the test left a second entry")
	d.says(t, "hint", d.Hint(ctx), "there are no more hints")
	d.lab.unserved, d.lab.refusedAfter = nil, ""
	d.says(t, "check", d.Check(ctx, CheckOptions{Who: "Ada", KeepOpen: true}), "fixed: second-shift, cause not asked, with 3 hints (0 s)")
	if _, open := d.progress().Open(); !open {
		t.Fatal("it is closed, and should stay open")
	}
	d.says(t, "check", d.Check(ctx, CheckOptions{Who: "Ada"}), "fixed: second-shift, cause not asked, with 3 hints (0 s)\n\n  What it was:", "next: make break (clean-up)")
	d.says(t, "faults", d.List(false), "[fixed, 3 hints]", "1 of "+all+" fixed", "\"make break\" injects the next fault")
	if text, err := os.ReadFile(d.progress().Results()); err != nil || string(text) != `{"fault":"second-shift","level":1,"fixed":true,"cause":"not asked","seconds":0,"hints":3,"who":"Ada","at":"2026-11-28T12:00:00Z"}`+"\n" {
		t.Errorf("the result record is %s, %v", text, err)
	}
	d.says(t, "faults", d.List(true), "forgotten: 1 solved, 0 shown (the result records stay in .lab/p/results.jsonl)", "0 of "+all)
	d.says(t, "faults", d.List(true), "there is no progress to forget")
}

// closedPipe behaves like the standard output in `make check | head -1` after head has exited: each write fails.
type closedPipe struct{ after func() }

func (c closedPipe) Write(p []byte) (int, error) {
	c.after()
	return 0, errors.New("broken pipe")
}

// TestRecordedBeforeTold: before the first byte of the result is printed, the fault must be recorded and closed.
func TestRecordedBeforeTold(t *testing.T) {
	d := newDesk(t)
	d.opens(t)
	told := false
	d.Screen = screen.Plain(closedPipe{func() {
		told = true
		if _, open := d.progress().Open(); open {
			t.Error("the fault is open when it is said to be solved")
		}
		if ends, err := d.progress().Ends(); err != nil || ends["01-clean-up"].How != progress.Fixed {
			t.Errorf("it is not recorded as solved: %v, %v", ends, err)
		}
		if text, err := os.ReadFile(d.progress().Results()); err != nil || !strings.Contains(string(text), `"fault":"clean-up","level":1,"fixed":true,"cause":"not asked","seconds":21`) {
			t.Errorf("there is no result record: %s, %v", text, err)
		}
	}})
	if err := d.Check(context.Background(), CheckOptions{}); err != nil || !told {
		t.Errorf("%v; something was printed: %t", err, told)
	}
}

// TestTwoLabs: if two labs share a folder, each lab must have its own open fault and its own progress.
func TestTwoLabs(t *testing.T) {
	one := newDesk(t)
	two := deskIn(t, one.Place.Dir, "two")
	one.opens(t)
	two.says(t, "check", two.Check(context.Background(), CheckOptions{}), "no fault is open in this lab")
	one.says(t, "check", one.Check(context.Background(), CheckOptions{Who: "Ada"}), "fixed: clean-up")
	two.says(t, "faults", two.List(false), "0 of ")
	if _, err := os.Stat(two.progress().Results()); err == nil {
		t.Error("the second lab has a result record")
	}
}

// TestGiveUpOfALockedLab: in a locked lab, give-up must record nothing and show nothing. The fault must stay open.
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
	d.says(t, "give-up", d.GiveUp(context.Background()), "What it was: the registration entry", "the lab is as before the fault")
	if ends, err := d.progress().Ends(); err != nil || ends["01-clean-up"].How != progress.Shown {
		t.Errorf("it recorded %v, %v", ends, err)
	}
}

// TestReset: reset must remove everything that was created since the fault began, and nothing else. If the removal does not restore the
// lab, reset must start a new lab.
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
	d.says(t, "reset", d.Reset(context.Background()), "the lab is as before the fault")
	ran := strings.Join(d.lab.ran, "\n")
	for text, want := range map[string]bool{
		"entry delete -entryID theirs": true, "entry delete -entryID mine": false,
		"bundle delete -id spiffe://new.test -mode dissociate": true, "spiffe://kept.test": false,
		"agent evict -spiffeID spiffe://example.org/spire/agent/x509pop/host": true,
		"docker image rm spiffe-lab/workload:local.fault-1":                   true,
		"entry delete -entryID backup":                                        true, // from the teardown of fault 1
	} {
		if strings.Contains(ran, text) != want {
			t.Errorf("%q was run: %t, in\n%s", text, !want, ran)
		}
	}
	if d.lab.resets != 0 {
		t.Error("a new lab was made where that was not needed")
	}
	const newAgent = "compose up --detach --no-deps --force-recreate spire-agent"
	if strings.Contains(ran, newAgent) {
		t.Errorf("the agent was recreated, although its SPIRE server was not:\n%s", ran)
	}
	d.opens(t)
	d.lab.recreates = "compose up --detach --no-deps spire-server"
	d.says(t, "reset", d.Reset(context.Background()), "the lab is as before the fault")
	if ran := strings.Join(d.lab.ran, "\n"); !strings.Contains(ran, newAgent) {
		t.Errorf("the agent was not recreated, although its SPIRE server was:\n%s", ran)
	}
	d.opens(t)
	d.lab.rules = append([]rule{{"compose up --detach --no-deps spire-server", 1, "no space left"}}, d.lab.rules...)
	d.says(t, "reset", d.Reset(context.Background()), "removing the fault does not restore the lab, so the lab is reset", "the lab is as before the fault")
	if d.lab.resets != 1 {
		t.Error("no new lab was made")
	}
}

// TestTeardown: if one command of a teardown fails, the next command must still run.
func TestTeardown(t *testing.T) {
	d := newDesk(t)
	if err := d.progress().Begin(progress.Open{Name: "07-the-backup", Number: 7, Level: 2, Since: noon}); err != nil {
		t.Fatal(err)
	}
	d.lab.rules = append([]rule{{"entry delete", 1, "there is no such entry"}}, d.lab.rules...)
	d.says(t, "reset", d.Reset(context.Background()), "the lab is as before the fault")
	if ran := strings.Join(d.lab.ran, "\n"); !strings.Contains(ran, "docker volume rm p_spire-server-spare") {
		t.Errorf("the volume was not removed:\n%s", ran)
	}
}

// TestForget: when a lab is removed, its open fault must be closed, and a message must say this.
func TestForget(t *testing.T) {
	d := newDesk(t)
	d.opens(t)
	if err := d.progress().Keep("images", []byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	var removed []string
	remove := func(image string) { removed = append(removed, image) }
	d.says(t, "down", d.Forget(remove, func(string) {}), "the fault clean-up was open in this lab", "run \"make up\", then \"make break NAME=clean-up\"")
	if _, open := d.progress().Open(); open || len(removed) != 2 {
		t.Errorf("open is %t, removed are %v", open, removed)
	}
	if err := d.Forget(remove, func(string) {}); err != nil || d.printed.Len() > 0 {
		t.Errorf("without an open fault: %v, %s", err, d.printed)
	}
}
