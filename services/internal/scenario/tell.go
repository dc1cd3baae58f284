package scenario

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/syntax"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// step begins the next step: from here on only new log lines count.
func (r *run) step(ctx context.Context, args []string) error {
	r.steps++
	title := fmt.Sprintf("%d. %s", r.steps, args[0])
	r.out.Say("")
	r.out.Say("%s%s%s", r.out.Bold, title, r.out.Plain)
	r.onScreen("step", title)
	if r.options.Pause != nil {
		fmt.Fprintf(r.out, "%s   Press Enter to continue ...%s", r.out.Dim, r.out.Plain)
		if _, err := bufio.NewReader(r.options.Pause).ReadString('\n'); err != nil && err != io.EOF {
			return err
		}
	}
	return r.markLogs(ctx)
}

// explain says what the step has shown.
func (r *run) explain(_ context.Context, args []string) error {
	for _, line := range screen.Fold(args[0], r.out.Width) {
		r.out.Say("  %s", line)
	}
	return nil
}

// say prints a line.
func (r *run) say(_ context.Context, args []string) ([]string, error) {
	return []string{strings.Join(args, " ")}, nil
}

// command shows a command as it can be typed, runs it, and keeps $output and $exit_status. A variable may be set before it, and '|' may be
// between two commands. It fails if the command does not end in time.
func (r *run) command(ctx context.Context, args []string) error {
	began := time.Now()
	r.showCommand(args)
	if err := r.execute(ctx, args); err != nil {
		return err
	}
	r.showResult()
	if time.Since(began) >= r.options.RunLimit {
		return failf("this did not end within %d s: %s", int(r.options.RunLimit.Seconds()), typed(args))
	}
	return nil
}

// typed returns a command as it can be typed in a shell. A pipe is a word of its own.
func typed(words []string) string {
	var all []string
	for _, word := range words {
		if word != "|" && !plainWord.MatchString(word) {
			if text, err := syntax.Quote(word, syntax.LangPOSIX); err == nil {
				word = text
			}
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

func (r *run) showCommand(words []string) {
	r.out.Say("  %s$ %s%s", r.out.Cyan, typed(words), r.out.Plain)
	r.onScreen("command", typed(words))
}

// composeProgress matches Compose's own messages, which are not what a step is about.
var composeProgress = regexp.MustCompile(`^( (Container|Volume|Network) |Going to |$)`)

func (r *run) showResult() {
	r.onScreen("said", r.output)
	for line := range strings.SplitSeq(r.output, "\n") {
		if !composeProgress.MatchString(line) {
			r.out.Say("    %s", line)
		}
	}
	if r.exitStatus != 0 {
		r.out.Say("    %sexit status %d%s", r.out.Dim, r.exitStatus, r.out.Plain)
	}
}

// execute runs a command line and keeps what it prints. Unless the command is known to leave the lab as it is, the lab counts as changed.
func (r *run) execute(ctx context.Context, words []string) error {
	if !readsOnly(words) {
		if err := r.changes(); err != nil {
			return err
		}
	}
	if slices.Contains(words, "pause") {
		// Docker Engine 20.10 never lets go of a container that is paused while a process is being started in it, so the console must
		// not ask anything at this moment.
		unlock, err := WaitForLock(ctx, filepath.Join(r.Cache, "lock-asks-"+r.Project), 20*time.Second, "the console is asking the lab something")
		if err != nil {
			return err
		}
		defer unlock()
	}
	limited, cancel := context.WithTimeout(ctx, r.options.RunLimit)
	defer cancel()
	var out lockedBuffer
	status, err := r.pipeline(limited, words, &out)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.output = strings.TrimRight(strings.ReplaceAll(out.String(), "\r\n", "\n"), "\n")
	r.exitStatus = status
	return nil
}

// readsOnly reports whether a command is known to leave the lab as it is.
func readsOnly(words []string) bool {
	line := " " + strings.Join(words, " ") + " "
	if strings.Contains(line, " "+lab.SPIREServerCLI+" ") && (strings.Contains(line, " show ") || strings.Contains(line, " mint ")) {
		return true
	}
	if strings.Contains(line, " "+lab.SPIREServer+" ") || strings.Contains(line, " exec --detach ") {
		return false
	}
	for _, command := range []string{"exec", "logs", "ps"} {
		if strings.HasPrefix(line, " docker compose "+command+" ") {
			return true
		}
	}
	return false
}

// pipeline runs the commands between the pipes at the same time. Its status is that of the last command that failed, as with
// pipefail.
func (r *run) pipeline(ctx context.Context, words []string, out io.Writer) (int, error) {
	stages := split(words, "|")
	statuses := make([]int, len(stages))
	errs := make([]error, len(stages))
	var in io.Reader
	var wait sync.WaitGroup
	for i, stage := range stages {
		from, to := in, out
		var end *io.PipeWriter
		if i < len(stages)-1 {
			in, end = io.Pipe()
			to = end
		}
		wait.Go(func() {
			statuses[i], errs[i] = r.stage(ctx, stage, from, to, out)
			if end != nil {
				end.Close()
			}
			if pipe, ok := from.(*io.PipeReader); ok {
				_, _ = io.Copy(io.Discard, pipe) // else the stage before would wait for ever
			}
		})
	}
	wait.Wait()
	for i := len(stages) - 1; i >= 0; i-- {
		if statuses[i] != 0 || errs[i] != nil {
			return statuses[i], errs[i]
		}
	}
	return 0, nil
}

var assignment = regexp.MustCompile(`^[A-Z_]+=`)

// stage runs one command of a pipeline: docker, or a tool of this program.
func (r *run) stage(ctx context.Context, words []string, in io.Reader, out, errOut io.Writer) (int, error) {
	var extra []string
	for len(words) > 0 && assignment.MatchString(words[0]) {
		extra, words = append(extra, words[0]), words[1:]
	}
	if len(words) == 0 {
		return 0, failf("run: want a command")
	}
	if tool := tools[words[0]]; tool != nil {
		if in == nil {
			in = strings.NewReader("")
		}
		return exitStatusOf(tool(in, out, words[1:]))
	}
	if words[0] != "docker" {
		return 0, failf("run: %s is neither docker nor a tool of the scenarios", words[0])
	}
	return r.lab.Run(ctx, extra, words, in, out, errOut)
}

// split divides words at a separator.
func split(words []string, separator string) [][]string {
	var parts [][]string
	for {
		i := slices.Index(words, separator)
		if i < 0 {
			return append(parts, words)
		}
		parts, words = append(parts, words[:i]), words[i+1:]
	}
}

// lockedBuffer is a buffer for several writers.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
