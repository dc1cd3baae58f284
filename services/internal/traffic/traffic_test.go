package traffic

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// fakeClock is a time that passes as fast as it is waited for.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	go func() {
		time.Sleep(time.Millisecond) // whoever has lines to give comes first
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now = c.now.Add(d)
		ch <- c.now
	}()
	return ch
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// answer runs a command at noon.
func answer(args []string, in io.Reader) (status int, out, errOut string) {
	if len(args) > 0 && slices.Contains([]string{"countdown", "held", "past"}, args[0]) {
		args = append([]string{args[0], "-now", noon.Format(time.RFC3339)}, args[1:]...)
	}
	var stdout, stderr bytes.Buffer
	status = cli.Answer(commands(func(now time.Time) Clock { return &fakeClock{now: now} }), args, in, &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// want runs a command, and compares what it writes, or, where fails is set, the words of its failure.
func want(t *testing.T, args []string, in, out, fails string) {
	t.Helper()
	wantFrom(t, args, strings.NewReader(in), out, fails)
}

func wantFrom(t *testing.T, args []string, in io.Reader, out, fails string) {
	t.Helper()
	status, stdout, stderr := answer(args, in)
	switch {
	case fails == "" && status != 0:
		t.Fatalf("fails with %d and %q", status, stdout+stderr)
	case fails != "" && status == 0:
		t.Fatalf("does not fail, and writes %q; want %q", stdout, fails)
	case fails != "" && !strings.Contains(stdout+stderr, fails):
		t.Fatalf("fails with %q, want %q", stdout+stderr, fails)
	case fails == "" && !strings.Contains(stdout, out):
		t.Fatalf("writes %q, want %q", stdout, out)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"nonsense"}, {"requests", "-nonsense"}, {"requests"}, {"past"}, {"past", "noon"},
		{"seconds", "2026-11-24T12:00:00Z"}, {"held"}, {"held", "-most", "3"}, {"countdown", "steady"}, {"requests", "-address", "1.2.3.4", "extra"}} {
		if status, out, errOut := answer(args, strings.NewReader("")); status != 2 || out != "" || errOut == "" {
			t.Errorf("%q: status %d and %q, want 2 and a reason", args, status, errOut)
		}
	}
	if status, out, errOut := answer([]string{"rotations"}, strings.NewReader("")); status != 1 || out != "there is no rotation\n" || errOut != "" {
		t.Errorf("status %d, %q and %q for a failure", status, out, errOut)
	}
	if status, out, _ := answer([]string{"past", "-help"}, strings.NewReader("")); status != 0 || !strings.Contains(out, "-within") {
		t.Errorf("status %d and %q for help", status, out)
	}
}

// The clock is the one that the caller names, and goes on by itself.
func TestClockAt(t *testing.T) {
	clock := ClockAt(noon)
	<-clock.After(10 * time.Millisecond)
	if late := clock.Now().Sub(noon); late < 10*time.Millisecond || late > time.Minute {
		t.Errorf("it is %v after noon", late)
	}
}

// Traffic from second 0 on, one request each second.
const (
	ok      = "Success!!!"
	bad     = `Error connecting to "https://server:8443/steady": Get "https://server:8443/steady": remote error: tls: bad certificate`
	late    = `Error connecting to "https://server:8443/steady": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`
	got     = `server 2026/11/24 12:00:01 Request received from "spiffe://example.org/client": GET "/steady"`
	refused = `server 2026/11/24 12:00:01 http: TLS handshake error from 172.18.0.9:40000: x509: certificate has expired: current time 2026-11-24T12:00:01Z is after 2026-11-24T12:00:00Z`
	other   = `server 2026/11/24 12:00:01 http: TLS handshake error from 172.18.0.99:40000: EOF`
	own     = `server 2026/11/24 12:00:01 Request received from "spiffe://example.org/client": GET "/"`
)

func logOf(sum string, outcomes ...string) string {
	var b strings.Builder
	b.WriteString("client 2026-11-24T11:59:59.9Z 2026/11/24 11:59:59 identity spiffe://example.org/client, serial 1, expires 2026-11-24T13:00:00Z\n")
	for i, o := range outcomes {
		b.WriteString("client " + noon.Add(time.Duration(i)*time.Second).Format("2006-01-02T15:04:05.000000000Z") + " " + o + "\n")
	}
	if sum != "" {
		b.WriteString("client 2026-11-24T12:01:00Z " + sum + "\n")
	}
	return b.String()
}

func server(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func TestTraffic(t *testing.T) {
	lossless := []string{"-lossless"}
	outage := func(from string) []string {
		return []string{"-outage", "(bad certificate|Client.Timeout.*)$", "-from", from}
	}
	quiet := logOf("2 requests sent: 2 served, 0 failed", ok, ok) + server(got, got, other, own)
	gap := logOf("4 requests sent: 2 served, 2 failed", ok, bad, bad, ok) + server(got, refused, refused, got)
	slow := logOf("4 requests sent: 2 served, 2 failed", ok, late, bad, ok)
	tests := map[string]struct {
		args       []string
		in         string
		out, fails string
	}{
		"numbers":           {nil, quiet, "2 2 0 2 0\n    2 requests: 2 served, 0 failed; the server received 2, and refused 0\n", ""},
		"reasons":           {nil, gap, "          2 http: TLS handshake error from ADDR: x509: certificate has expired: current time TIME is after TIME\n", ""},
		"the client's too":  {nil, gap, "    the client's reasons:\n          2 " + bad + "\n", ""},
		"no account":        {nil, logOf("", ok, "cut off"), "", "the traffic ended without an account: cut off"},
		"a request too few": {nil, logOf("3 requests sent: 3 served, 0 failed", ok, ok), "", "is not what its log shows: 2 outcomes, 2 of them served"},
		"a sum that lies":   {nil, logOf("2 requests sent: 2 served, 0 failed", ok, bad), "", "is not what its log shows: 2 outcomes, 1 of them served"},
		"a stray line":      {nil, "nonsense\n", "", "neither the client's nor the server's"},

		"lossless":                      {lossless, quiet, "2 sent, 2 served, 0 failed\n", ""},
		"one failed":                    {lossless, gap, "", "2 of 4 requests failed"},
		"the server received one less":  {lossless, logOf("2 requests sent: 2 served, 0 failed", ok, ok) + server(got), "", "the client sent 2 requests, the server received 1"},
		"the server received one more":  {lossless, logOf("1 requests sent: 1 served, 0 failed", ok) + server(got, got), "", "the client sent 1 requests, the server received 2"},
		"no traffic is no proof":        {lossless, logOf("0 requests sent: 0 served, 0 failed"), "", "there was no traffic"},
		"outage":                        {outage("2026-11-24T12:00:01Z"), gap, "served until 12:00:00.0, 2 failures from 12:00:01.0 on, served again from 12:00:03.0 on\n4 sent, 2 served, 2 failed, all in one piece\n", ""},
		"in another zone":               {outage("2026-11-24T13:00:01+01:00"), gap, "all in one piece", ""},
		"too early":                     {outage("2026-11-24T12:00:01.5Z"), gap, "", "the first request failed at 2026-11-24T12:00:01.000000000Z already, before 2026-11-24T12:00:01.5Z"},
		"no outage":                     {outage("2026-11-24T12:00:01Z"), quiet, "", "not one of 2 requests failed"},
		"other words":                   {[]string{"-outage", "Timeout", "-from", "2026-11-24T12:00:01Z"}, gap, "", "a request failed for another reason: 2026-11-24T12:00:01.000000000Z " + bad},
		"no such regexp":                {[]string{"-outage", "(", "-from", "2026-11-24T12:00:01Z"}, gap, "", "-outage: error parsing regexp"},
		"two pieces":                    {outage("2026-11-24T12:00:01Z"), logOf("5 requests sent: 3 served, 2 failed", ok, bad, ok, bad, ok) + server(got, got, got, refused, refused), "", "did not come in one piece"},
		"not served before":             {outage("2026-11-24T12:00:00Z"), logOf("3 requests sent: 1 served, 2 failed", bad, bad, ok) + server(got, refused, refused), "", "did not come in one piece"},
		"not served again":              {outage("2026-11-24T12:00:01Z"), logOf("3 requests sent: 1 served, 2 failed", ok, bad, bad) + server(got, refused, refused), "", "did not come in one piece"},
		"failing, served, failing":      {outage("2026-11-24T12:00:00Z"), logOf("3 requests sent: 1 served, 2 failed", bad, ok, bad) + server(got, refused, refused), "", "did not come in one piece"},
		"served though it says refused": {outage("2026-11-24T12:00:01Z"), logOf("4 requests sent: 2 served, 2 failed", ok, bad, bad, ok) + server(got, got, got, refused, refused), "", "the client was served 2 times, the server received 3 requests"},
		"refused without a word":        {outage("2026-11-24T12:00:01Z"), logOf("4 requests sent: 2 served, 2 failed", ok, bad, bad, ok) + server(got, got, refused), "", "2 requests failed, 0 of them because no answer came in time, and the server refused 1"},
		"timed out, never arrived":      {outage("2026-11-24T12:00:01Z"), slow + server(got, got, refused), "all in one piece", ""},
		"timed out, served too late":    {outage("2026-11-24T12:00:01Z"), slow + server(got, got, got, refused), "all in one piece", ""},
		"timed out, and one too many":   {outage("2026-11-24T12:00:01Z"), slow + server(got, got, got, got, refused), "", "the client was served 2 times, the server received 4"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want(t, append([]string{"requests", "-address", "172.18.0.9"}, test.args...), test.in, test.out, test.fails)
		})
	}
}

func TestSeconds(t *testing.T) {
	tests := map[string]struct{ args, out, fails string }{
		"a fraction":      {"2026-11-24T12:00:00.5Z 2026-11-24T12:00:02.123456789Z", "1.62\n", ""},
		"over midnight":   {"2026-11-24T23:59:59Z 2026-11-25T00:00:01Z", "2.00\n", ""},
		"in two zones":    {"2026-11-24T13:00:00+01:00 2026-11-24T12:00:01Z", "1.00\n", ""},
		"before it began": {"2026-11-24T12:00:01Z 2026-11-24T12:00:00Z", "0.00\n", ""},
		"soon enough":     {"-most 2 2026-11-24T12:00:00Z 2026-11-24T12:00:02Z", "2.00\n", ""},
		"too late":        {"-most 2 2026-11-24T12:00:00Z 2026-11-24T12:00:02.01Z", "", "it took 2.01 s, not 2 s at most"},
		"no time":         {"yesterday 2026-11-24T12:00:02.01Z", "", `"yesterday" is no time`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want(t, append([]string{"seconds"}, strings.Fields(test.args)...), "", test.out, test.fails)
		})
	}
}

