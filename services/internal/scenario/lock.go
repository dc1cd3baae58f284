package scenario

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
)

// Lock makes a file that only one process can make, with the number of that process in it; this works on every file system. A file
// whose process has died is taken over. The returned function removes the file, unless another process has made it since. what says
// what is in the way if the lock is held.
func Lock(path, what string) (unlock func(), err error) {
	me := strconv.Itoa(os.Getpid())
	for range 3 {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = fmt.Fprintln(file, me)
			if err := errors.Join(err, file.Close()); err != nil {
				_ = os.Remove(path)
				return nil, unwritable(path, err)
			}
			return func() {
				if holder(path) == me {
					_ = os.Remove(path)
				}
			}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, unwritable(path, err)
		}
		pid := holder(path)
		if number, err := strconv.Atoi(pid); err == nil && !alive(number) {
			if holder(path) == pid {
				if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return nil, unwritable(path, err)
				}
			}
			continue
		}
		if pid == "" {
			pid = "unknown"
		}
		return nil, &engine.Problem{What: what + " (process " + pid + ")", Remedy: "wait until it has ended; if it never does: rm " + path}
	}
	return nil, &engine.Problem{What: what, Remedy: "try again"}
}

// unwritable explains an error of writing a file in .cache.
func unwritable(path string, err error) error {
	return engine.Unwritable(filepath.Dir(filepath.Dir(path)), path, err)
}

// holder returns the process that holds a lock.
func holder(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Held reports whether a living process holds a lock.
func Held(path string) bool {
	number, err := strconv.Atoi(holder(path))
	return err == nil && alive(number)
}

// WaitForLock tries to lock again and again until the limit.
func WaitForLock(ctx context.Context, path string, limit time.Duration, what string) (unlock func(), err error) {
	for began := time.Now(); ; {
		if unlock, err = Lock(path, what); err == nil || time.Since(began) > limit {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// CutOff is what is known of a scenario of this lab that was cut off, so that what it changed is not yet restored; empty if there is none.
func CutOff(e *engine.Engine) string {
	what, err := os.ReadFile(e.Cache("unfinished-" + e.Project))
	if err != nil {
		return ""
	}
	if number, err := strconv.Atoi(holder(e.Cache("lock-scenario-" + e.Project))); err == nil && alive(number) {
		return ""
	}
	return strings.TrimSpace(string(what))
}
