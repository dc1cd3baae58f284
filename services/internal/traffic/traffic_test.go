package traffic

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeClock is a clock that advances only while the test waits, by the time of each wait.
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
		time.Sleep(time.Millisecond) // lets the test read the lines that are ready before the clock advances
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now = c.now.Add(d)
		ch <- c.now
	}()
	return ch
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// says compares the error message with the parameter fails. If fails is empty, it compares the output with the
// parameter out.
func says(t *testing.T, got string, err error, out, fails string) {
	t.Helper()
	switch {
	case fails == "" && err != nil:
		t.Fatalf("fails with %v", err)
	case fails != "" && err == nil:
		t.Fatalf("does not fail, and writes %q; want %q", got, fails)
	case fails != "" && !strings.Contains(err.Error(), fails):
		t.Fatalf("fails with %q, want %q", err, fails)
	case fails == "" && !strings.Contains(got, out):
		t.Fatalf("writes %q, want %q", got, out)
	}
}

// TestClockAt: the clock must start at the caller's time, and then run on.
func TestClockAt(t *testing.T) {
	clock := ClockAt(noon)
	<-clock.After(10 * time.Millisecond)
	if late := clock.Now().Sub(noon); late < 10*time.Millisecond || late > time.Minute {
		t.Errorf("it is %v after noon", late)
	}
}

// These are log lines of traffic with one request each second, from second 0 on.
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

// logLines reads lines of the forms "client TIME TEXT" and "server TEXT".
func logLines(t *testing.T, text string) []Line {
	t.Helper()
	var all []Line
	for text := range strings.Lines(text) {
		side, rest, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		line := Line{Side: Side(side), Text: rest}
		if line.Side == Client {
			at, rest, _ := strings.Cut(rest, " ")
			line.At, line.Text = clockTime(t, at), rest
		}
		all = append(all, line)
	}
	return all
}

func clockTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := ParseTime(text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestTraffic(t *testing.T) {
	type judge func(*Traffic) (string, error)
	var numbers judge = func(t *Traffic) (string, error) {
		var out strings.Builder
		t.Write(&out)
		return out.String(), nil
	}
	var lossless judge = (*Traffic).Lossless
	outageOf := func(reason, from string) judge {
		at := clockTime(t, from)
		return func(t *Traffic) (string, error) {
			found, err := t.Outage(regexp.MustCompile(reason), at)
			return found.String(), err
		}
	}
	outage := func(from string) judge { return outageOf("(bad certificate|Client.Timeout.*)$", from) }
	quiet := logOf("2 requests sent: 2 served, 0 failed", ok, ok) + server(got, got, other, own)
	gap := logOf("4 requests sent: 2 served, 2 failed", ok, bad, bad, ok) + server(got, refused, refused, got)
	slow := logOf("4 requests sent: 2 served, 2 failed", ok, late, bad, ok)
	tests := map[string]struct {
		judge      judge
		in         string
		out, fails string
	}{
		"numbers":           {numbers, quiet, "    2 requests: 2 served, 0 failed; the server received 2, and refused 0\n", ""},
		"reasons":           {numbers, gap, "          2 http: TLS handshake error from ADDR: x509: certificate has expired: current time TIME is after TIME\n", ""},
		"the client's too":  {numbers, gap, "    the client's reasons:\n          2 " + bad + "\n", ""},
		"no account":        {numbers, logOf("", ok, "cut off"), "", "the traffic ended without an account: cut off"},
		"a request too few": {numbers, logOf("3 requests sent: 3 served, 0 failed", ok, ok), "", "is not what its log shows: 2 outcomes, 2 of them served"},
		"a sum that lies":   {numbers, logOf("2 requests sent: 2 served, 0 failed", ok, bad), "", "is not what its log shows: 2 outcomes, 1 of them served"},
		"a stray line":      {numbers, "nonsense\n", "", "neither the client's nor the server's"},

		"lossless":                      {lossless, quiet, "2 sent, 2 served, 0 failed", ""},
		"one failed":                    {lossless, gap, "", "2 of 4 requests failed"},
		"the server received one less":  {lossless, logOf("2 requests sent: 2 served, 0 failed", ok, ok) + server(got), "", "the client sent 2 requests, the server received 1"},
		"the server received one more":  {lossless, logOf("1 requests sent: 1 served, 0 failed", ok) + server(got, got), "", "the client sent 1 requests, the server received 2"},
		"no traffic is no proof":        {lossless, logOf("0 requests sent: 0 served, 0 failed"), "", "there was no traffic"},
		"outage":                        {outage("2026-11-24T12:00:01Z"), gap, "served until 12:00:00.0, 2 failures from 12:00:01.0 on, served again from 12:00:03.0 on", ""},
		"in another zone":               {outage("2026-11-24T13:00:01+01:00"), gap, "2 failures from 12:00:01.0 on", ""},
		"too early":                     {outage("2026-11-24T12:00:01.5Z"), gap, "", "the first request failed at 2026-11-24T12:00:01.000000000Z already, before 2026-11-24T12:00:01.5Z"},
		"no outage":                     {outage("2026-11-24T12:00:01Z"), quiet, "", "not one of 2 requests failed"},
		"other words":                   {outageOf("Timeout", "2026-11-24T12:00:01Z"), gap, "", "a request failed for another reason: 2026-11-24T12:00:01.000000000Z " + bad},
		"two pieces":                    {outage("2026-11-24T12:00:01Z"), logOf("5 requests sent: 3 served, 2 failed", ok, bad, ok, bad, ok) + server(got, got, got, refused, refused), "", "did not come in one piece"},
		"not served before":             {outage("2026-11-24T12:00:00Z"), logOf("3 requests sent: 1 served, 2 failed", bad, bad, ok) + server(got, refused, refused), "", "did not come in one piece"},
		"not served again":              {outage("2026-11-24T12:00:01Z"), logOf("3 requests sent: 1 served, 2 failed", ok, bad, bad) + server(got, refused, refused), "", "did not come in one piece"},
		"failing, served, failing":      {outage("2026-11-24T12:00:00Z"), logOf("3 requests sent: 1 served, 2 failed", bad, ok, bad) + server(got, refused, refused), "", "did not come in one piece"},
		"served though it says refused": {outage("2026-11-24T12:00:01Z"), logOf("4 requests sent: 2 served, 2 failed", ok, bad, bad, ok) + server(got, got, got, refused, refused), "", "the client was served 2 times, the server received 3 requests"},
		"refused without a word":        {outage("2026-11-24T12:00:01Z"), logOf("4 requests sent: 2 served, 2 failed", ok, bad, bad, ok) + server(got, got, refused), "", "2 requests failed, 0 of them because no answer came in time, and the server refused 1"},
		"timed out, never arrived":      {outage("2026-11-24T12:00:01Z"), slow + server(got, got, refused), "2 failures from 12:00:01.0 on", ""},
		"timed out, served too late":    {outage("2026-11-24T12:00:01Z"), slow + server(got, got, got, refused), "2 failures from 12:00:01.0 on", ""},
		"timed out, and one too many":   {outage("2026-11-24T12:00:01Z"), slow + server(got, got, got, got, refused), "", "the client was served 2 times, the server received 4"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			traffic, err := Take(logLines(t, test.in), "172.18.0.9")
			said := ""
			if err == nil {
				said, err = test.judge(traffic)
			}
			says(t, said, err, test.out, test.fails)
		})
	}
}