func TestPast(t *testing.T) {
	tests := map[string]struct{ args, out, fails string }{
		"over":          {"2026-11-24T11:59:59Z", "", ""},
		"in a while":    {"-within 25s 2026-11-24T12:00:21Z", "  ... 20 s of at most 25\n", ""},
		"still to come": {"2026-11-24T12:00:01Z", "", "is still to come: it is 2026-11-24T12:00:00Z by the engine's clock"},
		"too far off":   {"-within 5s 2026-11-24T12:00:06Z", "", "is still to come"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want(t, append([]string{"past"}, strings.Fields(test.args)...), "", test.out, test.fails)
		})
	}
}

// rounds gives lines, and then stays open, as a log does that is followed.
func rounds(lines string) io.Reader {
	open, _ := io.Pipe()
	return io.MultiReader(strings.NewReader(lines), open)
}

func TestHeld(t *testing.T) {
	tests := map[string]struct {
		args, in   string
		out, fails string
	}{
		"short enough":         {"-most 20 -within 15s server client", "server 2026-11-24T12:00:15Z\nclient 2026-11-24T12:00:20Z\n", "", ""},
		"after a rotation":     {"-most 20 -within 15s server", "server 2026-11-24T13:00:00Z\nserver 2026-11-24T12:00:20Z\n", "", ""},
		"by waiting":           {"-most 20 -within 15s server", "server 2026-11-24T12:00:33Z\n", "  ... 10 s of at most 15: so long\n", ""},
		"one is too long":      {"-most 20 -within 15s server client", "server 2026-11-24T12:00:15Z\nclient 2026-11-24T13:00:00Z\n", "", "not within 15 s: the SVID of server has 0 s left, the SVID of client has 3585 s left"},
		"one says nothing":     {"-most 20 -within 15s server client", "server 2026-11-24T12:00:15Z\nclient \n", "", "client has not logged which SVID it holds"},
		"long enough":          {"-least 600 -within 15s server", "server 2026-11-24T12:10:15Z\n", "", ""},
		"not long enough":      {"-least 600 -within 15s server", "server 2026-11-24T12:09:59Z\n", "", "the SVID of server has 584 s left"},
		"what is no time":      {"-least 600 -within 15s server", "server soon\n", "", `"soon" is no time`},
		"on a terminal":        {"-tty -most 20 -within 15s server", "server 2026-11-24T12:00:23Z\n", "\r\x1b[K  ... 1 s of at most 15: so long\r\x1b[K", ""},
		"neither most or more": {"-within 15s server", "", "", "want -most or -least"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"held", "-what", "so long"}, strings.Fields(test.args)...)
			wantFrom(t, args, rounds(test.in), test.out, test.fails)
		})
	}
	t.Run("nobody says any more", func(t *testing.T) {
		want(t, []string{"held", "-most", "1", "-within", "5s", "server"}, "server 2026-11-24T13:00:00Z\n", "", "nobody says any more what server holds")
	})
}

