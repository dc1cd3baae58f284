// Package traffic counts, compares times and judges for the scenarios: what became of every request, whether each SVID
// follows from the one before, and how long SVIDs live. It reads what containers have logged, and asks nobody.
//
// There is one clock, the engine's, by which the logs tell the time: this machine's may be wrong.
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
	Client Side = "client" // which sends a request every few milliseconds; its service is "steady"
	Server Side = "server"
)

// Line is one line of a program's log, without its end.
type Line struct {
	Side Side
	At   time.Time // by the engine's clock; a line of the server needs none
	Text string
}

// Sums are the numbers of the traffic.
type Sums struct {
	Sent, Served, Failed int // as the client counts
	Received, Refused    int // as the server does
}

func (s Sums) String() string {
	return fmt.Sprintf("%d sent, %d served, %d failed", s.Sent, s.Served, s.Failed)
}

// Traffic is what became of every request.
type Traffic struct {
	sums     Sums
	outcomes []outcome
	refusals []string // of the server, each with its reason
}

// outcome is what the client wrote of one request.
type outcome struct {
	at   time.Time
	text string
}

func (o outcome) served() bool { return o.text == success }

// timedOut tells that nobody knows how far the request came.
func (o outcome) timedOut() bool { return strings.Contains(o.text, "Client.Timeout") }

const success = "Success!!!"

var (
	total = regexp.MustCompile(`^(\d+) requests sent: (\d+) served, (\d+) failed$`)
	// A line that has a time of the program's own is no request's outcome.
	logLine = regexp.MustCompile(`^\d+/\d+/\d+ \d+:\d+:\d+ `)
	request = regexp.MustCompile(`Request received from .* GET "/steady"`)
)

// Take counts. The lines are all that the client has logged, and what the server has logged since the client began; a
// refusal is the client's if it is of this IP address. It is an error if the client's own sums are not what its lines show.
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

// Sums returns the numbers.
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

// writeReasons writes each reason once, with its number, the most frequent first. Reasons that differ
// in addresses and times only are one.
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

// Lossless returns the sums in words if every request was served, and the server received as many. Else the error says
// what was lost. No traffic is an error too.
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

// Outage is a time without service, between two with it. All times are the engine's.
type Outage struct {
	ServedUntil time.Time // the last request that was served before
	FailedFrom  time.Time // the first that failed
	ServedFrom  time.Time // the first that was served again
	Failures    int
}

func (o Outage) String() string {
	const clockTime = "15:04:05.0"
	return fmt.Sprintf("served until %s, %d failures from %s on, served again from %s on",
		o.ServedUntil.UTC().Format(clockTime), o.Failures, o.FailedFrom.UTC().Format(clockTime), o.ServedFrom.UTC().Format(clockTime))
}

// Outage finds the one outage: all failures are consecutive, match reason, and none came before from. It is an error if
// that is not so, or if the two sides do not agree on every request, those that timed out excepted.
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

// stamp is a time as `docker logs --timestamps` writes it.
func stamp(at time.Time) string { return at.Format("2006-01-02T15:04:05.000000000Z07:00") }

// ParseTime reads a time as the engine and the lab's programs write it. The error is a [cli.UsageError].
func ParseTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, cli.Usagef("%q is no time: want one such as 2026-11-24T21:09:32Z", text)
	}
	return at, nil
}