func TestPast(t *testing.T) {
	for name, test := range map[string]struct {
		at, within time.Duration
		out, fails string
	}{
		"over":          {-time.Second, 0, "", ""},
		"in a while":    {21 * time.Second, 25 * time.Second, "  ... 20 s of at most 25\n", ""},
		"still to come": {time.Second, 0, "", "is still to come: it is 2026-11-24T12:00:00Z by the engine's clock"},
		"too far off":   {6 * time.Second, 5 * time.Second, "", "is still to come"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := Past(t.Context(), Screen{Out: &out}, &fakeClock{now: noon}, noon.Add(test.at), test.within)
			says(t, out.String(), err, test.out, test.fails)
		})
	}
	if _, err := ParseTime("noon"); err == nil || !strings.Contains(err.Error(), `"noon" is no time`) {
		t.Errorf("noon: %v", err)
	}
}

// rounds returns a log that has these lines, and then never ends, like a log that is followed.
func rounds(lines string) io.Reader {
	open, _ := io.Pipe()
	return io.MultiReader(strings.NewReader(lines), open)
}

func TestWait(t *testing.T) {
	// said has, for each service, the remaining lifetimes of the SVID that successive questions find. The last lifetime
	// repeats.
	type said map[string][]time.Duration
	for name, test := range map[string]struct {
		want       Left
		terminal   bool
		said       said
		services   []string
		out, fails string
	}{
		"short enough":     {Left{Most: 20 * time.Second}, false, said{"server": {15 * time.Second}, "client": {20 * time.Second}}, []string{"server", "client"}, "", ""},
		"after a rotation": {Left{Most: 20 * time.Second}, false, said{"server": {time.Hour, 20 * time.Second}}, []string{"server"}, "", ""},
		"by waiting":       {Left{Most: 20 * time.Second}, false, said{"server": {33 * time.Second}}, []string{"server"}, "  ... 10 s of at most 15: so long\n", ""},
		"one is too long": {Left{Most: 20 * time.Second}, false, said{"server": {15 * time.Second}, "client": {time.Hour}}, []string{"server", "client"}, "",
			"not within 15 s: the SVID of server has 0 s left, the SVID of client has 3585 s left"},
		"one says nothing": {Left{Most: 20 * time.Second}, false, said{"server": {15 * time.Second}}, []string{"server", "client"}, "", "client has not logged which SVID it holds"},
		"long enough":      {Left{Least: 600 * time.Second}, false, said{"server": {615 * time.Second}}, []string{"server"}, "", ""},
		"not long enough":  {Left{Least: 600 * time.Second}, false, said{"server": {599 * time.Second}}, []string{"server"}, "", "the SVID of server has 584 s left"},
		"on a terminal":    {Left{Most: 20 * time.Second}, true, said{"server": {23 * time.Second}}, []string{"server"}, "\r\x1b[K  ... 1 s of at most 15: so long\r\x1b[K", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			asked := 0
			err := Wait{&fakeClock{now: noon}, Screen{&out, test.terminal}, 15 * time.Second, "so long"}.Left(t.Context(), test.want, test.services,
				func(context.Context) (map[string]time.Time, error) {
					expires := map[string]time.Time{}
					for service, all := range test.said {
						expires[service] = noon.Add(all[min(asked, len(all)-1)])
					}
					asked++
					return expires, nil
				})
			says(t, out.String(), err, test.out, test.fails)
		})
	}
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
		service    string
		left       time.Duration
		traffic    bool
		terminal   bool
		in         string
		out, fails string
	}{
		"told at once":        {"steady", 7 * time.Second, false, false, log, "  ... 6 s until the SVID of steady expires\n  ... 5 s until the SVID of steady expires\n  ... 0 s until", ""},
		"with traffic":        {"steady", 7 * time.Second, true, false, log, "  ... 5 s until the SVID of steady expires; the traffic so far: 2 served, 1 failed\n", ""},
		"on a terminal":       {"steady", 7 * time.Second, false, true, log, "\r\x1b[K  ... 4 s until the SVID of steady expires\r\x1b[K", ""},
		"held a longer one":   {"steady", 7 * time.Second, false, false, "steady-1  | 2026/11/24 11:58:00 identity spiffe://example.org/client, serial 0, expires 2026-11-24T13:00:00Z\n" + log, "  ... 0 s until", ""},
		"renewed":             {"steady", 7 * time.Second, false, false, renewed, "", "steady got a new SVID before the old one expired"},
		"another one renewed": {"server", 9 * time.Second, false, false, renewed, "... 5 s until the SVID of server expires", ""},
		"over already":        {"client", -time.Second, false, false, log, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := Countdown(t.Context(), rounds(test.in), Screen{&out, test.terminal}, &fakeClock{now: noon}, test.service, noon.Add(test.left), test.traffic)
			says(t, out.String(), err, test.out, test.fails)
		})
	}
	t.Run("the log ends", func(t *testing.T) {
		var out strings.Builder
		err := Countdown(t.Context(), strings.NewReader(log), Screen{Out: &out}, &fakeClock{now: noon}, "steady", noon.Add(7*time.Second), false)
		says(t, out.String(), err, "... 5 s until", "")
	})
}

