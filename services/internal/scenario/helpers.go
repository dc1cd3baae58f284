package scenario

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// helper is a helper function of the scripts: its usage, and its Go function. The arguments are checked against the usage before the
// function is called.
type helper struct {
	usage string
	do    func(r *run, ctx context.Context, hc interp.HandlerContext, args []string) error
}

// helpers has every helper function by its name. scripts/scenarios/WRITING.md explains them for authors.
var helpers = map[string]*helper{}

func init() {
	for _, h := range []*helper{
		// Printing and running commands (tell.go).
		tells("step SENTENCE", (*run).step),
		tells("explain TEXT", (*run).explain),
		prints("say TEXT ...", (*run).say),
		tells("run COMMAND ...", (*run).command),
		tells("mark_logs", func(r *run, ctx context.Context, _ []string) error { return r.markLogs(ctx) }),

		// Checks of a command (expect.go).
		tells("expect_success WHY", (*run).expectSuccess),
		tells("expect_exit STATUS WHY", (*run).expectExit),
		tells("expect_output TEXT WHY", (*run).expectOutput),
		tells("expect_no_output TEXT WHY", (*run).expectNoOutput),
		tells("expect_soon SECONDS TEXT WHY COMMAND ...", (*run).expectSoon),
		tells("passed WHY", (*run).passed),
		tells("fail WHY", (*run).fail),
		{"expect WHY CONDITION ...", (*run).expect},
		{"eventually SECONDS WHY CONDITION ...", (*run).eventually},

		// Checks of a log (logs.go).
		tells("expect_log SERVICE REGEX WHY", (*run).expectLog),
		tells("expect_log_within SECONDS TIME SERVICE REGEX WHY", (*run).expectLogWithin),
		tells("expect_no_log SERVICE REGEX WHY", (*run).expectNoLog),
		prints("log_of SERVICE", (*run).logOf),
		prints("new_lines SERVICE", (*run).newLines),
		asks("logged SERVICE REGEX", (*run).logged),

		// Lifetimes of SVIDs (times.go).
		prints("engine_time", (*run).engineTime),
		prints("held_until SERVICE", (*run).heldUntil),
		prints("quick QUICK FULL", (*run).quick),
		tells("expect_past SECONDS TIME WHY", (*run).expectPast),
		tells("expect_left BOUND SECONDS LIMIT WHY SERVICE ...", (*run).expectLeft),
		tells("countdown SERVICE", (*run).countdown),
		tells("expect_rotations SERVICE ID", (*run).expectRotations),

		// Continuous requests (requests.go).
		tells("traffic_begins", (*run).trafficBegins),
		tells("traffic_ends", (*run).trafficEnds),
		tells("expect_lossless WHY", (*run).expectLossless),
		tells("expect_outage REGEX WHY TIME", (*run).expectOutage),
		tells("see_processes SERVICE ...", (*run).seeProcesses),
		tells("expect_same_processes WHY", (*run).expectSameProcesses),

		// Steps that several scenarios share (steps.go).
		tells("extras SERVICE ...", (*run).extras),
		tells("present SERVICE", (*run).present),
		tells("short_lived SECONDS ...", (*run).shortLived),
		tells("usual_lives ...", (*run).usualLives),
		tells("forge SERVICE NAME ID", (*run).forge),
		tells("join SERVICE SERVICE ID", (*run).join),
		tells("expect_refused ALERT REGEX WHY ...", (*run).expectRefused),

		// Questions, for use as conditions (ask.go).
		asks("client_served", func(r *run, ctx context.Context, _ []string) error { return r.lab.ClientServed(ctx) }),
		asks("served", (*run).served),
		asks("spire_server_answers", func(r *run, ctx context.Context, _ []string) error {
			return r.serverCLI(ctx, io.Discard, "healthcheck")
		}),
		{"inside SERVICE USER COMMAND ...", (*run).inside},
		{"server_cli COMMAND ...", (*run).runServerCLI},
		asks("volume_exists NAME", func(r *run, ctx context.Context, args []string) error {
			return r.quietly(ctx, "docker", "volume", "inspect", args[0])
		}),
		prints("uid_of USER", (*run).uidOf),
		{"__held", (*run).conditionHeld},
	} {
		name, _, _ := strings.Cut(h.usage, " ")
		helpers[name] = h
	}
}

// tells returns a helper function that needs only its arguments.
func tells(usage string, do func(r *run, ctx context.Context, args []string) error) *helper {
	return &helper{usage, func(r *run, ctx context.Context, _ interp.HandlerContext, args []string) error {
		return do(r, ctx, args)
	}}
}

// prints returns a helper function that prints lines, for use in $(...).
func prints(usage string, do func(r *run, ctx context.Context, args []string) ([]string, error)) *helper {
	return &helper{usage, func(r *run, ctx context.Context, hc interp.HandlerContext, args []string) error {
		lines, err := do(r, ctx, args)
		for _, line := range lines {
			fmt.Fprintln(hc.Stdout, line)
		}
		return answer(hc, err)
	}}
}

// asks returns a helper function that is a question. Its exit status is 0 for yes and 1 for no.
func asks(usage string, do func(r *run, ctx context.Context, args []string) error) *helper {
	return &helper{usage, func(r *run, ctx context.Context, hc interp.HandlerContext, args []string) error {
		return answer(hc, do(r, ctx, args))
	}}
}

func answer(hc interp.HandlerContext, err error) error {
	if err == nil {
		return nil
	}
	fmt.Fprintln(hc.Stderr, err)
	return interp.ExitStatus(1)
}

// checkArguments compares arguments with a usage such as "expect_log SERVICE REGEX WHY". If the usage ends with "...", any number of
// further arguments is allowed.
func checkArguments(usage string, args []string) error {
	words := strings.Fields(usage)[1:]
	many := len(words) > 0 && words[len(words)-1] == "..."
	if many {
		words = words[:len(words)-1]
	}
	if len(args) < len(words) || len(args) > len(words) && !many {
		return failf("want: %s", usage)
	}
	for i, word := range words {
		if check := argumentChecks[word]; check != nil {
			if err := check(args[i]); err != nil {
				return failf("want: %s, and %s is %q: %v", usage, word, args[i], err)
			}
		}
	}
	return nil
}

// argumentChecks has the check for each word of a usage.
var argumentChecks = map[string]func(string) error{
	"SECONDS": wholeNumber,
	"LIMIT":   wholeNumber,
	"STATUS":  wholeNumber,
	"REGEX":   func(text string) error { _, err := regexp.Compile(text); return err },
	"TIME":    func(text string) error { _, err := time.Parse(time.RFC3339Nano, text); return err },
	"BOUND":   oneOf("most", "least"),
	"SERVICE": oneOf(slices.Concat(lab.Services, lab.Extras)...),
}

func wholeNumber(text string) error {
	if _, err := strconv.ParseUint(text, 10, 31); err != nil {
		return fmt.Errorf("want a whole number")
	}
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if !slices.Contains(words, text) {
			return fmt.Errorf("want one of %s", strings.Join(words, ", "))
		}
		return nil
	}
}

// number returns an argument as a whole number. checkArguments has checked it.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// moment returns an argument as a time. checkArguments has checked it.
func moment(text string) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, text)
	return at
}

// quoted returns a command for the interpreter, with each word quoted.
func quoted(words []string) (string, error) {
	var all []string
	for _, word := range words {
		text, err := syntax.Quote(word, syntax.LangBash)
		if err != nil {
			return "", err
		}
		all = append(all, text)
	}
	return strings.Join(all, " "), nil
}
