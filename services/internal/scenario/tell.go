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

// step begins the next step. From then on, checks of a log use only new lines.
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

func (r *run) explain(_ context.Context, args []string) error {
	for _, line := range screen.Fold(args[0], r.out.Width) {
		r.out.Say("  %s", line)
	}
	return nil
}

func (r *run) say(_ context.Context, args []string) ([]string, error) {
	return []string{strings.Join(args, " ")}, nil
}

// command prints a command as it can be typed, runs it, and sets $output and $exit_status. The arguments may begin with variables such as
// NAME=value, and may be several commands with '|' between them. If a command does not exit in time, the script fails.
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

// typed returns a command as it can be typed in a shell. Each '|' is a separate word.
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

// composeProgress matches Compose's own messages, which a step does not need.
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

// execute runs a command line and keeps its output. Unless the command is known to change nothing, the lab counts as changed.
func (r *run) execute(ctx context.Context, words []string) error {
	if !readsOnly(words) {
		if err := r.changes(); err != nil {
			return err
		}
	}
	if slices.Contains(words, "pause") {
		// In Docker Engine 20.10, a container that is paused while a process starts in it stays paused forever. The console starts
		// processes in containers, so it must not read the lab now.
		unlock, err := WaitForLock(ctx, filepath.Join(r.Cache, "lock-asks-"+r.Project), 20*time.Second, "the console is reading the state of the lab")
		if err != nil {
			return err
		}
		defer unlock()
	}
	limited, cancel := context.WithTimeout(ctx, r.options.RunLimit)
	defer cancel()
	var out LockedBuffer
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

// pipeline runs the commands of a pipe at the same time. As with pipefail, it returns the status of the last command that failed.
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
				_, _ = io.Copy(io.Discard, pipe) // otherwise the previous stage would wait forever
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

// LockedBuffer is a buffer for several writers at the same time.
type LockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements [io.Writer].
func (b *LockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

// String returns the text that was written so far.
func (b *LockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
