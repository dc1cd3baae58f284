package traffic

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// Main is the command line: the scenarios in bash feed it what the engine's logs say. It returns the exit status, as
// [cli.Answer] does.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	return cli.Answer(commands(ClockAt), args, in, out, errOut)
}

// commands by name; newClock returns a clock by which it is now this time.
func commands(newClock func(now time.Time) Clock) map[string]cli.Command {
	return map[string]cli.Command{
		"countdown": timed{newClock}.countdown,
		"held":      timed{newClock}.held,
		"past":      timed{newClock}.past,
		"requests":  requests,
		"rotations": rotations,
		"seconds":   seconds,
	}
}

// requests accounts for every request of the traffic. It reads the client's log and what the server has logged
// meanwhile, each line behind "client " or "server "; the client's have the engine's time (docker logs --timestamps).
// Without a question it writes the numbers in one line (sent, served, failed, received, refused) and then the account
// for people to read. With -lossless or -outage it judges, and writes what it found.
func requests(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("requests", flag.ContinueOnError)
	address := flags.String("address", "", "the client's `IP` address, by which the server's refusals are known")
	lossless := flags.Bool("lossless", false, "nothing failed, and the server saw all of it")
	outage := flags.String("outage", "", "the failures are consecutive, and all match this `regexp`")
	from := flags.String("from", "", "with -outage: nothing failed before this `time`")
	if err := cli.Parse(flags, args, out); err != nil {
		return err
	}
	if *address == "" {
		return cli.Usagef("requests: want -address")
	}
	lines, err := readLog(in)
	if err != nil {
		return err
	}
	t, err := Take(lines, *address)
	if err != nil {
		return err
	}
	switch {
	case *lossless:
		sums, err := t.Lossless()
		if err != nil {
			return err
		}
		fmt.Fprintln(out, sums)
	case *outage != "":
		reason, err := regexp.Compile(*outage)
		if err != nil {
			return cli.Usagef("requests: -outage: %w", err)
		}
		begin, err := ParseTime(*from)
		if err != nil {
			return err
		}
		found, err := t.Outage(reason, begin)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%v\n%v, all in one piece\n", found, t.Sums())
	default:
		s := t.Sums()
		fmt.Fprintln(out, s.Sent, s.Served, s.Failed, s.Received, s.Refused)
		t.Write(out)
	}
	return nil
}

// readLog reads lines "client TIME TEXT" and "server TEXT".
func readLog(in io.Reader) ([]Line, error) {
	texts, err := readLines(in)
	var lines []Line
	for _, text := range texts {
		side, rest, _ := strings.Cut(text, " ")
		line := Line{Side: Side(side), Text: rest}
		if line.Side == Client {
			var stamp string
			stamp, line.Text, _ = strings.Cut(rest, " ")
			if line.At, err = ParseTime(stamp); err != nil {
				return nil, err
			}
		}
		lines = append(lines, line)
	}
	return lines, err
}

// rotations reads the lines in which a program logs that its SVID was rotated, and writes their number.
func rotations(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("rotations", flag.ContinueOnError)
	id := flags.String("id", "", "the SPIFFE `ID`")
	if err := cli.Parse(flags, args, out); err != nil {
		return err
	}
	lines, err := readLines(in)
	if err != nil {
		return err
	}
	number, err := Rotations(lines, *id)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, number)
	return nil
}

// seconds writes how many seconds lie between two times; with -most it fails if there are more. A time that comes
// before FROM by less than nothing (whoever asked for it was told later) counts as 0.
func seconds(args []string, _ io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("seconds", flag.ContinueOnError)
	most := flags.Float64("most", -1, "so many `seconds` are too many")
	if err := cli.Parse(flags, args, out, "FROM", "TO"); err != nil {
		return err
	}
	from, err := ParseTime(flags.Arg(0))
	if err != nil {
		return err
	}
	to, err := ParseTime(flags.Arg(1))
	if err != nil {
		return err
	}
	took := max(to.Sub(from).Seconds(), 0)
	if *most >= 0 && took > *most {
		return fmt.Errorf("it took %.2f s, not %g s at most", took, *most)
	}
	fmt.Fprintf(out, "%.2f\n", took)
	return nil
}