func TestRotations(t *testing.T) {
	const id = "spiffe://example.org/server"
	line := func(id, from, to string) string {
		return "2026/11/24 12:00:00 X.509-SVID of " + id + " rotated: serial " + from + " -> " + to + ", expires 2026-11-24T12:00:20Z\n"
	}
	tests := map[string]struct{ in, out, fails string }{
		"a chain":          {line(id, "A", "B") + line(id, "B", "C"), "2", ""},
		"a broken chain":   {line(id, "A", "B") + line(id, "X", "C"), "", "no unbroken chain of serials, B was held before"},
		"nothing new":      {line(id, "A", "A"), "", "changed nothing"},
		"another identity": {line(id, "A", "B") + line("spiffe://example.org/client", "B", "C"), "", "a rotation is not of spiffe://example.org/server"},
		"another line":     {"Success!!!\n", "", "this is no rotation: Success!!!"},
		"none":             {"", "", "there is no rotation"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var lines []string
			for line := range strings.Lines(test.in) {
				lines = append(lines, strings.TrimSuffix(line, "\n"))
			}
			number, err := Rotations(lines, id)
			says(t, strconv.Itoa(number), err, test.out, test.fails)
		})
	}
}

// TestTyped: the functions must work for a caller that passes log lines, and that passes its own function for the
// expiry of SVIDs.
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
