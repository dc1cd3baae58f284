package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// parseTime reads a time as the engine and the lab's programs write it.
func parseTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, cli.Usagef("%q is no time: want one such as 2026-11-24T21:09:32Z", text)
	}
	return at, nil
}

// seconds writes how many seconds lie between two times; with -most it fails if there are more.
// What comes first by less than nothing (whoever asked for it was told later) counts as 0.
func seconds(args []string, _ io.Reader, out io.Writer, _ clock) error {
	flags := flag.NewFlagSet("seconds", flag.ContinueOnError)
	most := flags.Float64("most", -1, "so many `seconds` are too many")
	if err := parse(flags, args, "FROM", "TO"); err != nil {
		return err
	}
	from, err := parseTime(flags.Arg(0))
	if err != nil {
		return err
	}
	to, err := parseTime(flags.Arg(1))
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

// past waits until a time is over. It fails at once if that is further off than -within.
func past(args []string, _ io.Reader, out io.Writer, clock clock) error {
	flags := flag.NewFlagSet("past", flag.ContinueOnError)
	within := flags.Duration("within", 0, "the longest wait, a `duration`")
	if err := parse(flags, args, "TIME"); err != nil {
		return err
	}
	at, err := parseTime(flags.Arg(0))
	if err != nil {
		return err
	}
	began := clock.Now()
	if at.Sub(began) > *within {
		return fmt.Errorf("%s is still to come: it is %s by the engine's clock", flags.Arg(0), began.UTC().Format(time.RFC3339))
	}
	for now := began; !now.After(at); now = clock.Now() {
		if waited := now.Sub(began); waited >= 10*time.Second {
			fmt.Fprintf(out, "  ... %d s of at most %d\n", int(waited.Seconds()), int(within.Seconds()))
		}
		<-clock.After(min(at.Sub(now)+time.Millisecond, 10*time.Second))
	}
	return nil
}

// held waits until the SVIDs that running programs hold live so long, and no longer: it reads, again
// and again, lines "SERVICE TIME", when the SVID of that service expires.
func held(args []string, in io.Reader, out io.Writer, clock clock) error {
	flags := flag.NewFlagSet("held", flag.ContinueOnError)
	most := flags.Int("most", 0, "each has so many `seconds` left at most")
	least := flags.Int("least", 0, "each has so many `seconds` left at least")
	within := flags.Duration("within", 0, "the longest wait, a `duration`")
	what := flags.String("what", "", "what is waited for, in words")
	tty := flags.Bool("tty", false, "the screen is a terminal")
	if err := flags.Parse(args); err != nil {
		return cli.Usagef("held: %w", err)
	}
	services := flags.Args()
	if len(services) == 0 || (*most > 0) == (*least > 0) {
		return cli.Usagef("held: want -most or -least, and services")
	}
	lines := follow(in)
	expires := map[string]time.Time{}
	began := clock.Now()
	told := 0
	wait := screen{out, *tty}
	defer wait.clear()
	for tick := clock.After(time.Second); ; {
		select {
		case line, ok := <-lines:
			if !ok {
				return fmt.Errorf("nobody says any more what %s holds", strings.Join(services, ", "))
			}
			if service, text, _ := strings.Cut(line, " "); text != "" {
				at, err := parseTime(text)
				if err != nil {
					return err
				}
				expires[service] = at
			}
		case <-tick:
			tick = clock.After(time.Second)
		}
		now := clock.Now()
		if holds(expires, services, now, *most, *least) {
			return nil
		}
		waited := int(now.Sub(began).Seconds())
		if now.Sub(began) >= *within {
			return fmt.Errorf("not within %d s: %s", int(within.Seconds()), said(expires, services, now))
		}
		if waited >= told+wait.every() {
			told = waited
			wait.line(fmt.Sprintf("... %d s of at most %d: %s", waited, int(within.Seconds()), *what))
		}
	}
}

func holds(expires map[string]time.Time, services []string, now time.Time, most, least int) bool {
	for _, service := range services {
		at, ok := expires[service]
		left := at.Sub(now)
		if !ok || most > 0 && left > time.Duration(most)*time.Second || least > 0 && left < time.Duration(least)*time.Second {
			return false
		}
	}
	return true
}

func said(expires map[string]time.Time, services []string, now time.Time) string {
	var words []string
	for _, service := range services {
		if at, ok := expires[service]; ok {
			words = append(words, fmt.Sprintf("the SVID of %s has %d s left", service, int(at.Sub(now).Seconds())))
		} else {
			words = append(words, service+" has not logged which SVID it holds")
		}
	}
	return strings.Join(words, ", ")
}

// countdown follows the logs of services (docker compose logs --follow) until the SVID of one has
// expired, and tells how long that still takes, and how the traffic fares.
func countdown(args []string, in io.Reader, out io.Writer, clock clock) error {
	flags := flag.NewFlagSet("countdown", flag.ContinueOnError)
	traffic := flags.Bool("traffic", false, "tell how the traffic of steady fares")
	tty := flags.Bool("tty", false, "the screen is a terminal")
	if err := parse(flags, args, "SERVICE", "TIME"); err != nil {
		return err
	}
	service := flags.Arg(0)
	expires, err := parseTime(flags.Arg(1))
	if err != nil {
		return err
	}
	lines := follow(in)
	served, failed, before := 0, 0, -1
	seen := false // the line that tells of this SVID: those before it tell of others
	wait := screen{out, *tty}
	defer wait.clear()
	// What was logged before comes first, all at once.
	for settled, tick := false, clock.After(time.Second/2); ; {
		select {
		case line, ok := <-lines:
			if !ok {
				lines = nil // the clock goes on
				continue
			}
			who, text := composeLine(line)
			if at := expiry.FindStringSubmatch(text); at != nil && who == service {
				next, err := parseTime(at[1])
				seen = seen || err == nil && next.Equal(expires)
				if seen && err == nil && next.After(expires) {
					return fmt.Errorf("%s got a new SVID before the old one expired", service)
				}
			}
			if who == "steady" && text == "Success!!!" {
				served++
			} else if who == "steady" && strings.HasPrefix(text, "Error ") {
				failed++
			}
			if !settled {
				continue
			}
		case <-tick:
			settled, tick = true, clock.After(time.Second/10)
		}
		now := clock.Now()
		if now.After(expires) {
			return nil
		}
		left := int(expires.Sub(now) / time.Second)
		if left != before && (*tty || before < 0 || left%5 == 0) {
			line := fmt.Sprintf("... %d s until the SVID of %s expires", left, service)
			if *traffic {
				line += fmt.Sprintf("; the traffic so far: %d served, %d failed", served, failed)
			}
			wait.line(line)
		}
		before = left
	}
}

// expiry is how the lab's programs log until when an SVID lives.
var expiry = regexp.MustCompile(` expires (\S+Z)$`)

// composeLine splits "server-1  | text".
func composeLine(line string) (service, text string) {
	who, text, _ := strings.Cut(line, "| ")
	who = strings.TrimSpace(who)
	if i := strings.LastIndex(who, "-"); i > 0 {
		who = who[:i]
	}
	return who, text
}

// follow sends every line.
func follow(in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

// screen shows a wait: on a terminal one line that changes, else a line now and then.
type screen struct {
	out io.Writer
	tty bool
}

// every is how many seconds lie between two lines.
func (s screen) every() int {
	if s.tty {
		return 1
	}
	return 10
}

func (s screen) line(text string) {
	if s.tty {
		fmt.Fprintf(s.out, "\r\x1b[K  %s", text)
	} else {
		fmt.Fprintf(s.out, "  %s\n", text)
	}
}

func (s screen) clear() {
	if s.tty {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
}
