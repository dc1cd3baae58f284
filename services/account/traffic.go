package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// traffic accounts for every request of the client "steady". It reads that client's log and what the
// server has logged meanwhile, each line behind "client " or "server "; the client's have the
// engine's time (docker logs --timestamps). Without a question it writes the numbers in one line
// (sent, served, failed, received, refused) and then the account for people to read. With -lossless
// or -outage it judges, and writes what it found.
func traffic(args []string, in io.Reader, out io.Writer, _ clock) error {
	flags := flag.NewFlagSet("traffic", flag.ContinueOnError)
	address := flags.String("address", "", "the client's address, by which the server's refusals are known")
	lossless := flags.Bool("lossless", false, "nothing failed, and the server saw all of it")
	outage := flags.String("outage", "", "the failures are consecutive, and all match this `regexp`")
	from := flags.String("from", "", "with -outage: nothing failed before this `time`")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *address == "" {
		return cli.Usagef("traffic: want -address")
	}
	lines, err := readLines(in)
	if err != nil {
		return err
	}
	a, err := takeAccount(lines, *address)
	if err != nil {
		return err
	}
	switch {
	case *lossless:
		return a.judgeLossless(out)
	case *outage != "":
		words, err := regexp.Compile(*outage)
		if err != nil {
			return cli.Usagef("traffic: -outage: %w", err)
		}
		begin, err := parseTime(*from)
		if err != nil {
			return err
		}
		return a.judgeOutage(out, words, begin)
	}
	a.write(out)
	return nil
}

// account is what became of the requests.
type account struct {
	outcomes             []outcome
	sent, served, failed int
	received             int      // by the server
	refusals             []string // by the server, each with its reason
}

// outcome is what the client wrote of one request.
type outcome struct {
	at    time.Time
	stamp string
	text  string
}

func (o outcome) served() bool { return o.text == "Success!!!" }

// timedOut: of such a request nobody knows how far it came.
func (o outcome) timedOut() bool { return strings.Contains(o.text, "Client.Timeout") }

var (
	total = regexp.MustCompile(`^(\d+) requests sent: (\d+) served, (\d+) failed$`)
	// A line that has a time of the program's own is no request's outcome.
	logLine = regexp.MustCompile(`^\d+/\d+/\d+ \d+:\d+:\d+ `)
	request = regexp.MustCompile(`Request received from .* GET "/steady"`)
)

// takeAccount counts, and fails if the client's own sums are not what its lines show.
func takeAccount(lines []string, address string) (*account, error) {
	a := &account{}
	refusal := "http: TLS handshake error from " + address + ":"
	var last string
	var sums []string
	for _, line := range lines {
		side, text, _ := strings.Cut(line, " ")
		switch side {
		case "client":
			stamp, said, _ := strings.Cut(text, " ")
			if said == "" || logLine.MatchString(said) {
				continue
			}
			last = said
			if found := total.FindStringSubmatch(said); found != nil {
				sums = found[1:]
				continue
			}
			at, err := parseTime(stamp)
			if err != nil {
				return nil, err
			}
			a.outcomes = append(a.outcomes, outcome{at, stamp, said})
		case "server":
			if request.MatchString(text) {
				a.received++
			} else if i := strings.Index(text, refusal); i >= 0 {
				a.refusals = append(a.refusals, text[i:])
			}
		default:
			return nil, fmt.Errorf("a line is neither the client's nor the server's: %s", line)
		}
	}
	if sums == nil {
		return nil, fmt.Errorf("the traffic ended without an account: %s", last)
	}
	a.sent, _ = strconv.Atoi(sums[0])
	a.served, _ = strconv.Atoi(sums[1])
	a.failed, _ = strconv.Atoi(sums[2])
	served := 0
	for _, o := range a.outcomes {
		if o.served() {
			served++
		}
	}
	if len(a.outcomes) != a.sent || served != a.served || a.served+a.failed != a.sent {
		return nil, fmt.Errorf("the traffic's account (%s) is not what its log shows: %d outcomes, %d of them served", strings.Join(sums, " "), len(a.outcomes), served)
	}
	return a, nil
}

func (a *account) write(out io.Writer) {
	fmt.Fprintln(out, a.sent, a.served, a.failed, a.received, len(a.refusals))
	fmt.Fprintf(out, "    %d requests: %d served, %d failed; the server received %d, and refused %d\n", a.sent, a.served, a.failed, a.received, len(a.refusals))
	var reasons []string
	for _, o := range a.outcomes {
		if !o.served() {
			reasons = append(reasons, o.text)
		}
	}
	writeReasons(out, "client", reasons)
	writeReasons(out, "server", a.refusals)
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

func (a *account) judgeLossless(out io.Writer) error {
	if a.failed > 0 {
		return fmt.Errorf("%d of %d requests failed", a.failed, a.sent)
	}
	if a.received != a.sent {
		return fmt.Errorf("the client sent %d requests, the server received %d", a.sent, a.received)
	}
	if a.sent == 0 {
		return errors.New("there was no traffic")
	}
	fmt.Fprintf(out, "%d sent, %d served, 0 failed\n", a.sent, a.served)
	return nil
}

// judgeOutage wants service, then failures with these words and none before begin, then service. Both
// sides must agree on every request, but for those that timed out.
func (a *account) judgeOutage(out io.Writer, words *regexp.Regexp, begin time.Time) error {
	if a.failed == 0 {
		return fmt.Errorf("not one of %d requests failed", a.sent)
	}
	pieces, timeouts := 0, 0
	var first, until, again outcome
	for i, o := range a.outcomes {
		if !o.served() && !words.MatchString(o.text) {
			return fmt.Errorf("a request failed for another reason: %s %s", o.stamp, o.text)
		}
		if i == 0 || o.served() != a.outcomes[i-1].served() {
			pieces++
		}
		if o.timedOut() {
			timeouts++
		}
		switch {
		case o.served() && pieces == 1:
			until = o
		case !o.served() && first.stamp == "":
			first = o
		case o.served() && again.stamp == "":
			again = o
		}
	}
	if pieces != 3 || !a.outcomes[0].served() {
		return errors.New("the failures did not come in one piece, with service before and after")
	}
	refused := len(a.refusals)
	if a.received < a.served || a.received > a.served+timeouts {
		return fmt.Errorf("the client was served %d times, the server received %d requests", a.served, a.received)
	}
	if refused < a.failed-timeouts || refused > a.failed {
		return fmt.Errorf("%d requests failed, %d of them for want of an answer, and the server refused %d", a.failed, timeouts, refused)
	}
	if first.at.Before(begin) {
		return fmt.Errorf("the first request failed at %s already, before %s", first.stamp, begin.Format(time.RFC3339Nano))
	}
	fmt.Fprintf(out, "served until %s, %d failures from %s on, served again from %s on\n", until.clockTime(), a.failed, first.clockTime(), again.clockTime())
	fmt.Fprintf(out, "%d sent, %d served, %d failed, all in one piece\n", a.sent, a.served, a.failed)
	return nil
}

// clockTime is the time of day, to a tenth of a second.
func (o outcome) clockTime() string { return o.at.UTC().Format("15:04:05.0") }
