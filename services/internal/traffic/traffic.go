// Package traffic judges for the scenarios the outcome of every request, the order of a program's rotations, and how long SVIDs are still
// valid. It reads only the logs of containers.
//
// All times are from the engine's clock, as in the logs, because this machine's clock may be wrong.
package traffic

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// Side is the program that logged a line.
type Side string

// The two sides of the traffic.
const (
	Client Side = "client" // sends a request every few milliseconds; its service is "steady"
	Server Side = "server"
)

// Line is one line of a program's log, without the line break.
type Line struct {
	Side Side
	At   time.Time // by the engine's clock; not needed for a line of the server
	Text string
}

// Sums are the numbers of requests.
type Sums struct {
	Sent, Served, Failed int // counted by the client
	Received, Refused    int // counted by the server
}

func (s Sums) String() string {
	return fmt.Sprintf("%d sent, %d served, %d failed", s.Sent, s.Served, s.Failed)
}

// Traffic has the outcome of every request.
type Traffic struct {
	sums     Sums
	outcomes []outcome
	refusals []string // by the server, each with its reason
}

// outcome is the client's log line about one request.
type outcome struct {
	at   time.Time
	text string
}

func (o outcome) served() bool { return o.text == success }

// timedOut reports whether the request timed out, so that it is not known whether the server received it.
func (o outcome) timedOut() bool { return strings.Contains(o.text, "Client.Timeout") }

const success = "Success!!!"

var (
	total = regexp.MustCompile(`^(\d+) requests sent: (\d+) served, (\d+) failed$`)
	// A line that begins with the program's own time is not the outcome of a request.
	logLine = regexp.MustCompile(`^\d+/\d+/\d+ \d+:\d+:\d+ `)
	request = regexp.MustCompile(`Request received from .* GET "/steady"`)
)

// Take counts the requests in the parameter lines, which are all lines of the client's log, and the lines of the server's log since the
// client was started. A refusal counts only if it has the client's IP address, which is the parameter address. It is an error if the
// client's sums differ from its lines.
func Take(lines []Line, address string) (*Traffic, error) {
	t := &Traffic{}
	refusal := "http: TLS handshake error from " + address + ":"
	var last string
	var sums []string
	for _, line := range lines {
		switch line.Side {
		case Client:
			if line.Text == "" || logLine.MatchString(line.Text) {
				continue
			}
			last = line.Text
			if found := total.FindStringSubmatch(line.Text); found != nil {
				sums = found[1:]
				continue
			}
			t.outcomes = append(t.outcomes, outcome{line.At, line.Text})
		case Server:
			if request.MatchString(line.Text) {
				t.sums.Received++
			} else if i := strings.Index(line.Text, refusal); i >= 0 {
				t.refusals = append(t.refusals, line.Text[i:])
			}
		default:
			return nil, fmt.Errorf("a line is neither the client's nor the server's: %s %s", line.Side, line.Text)
		}
	}
	if sums == nil {
		return nil, fmt.Errorf("the traffic ended without an account: %s", last)
	}
	t.sums.Sent, _ = strconv.Atoi(sums[0])
	t.sums.Served, _ = strconv.Atoi(sums[1])
	t.sums.Failed, _ = strconv.Atoi(sums[2])
	t.sums.Refused = len(t.refusals)
	served := 0
	for _, o := range t.outcomes {
		if o.served() {
			served++
		}
	}
	if len(t.outcomes) != t.sums.Sent || served != t.sums.Served || t.sums.Served+t.sums.Failed != t.sums.Sent {
		return nil, fmt.Errorf("the traffic's account (%s) is not what its log shows: %d outcomes, %d of them served", strings.Join(sums, " "), len(t.outcomes), served)
	}
	return t, nil
}

// Sums returns the numbers of requests.
func (t *Traffic) Sums() Sums { return t.sums }

// Write writes the numbers and the reasons of both sides, for people to read.
func (t *Traffic) Write(out io.Writer) {
	s := t.sums
	fmt.Fprintf(out, "    %d requests: %d served, %d failed; the server received %d, and refused %d\n", s.Sent, s.Served, s.Failed, s.Received, s.Refused)
	var reasons []string
	for _, o := range t.outcomes {
		if !o.served() {
			reasons = append(reasons, o.text)
		}
	}
	writeReasons(out, "client", reasons)
	writeReasons(out, "server", t.refusals)
}

var (
	addresses = regexp.MustCompile(`(\d+\.){3}\d+:\d+`)
	times     = regexp.MustCompile(`\d{4}-\d{2}-\d{2}T[\d:]{8}Z`)
)

