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

// Lock creates a file with the PID of this process. Only one process can create the file, on every file system. If the process whose PID is
// in the file no longer runs, the caller gets the lock. The function unlock removes the file if the file still has the PID of this process.
// If a different process holds the lock, the error message begins with the text of the parameter what.
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
		return nil, &engine.Problem{What: what + " (process " + pid + ")", Remedy: "wait until it has exited. If it never does: rm " + path}
	}
	return nil, &engine.Problem{What: what, Remedy: "try again"}
}

func unwritable(path string, err error) error {
	return engine.Unwritable(filepath.Dir(filepath.Dir(path)), path, err)
}

// holder returns the PID of the process that holds a lock.
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

// WaitForLock retries [Lock] until the limit.
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

// CutOff returns the name of the scenario that was interrupted before it restored this lab, or an empty text if there is none.
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