func TestHolds(t *testing.T) {
	in := func(d time.Duration) map[string]time.Time { return map[string]time.Time{"server": noon.Add(d)} }
	for name, test := range map[string]struct {
		want    Left
		expires map[string]time.Time
		holds   bool
	}{
		"exactly the most":    {Left{Most: time.Second}, in(time.Second), true},
		"more than the most":  {Left{Most: time.Second}, in(time.Second + 1), false},
		"exactly the least":   {Left{Least: time.Second}, in(time.Second), true},
		"less than the least": {Left{Least: time.Second}, in(time.Second - 1), false},
		"unknown":             {Left{Most: time.Second}, nil, false},
	} {
		if got := test.want.Holds(test.expires, []string{"server"}, noon); got != test.holds {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestCountdown(t *testing.T) {
	log := "steady-1  | 2026/11/24 11:59:00 identity spiffe://example.org/client, serial 1, expires 2026-11-24T12:00:07Z\n" +
		"steady-1  | Success!!!\nsteady-1  | Success!!!\nsteady-1  | Error connecting\nserver-1  | Success!!!\n" +
		"server-1  | 2026/11/24 11:59:00 X.509-SVID of spiffe://example.org/server rotated: serial 1 -> 2, expires 2026-11-24T12:00:09Z\n"
	renewed := log + "steady-1  | 2026/11/24 12:00:01 X.509-SVID of spiffe://example.org/client rotated: serial 1 -> 2, expires 2026-11-24T12:00:17Z\n"
	tests := map[string]struct {
		args, in   string
		out, fails string
	}{
		"told at once":        {"steady 2026-11-24T12:00:07Z", log, "  ... 6 s until the SVID of steady expires\n  ... 5 s until the SVID of steady expires\n  ... 0 s until", ""},
		"with traffic":        {"-traffic steady 2026-11-24T12:00:07Z", log, "  ... 5 s until the SVID of steady expires; the traffic so far: 2 served, 1 failed\n", ""},
		"on a terminal":       {"-tty steady 2026-11-24T12:00:07Z", log, "\r\x1b[K  ... 4 s until the SVID of steady expires\r\x1b[K", ""},
		"held a longer one":   {"steady 2026-11-24T12:00:07Z", "steady-1  | 2026/11/24 11:58:00 identity spiffe://example.org/client, serial 0, expires 2026-11-24T13:00:00Z\n" + log, "  ... 0 s until", ""},
		"renewed":             {"steady 2026-11-24T12:00:07Z", renewed, "", "steady got a new SVID before the old one expired"},
		"another one renewed": {"server 2026-11-24T12:00:09Z", renewed, "... 5 s until the SVID of server expires", ""},
		"over already":        {"client 2026-11-24T11:59:59Z", log, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wantFrom(t, append([]string{"countdown"}, strings.Fields(test.args)...), rounds(test.in), test.out, test.fails)
		})
	}
	t.Run("the log ends", func(t *testing.T) {
		want(t, []string{"countdown", "steady", "2026-11-24T12:00:07Z"}, log, "... 5 s until", "")
	})
}

func TestRotations(t *testing.T) {
	const id = "spiffe://example.org/server"
	line := func(id, from, to string) string {
		return "2026/11/24 12:00:00 X.509-SVID of " + id + " rotated: serial " + from + " -> " + to + ", expires 2026-11-24T12:00:20Z\n"
	}
	tests := map[string]struct{ in, out, fails string }{
		"a chain":          {line(id, "A", "B") + line(id, "B", "C"), "2\n", ""},
		"a broken chain":   {line(id, "A", "B") + line(id, "X", "C"), "", "no unbroken chain of serials, B was held before"},
		"nothing new":      {line(id, "A", "A"), "", "changed nothing"},
		"another identity": {line(id, "A", "B") + line("spiffe://example.org/client", "B", "C"), "", "a rotation is not of spiffe://example.org/server"},
		"another line":     {"Success!!!\n", "", "this is no rotation: Success!!!"},
		"none":             {"", "", "there is no rotation"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { want(t, []string{"rotations", "-id", id}, test.in, test.out, test.fails) })
	}
}

// What a program calls, which has the lines already and asks for the lives itself.
func TestTyped(t *testing.T) {
	lines := []Line{{Client, noon, ok}, {Client, noon.Add(time.Second), bad}, {Client, noon.Add(2 * time.Second), ok},
		{Client, noon.Add(3 * time.Second), "3 requests sent: 2 served, 1 failed"}, {Side: Server, Text: got}, {Side: Server, Text: refused}, {Side: Server, Text: got}}
	traffic, err := Take(lines, "172.18.0.9")
	if err != nil || traffic.Sums() != (Sums{3, 2, 1, 2, 1}) {
		t.Fatalf("%+v, %v", traffic.Sums(), err)
	}
	if said, err := traffic.Lossless(); err == nil {
		t.Errorf("lossless: %s", said)
	}
	want := Outage{noon, noon.Add(time.Second), noon.Add(2 * time.Second), 1}
	if outage, err := traffic.Outage(regexp.MustCompile("bad certificate"), noon); err != nil || outage != want {
		t.Errorf("%v, %v; want %v", outage, err, want)
	}
	wait := Wait{&fakeClock{now: noon}, Screen{Out: io.Discard}, time.Minute, "so long"}
	asked, broken := 0, errors.New("no log")
	err = wait.Left(t.Context(), Left{Most: 20 * time.Second}, []string{"server"}, func(context.Context) (map[string]time.Time, error) {
		if asked++; asked == 3 {
			return nil, broken
		}
		return map[string]time.Time{"server": noon.Add(time.Hour)}, nil
	})
	if err != broken || asked != 3 {
		t.Errorf("asked %d times, and %v", asked, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"Past":      Past(ended, wait.Screen, ClockAt(noon), noon.Add(time.Hour), 2*time.Hour),
		"Countdown": Countdown(ended, rounds(""), wait.Screen, ClockAt(noon), "steady", noon.Add(time.Hour), false),
		"Left": Wait{ClockAt(noon), wait.Screen, time.Hour, ""}.Left(ended, Left{Least: time.Second}, []string{"server"},
			func(context.Context) (map[string]time.Time, error) { return nil, nil }),
	} {
		if err != context.Canceled {
			t.Errorf("%s goes on after Ctrl-C: %v", name, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	if at, ok := Expiry("2026/11/24 11:59:59 identity spiffe://example.org/client, serial 1, expires 2026-11-24T12:00:00Z"); !ok || !at.Equal(noon) {
		t.Errorf("%v, %t", at, ok)
	}
	if at, ok := Expiry(ok); ok {
		t.Errorf("%v", at)
	}
}