// writeReasons writes each reason once, and how often it occurs. The most frequent reason comes first. Reasons that differ only in
// addresses and times count as one reason.
func writeReasons(out io.Writer, whose string, reasons []string) {
	if len(reasons) == 0 {
		return
	}
	number := map[string]int{}
	var different []string
	for _, reason := range reasons {
		reason = times.ReplaceAllString(addresses.ReplaceAllString(reason, "ADDR"), "TIME")
		if number[reason] == 0 {
			different = append(different, reason)
		}
		number[reason]++
	}
	slices.SortStableFunc(different, func(a, b string) int { return number[b] - number[a] })
	fmt.Fprintf(out, "    the %s's reasons:\n", whose)
	for _, reason := range different {
		fmt.Fprintf(out, "    %7d %s\n", number[reason], reason)
	}
}

// Lossless returns a sentence with the sums if every request was served, and the server received the same number of requests. Otherwise it
// returns an error that says what was lost. If there was no traffic, it also returns an error.
func (t *Traffic) Lossless() (string, error) {
	s := t.sums
	switch {
	case s.Failed > 0:
		return "", fmt.Errorf("%d of %d requests failed", s.Failed, s.Sent)
	case s.Received != s.Sent:
		return "", fmt.Errorf("the client sent %d requests, the server received %d", s.Sent, s.Received)
	case s.Sent == 0:
		return "", errors.New("there was no traffic")
	}
	return s.String(), nil
}

// Outage is a time without service, between two times with service. All times are from the engine's clock.
type Outage struct {
	ServedUntil time.Time // the last served request before the outage
	FailedFrom  time.Time // the first failed request
	ServedFrom  time.Time // the first served request after the outage
	Failures    int
}

func (o Outage) String() string {
	const clockTime = "15:04:05.0"
	return fmt.Sprintf("served until %s, %d failures from %s on, served again from %s on",
		o.ServedUntil.UTC().Format(clockTime), o.Failures, o.FailedFrom.UTC().Format(clockTime), o.ServedFrom.UTC().Format(clockTime))
}

// Outage finds the only outage. It returns an error unless all failures are consecutive, match the parameter reason, and came after the
// time in the parameter from. It also returns an error if the two sides logged different outcomes of a request, unless the request timed
// out.
func (t *Traffic) Outage(reason *regexp.Regexp, from time.Time) (Outage, error) {
	s := t.sums
	if s.Failed == 0 {
		return Outage{}, fmt.Errorf("not one of %d requests failed", s.Sent)
	}
	pieces, timeouts := 0, 0
	found := Outage{Failures: s.Failed}
	for i, o := range t.outcomes {
		if !o.served() && !reason.MatchString(o.text) {
			return Outage{}, fmt.Errorf("a request failed for another reason: %s %s", stamp(o.at), o.text)
		}
		if i == 0 || o.served() != t.outcomes[i-1].served() {
			pieces++
		}
		if o.timedOut() {
			timeouts++
		}
		switch {
		case o.served() && pieces == 1:
			found.ServedUntil = o.at
		case !o.served() && found.FailedFrom.IsZero():
			found.FailedFrom = o.at
		case o.served() && found.ServedFrom.IsZero():
			found.ServedFrom = o.at
		}
	}
	if pieces != 3 || !t.outcomes[0].served() {
		return Outage{}, errors.New("the failures did not come in one piece, with service before and after")
	}
	if s.Received < s.Served || s.Received > s.Served+timeouts {
		return Outage{}, fmt.Errorf("the client was served %d times, the server received %d requests", s.Served, s.Received)
	}
	if s.Refused < s.Failed-timeouts || s.Refused > s.Failed {
		return Outage{}, fmt.Errorf("%d requests failed, %d of them because no answer came in time, and the server refused %d", s.Failed, timeouts, s.Refused)
	}
	if found.FailedFrom.Before(from) {
		return Outage{}, fmt.Errorf("the first request failed at %s already, before %s", stamp(found.FailedFrom), from.Format(time.RFC3339Nano))
	}
	return found, nil
}

func stamp(at time.Time) string { return at.Format("2006-01-02T15:04:05.000000000Z07:00") }

// ParseTime reads a time in the form of the engine or of the lab's programs. Its error is a [cli.UsageError].
func ParseTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, cli.Usagef("%q is no time: want one such as 2026-11-24T21:09:32Z", text)
	}
	return at, nil
}
