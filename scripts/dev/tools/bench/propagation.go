package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Propagation is the time from a change of the registration entries to its effect in a workload.
type Propagation struct {
	Created Spread `json:"created"` // from the creation of an entry to the SVID in the workload
	Deleted Spread `json:"deleted"` // from the deletion of an entry to the refusal by the Workload API
}

const (
	gotSVID = "svid"
	refused = "refused"
)

func propagation(ctx context.Context, o options) (err error) {
	if err := down(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, down(ctx)) }()
	if _, err := up(ctx); err != nil {
		return err
	}
	ids, err := containers(ctx)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// guest-workload is a user of the host without a registration entry.
	workload, err := follow(ctx, composeLine(withLoad("run", "--rm", "--no-deps", "-T", "--user", "guest-workload", "load", "watch")...))
	if err != nil {
		return err
	}
	if _, err := workload.await(refused); err != nil {
		return err
	}
	var created, deleted []float64
	runs := pick(o, 10, 2)
	for run := range runs {
		// The agent asks for its entries at fixed intervals. The random pause distributes the changes over such an
		// interval.
		if err := wait(ctx, time.Duration(rand.Int64N(int64(time.Second)))); err != nil {
			return err
		}
		for _, change := range []struct {
			args  []string
			done  string // what the command prints when the change is done
			event string
			to    *[]float64
		}{
			{[]string{"create", "-entryID", "bench", "-parentID", "spiffe://example.org/host", "-spiffeID", "spiffe://example.org/bench", "-selector", "unix:user:guest-workload"},
				"Entry ID", gotSVID, &created},
			{[]string{"delete", "-entryID", "bench"}, "Deleted entry", refused, &deleted},
		} {
			command, err := follow(ctx, append([]string{"docker", "exec", ids["spire-server"], "/opt/spire/bin/spire-server", "entry"}, change.args...))
			if err != nil {
				return err
			}
			done, err := command.await(change.done)
			if err != nil {
				return err
			}
			seen, err := workload.await(change.event)
			if err != nil {
				return err
			}
			*change.to = append(*change.to, max(0, seen.Sub(done).Seconds()))
		}
		fmt.Printf("  %d of %d: entry created to SVID %.2f s, entry deleted to refusal %.2f s\n", run+1, runs, created[run], deleted[run])
	}
	return save("propagation", Propagation{spread(created), spread(deleted)})
}

func composeLine(args ...string) []string {
	name, args := composeCommand(args...)
	return append([]string{name}, args...)
}

// lines are the lines of a command's output, each with the time of its arrival.
type lines struct {
	name string
	next chan line
}

type line struct {
	at   time.Time
	text string
}

// follow starts a command that is stopped when ctx ends.
func follow(ctx context.Context, args []string) (*lines, error) {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	reader, writer := io.Pipe()
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() { writer.CloseWithError(command.Wait()) }()
	l := &lines{strings.Join(args, " "), make(chan line, 100)}
	go func() {
		defer close(l.next)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			l.next <- line{time.Now(), scanner.Text()}
		}
	}()
	return l, nil
}

func (l *lines) await(text string) (time.Time, error) {
	last := ""
	for limit := time.After(30 * time.Second); ; {
		select {
		case <-limit:
			return time.Time{}, fmt.Errorf("timed out after 30 s waiting for %q from: %s\nits last line: %s", text, l.name, last)
		case next, more := <-l.next:
			if !more {
				return time.Time{}, fmt.Errorf("%q is not in the output of: %s\nits last line: %s", text, l.name, last)
			}
			if last = next.text; strings.Contains(last, text) {
				return next.at, nil
			}
		}
	}
}

// watch runs in a container of the lab, and prints each change. Like the lab's own programs, it stays connected to the
// Workload API, and connects again after an error.
func watch(ctx context.Context, _ options) error {
	client, err := workloadapi.New(ctx, workloadapi.WithBackoffStrategy(steady{}))
	if err != nil {
		return err
	}
	defer client.Close()
	err = client.WatchX509Context(ctx, &watcher{})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// watcher prints an answer of the Workload API if it differs from the previous answer.
type watcher struct{ last string }

// OnX509ContextUpdate implements [workloadapi.X509ContextWatcher].
func (w *watcher) OnX509ContextUpdate(*workloadapi.X509Context) { w.say(gotSVID) }

// OnX509ContextWatchError implements [workloadapi.X509ContextWatcher].
func (w *watcher) OnX509ContextWatchError(err error) {
	if status.Code(err) == codes.PermissionDenied {
		w.say(refused)
		return
	}
	w.say(err.Error())
}

func (w *watcher) say(text string) {
	if text != w.last {
		fmt.Println(text)
		w.last = text
	}
}

// steady waits 250 ms between two tries. This is the longest wait of the lab's programs.
type steady struct{}

// NewBackoff implements [workloadapi.BackoffStrategy].
func (steady) NewBackoff() workloadapi.Backoff { return steady{} }

// Next implements [workloadapi.Backoff].
func (steady) Next() time.Duration { return 250 * time.Millisecond }

// Reset implements [workloadapi.Backoff].
func (steady) Reset() {}
