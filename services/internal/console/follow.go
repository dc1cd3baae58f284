package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// before is how many lines of each container's log the page shows when it starts. With a request every 5 s, these lines cover more than
// half an hour. A program logs its next SVID after half an hour.
const before = "600"

// longestLine is the maximum length of a log line, in bytes.
const longestLine = 1 << 20

// logs prepares `docker compose logs`. Compose also follows containers that start later, because it runs outside the lab's folder, with the
// project's name only.
func logs(ctx context.Context, e *engine.Engine, args ...string) *exec.Cmd {
	cmd := e.Command(ctx, nil, e.ComposeProgram(), append([]string{"--project-name", e.Project, "logs", "--timestamps", "--no-color"}, args...)...)
	cmd.Dir = filepath.VolumeName(e.Dir) + string(filepath.Separator)
	return cmd
}

// followLogs gives the hub the last lines of each log, sorted by time. Then it calls first(). After that it gives the hub each new line
// until ctx ends.
func followLogs(ctx context.Context, e *engine.Engine, hub *Hub, clock func() time.Time, first func()) {
	since := clock()
	var seen seen
	out, err := logs(ctx, e, "--tail", before, "--until", since.Format(time.RFC3339Nano)).Output()
	hub.Trouble("the logs", reason(ctx, err))
	for _, line := range inOrder(string(out)) {
		if seen.first(line) {
			hub.Log(line, clock())
		}
	}
	first()
	for ctx.Err() == nil {
		began := clock()
		next := began
		whole, restart := context.WithCancel(ctx)
		go func() {
			wait(whole, settled)
			if startedSince(whole, e, began) {
				restart()
			}
		}()
		err := follow(logs(whole, e, "--follow", "--since", since.Format(time.RFC3339Nano)), func(line string) {
			hub.Trouble("the logs", "")
			if seen.first(line) {
				hub.Log(line, clock())
			}
			next = clock()
		})
		hub.Trouble("the logs", reason(whole, err))
		if whole.Err() != nil {
			since = began.Add(-again)
			continue
		}
		restart()
		since = next.Add(-again)
		wait(ctx, time.Second) // the lab is down
	}
}

// The constant again is how far back the logs are read after a restart of Compose, because a container's line may come late.
const again = 5 * time.Second

// settled is how long Compose runs before the console looks for a container that Compose has missed. Compose first lists the containers, and
// then reads the engine's events. It does not show the log of a container that starts between these two steps.
const settled = 5 * time.Second

// startedSince reports whether a container of the lab has started since a time by the engine's clock, or cannot be asked.
func startedSince(ctx context.Context, e *engine.Engine, began time.Time) bool {
	containers, err := e.Containers(ctx)
	if err != nil || len(containers) == 0 {
		return err != nil
	}
	ask := []string{"inspect", "--format", "{{json .State.StartedAt}}"}
	for _, container := range containers {
		ask = append(ask, container.ID)
	}
	said, err := e.Ask(ctx, ask...)
	for line := range strings.Lines(said) {
		var started time.Time
		if json.Unmarshal([]byte(line), &started) == nil && started.After(began) {
			return true
		}
	}
	return err != nil
}

// seen has the latest lines of containers. Two lines of a container with the same text and time count as one. What Compose writes around the
// container's name may differ: more spaces when Compose knows a longer name, and an escape sequence after a message.
type seen struct {
	lines map[string]bool
	order []string
}

// mostSeen is the number of lines that are remembered. Within the time [again] the logs have fewer lines than mostSeen.
const mostSeen = 5000

// first reports whether it gets a line for the first time.
func (s *seen) first(line string) bool {
	parts := composed.FindStringSubmatch(line)
	if parts == nil {
		return true // Compose does not repeat its own messages
	}
	line = strings.Join(parts[1:], " ")
	if s.lines == nil {
		s.lines = map[string]bool{}
	}
	if s.lines[line] {
		return false
	}
	if len(s.order) == mostSeen {
		for _, old := range s.order[:mostSeen/2] {
			delete(s.lines, old)
		}
		s.order = slices.Clone(s.order[mostSeen/2:])
	}
	s.lines[line] = true
	s.order = append(s.order, line)
	return true
}

// inOrder returns the lines of several logs, sorted by time.
func inOrder(text string) []string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	at := func(line string) time.Time { parsed, _ := ParseLine(line); return parsed.At }
	slices.SortStableFunc(lines, func(a, b string) int { return at(a).Compare(at(b)) })
	return lines
}

func follow(cmd *exec.Cmd, do func(line string)) error {
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	scan := bufio.NewScanner(out)
	scan.Buffer(nil, longestLine)
	for scan.Scan() {
		do(strings.TrimSuffix(scan.Text(), "\r"))
	}
	if scan.Err() != nil {
		_ = cmd.Cancel()
		_, _ = io.Copy(io.Discard, out)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		exit.Stderr = errOut.Bytes()
	}
	return errors.Join(scan.Err(), err)
}

// reason says why a command failed. It is empty if the command succeeded, or was stopped because ctx ended.
func reason(ctx context.Context, err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil || ctx.Err() != nil:
		return ""
	case errors.As(err, &exit) && len(exit.Stderr) > 0:
		return fmt.Sprintf("docker compose logs failed: %s", engine.LastLine(string(exit.Stderr)))
	}
	return fmt.Sprintf("docker compose logs failed: %v", err)
}

func wait(ctx context.Context, how time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(how):
	}
}

// screenFile follows the file in which a scenario writes what it does. The next scenario overwrites the file.
type screenFile struct {
	file string
	read string // the whole lines that have been read
}

// next returns the new lines, and the time at which the file was written.
func (s *screenFile) next() (lines []string, at time.Time, err error) {
	info, err := os.Stat(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		s.read = ""
		return nil, at, nil
	}
	if err != nil {
		return nil, at, err
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		return nil, at, err
	}
	whole := string(text[:bytes.LastIndexByte(text, '\n')+1])
	fresh, grown := strings.CutPrefix(whole, s.read)
	if !grown {
		fresh = whole
	}
	s.read = whole
	return strings.FieldsFunc(fresh, func(r rune) bool { return r == '\n' }), info.ModTime(), nil
}

// followScreen gives the hub the lines that a scenario writes, until ctx ends.
func followScreen(ctx context.Context, e *engine.Engine, hub *Hub) {
	screen := screenFile{file: e.Cache("screen-" + e.Project)}
	running := e.Cache("lock-scenario-" + e.Project)
	for ; ctx.Err() == nil; wait(ctx, 200*time.Millisecond) {
		// A scenario writes its first line after it has taken the lock, and its last line before it releases the lock.
		held := scenario.Held(running)
		lines, at, err := screen.next()
		if err != nil {
			hub.Trouble("what the scenario does", err.Error())
			continue
		}
		hub.Trouble("what the scenario does", "")
		for _, line := range lines {
			hub.Screen(line, at)
		}
		if !held && !scenario.Held(running) {
			hub.ScenarioEnds(at)
		}
	}
}