// timed are the commands that wait. They are told what time it is by the engine's clock.
type timed struct{ newClock func(now time.Time) Clock }

// parse parses the flags of such a command, and returns the engine's clock.
func (t timed) parse(flags *flag.FlagSet, args []string, out io.Writer, names ...string) (Clock, error) {
	now := flags.String("now", "", "the `time` by the engine's clock (docker info), which may differ from this machine's")
	if err := cli.Parse(flags, args, out, names...); err != nil {
		return nil, err
	}
	at, err := ParseTime(*now)
	if err != nil {
		return nil, err
	}
	return t.newClock(at), nil
}

// past waits until a time is over.
func (t timed) past(args []string, _ io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("past", flag.ContinueOnError)
	within := flags.Duration("within", 0, "the longest wait, a `duration`")
	clock, err := t.parse(flags, args, out, "TIME")
	if err != nil {
		return err
	}
	at, err := ParseTime(flags.Arg(0))
	if err != nil {
		return err
	}
	return Past(context.Background(), Screen{Out: out}, clock, at, *within)
}

// held waits until the SVIDs that running programs hold live so long, and no longer: it reads, again
// and again, lines "SERVICE TIME", when the SVID of that service expires.
func (t timed) held(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("held", flag.ContinueOnError)
	most := flags.Int("most", 0, "each has so many `seconds` left at most")
	least := flags.Int("least", 0, "each has so many `seconds` left at least")
	within := flags.Duration("within", 0, "the longest wait, a `duration`")
	what := flags.String("what", "", "what is waited for, in words")
	tty := flags.Bool("tty", false, "the screen is a terminal")
	clock, err := t.parse(flags, args, out, "SERVICE...")
	if err != nil {
		return err
	}
	services := flags.Args()
	if (*most > 0) == (*least > 0) {
		return cli.Usagef("held: want -most or -least")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	latest := latest{expires: map[string]time.Time{}}
	go func() {
		for line := range follow(ctx, in) {
			latest.take(line)
		}
		latest.end(fmt.Errorf("nobody says any more what %s holds", strings.Join(services, ", ")))
	}()
	want := Left{Most: time.Duration(*most) * time.Second, Least: time.Duration(*least) * time.Second}
	return Wait{clock, Screen{out, *tty}, *within, *what}.Left(ctx, want, services, latest.get)
}

// latest is what lines "SERVICE TIME" have said last.
type latest struct {
	mu      sync.Mutex
	expires map[string]time.Time
	err     error
}

func (l *latest) take(line string) {
	service, text, _ := strings.Cut(line, " ")
	if text == "" {
		return
	}
	at, err := ParseTime(text)
	if err != nil {
		l.end(err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expires[service] = at
}

func (l *latest) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

func (l *latest) get(context.Context) (map[string]time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	expires := map[string]time.Time{}
	for service, at := range l.expires {
		expires[service] = at
	}
	return expires, l.err
}

// countdown follows the logs of services (docker compose logs --follow) until the SVID of one has
// expired, and tells how long that still takes, and how the traffic fares.
func (t timed) countdown(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("countdown", flag.ContinueOnError)
	traffic := flags.Bool("traffic", false, "tell how the traffic of steady fares")
	tty := flags.Bool("tty", false, "the screen is a terminal")
	clock, err := t.parse(flags, args, out, "SERVICE", "TIME")
	if err != nil {
		return err
	}
	expires, err := ParseTime(flags.Arg(1))
	if err != nil {
		return err
	}
	return Countdown(context.Background(), in, Screen{out, *tty}, clock, flags.Arg(0), expires, *traffic)
}

// readLines returns all lines.
func readLines(in io.Reader) ([]string, error) {
	var lines []string
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines, scanner.Err()
}
