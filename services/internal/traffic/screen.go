package traffic

import (
	"fmt"
	"io"
	"time"
)

// Clock is the source of the time, which tests can replace.
type Clock interface {
	Now() time.Time
	// After works as [time.After].
	After(time.Duration) <-chan time.Time
}

// clock is a clock that is ahead of this machine's clock.
type clock struct{ ahead time.Duration }

// ClockAt returns a clock that starts at the given time, and then runs on.
func ClockAt(now time.Time) Clock { return clock{time.Until(now)} }

func (c clock) Now() time.Time                         { return time.Now().Add(c.ahead) }
func (c clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Screen shows a wait: on a terminal by a line that changes, elsewhere by a line from time to time.
type Screen struct {
	Out      io.Writer
	Terminal bool
}

// every returns the number of seconds between two lines.
func (s Screen) every() int {
	if s.Terminal {
		return 1
	}
	return 10
}

// Show shows a line.
func (s Screen) Show(text string) {
	if s.Terminal {
		fmt.Fprintf(s.Out, "\r\x1b[K  %s", text)
	} else {
		fmt.Fprintf(s.Out, "  %s\n", text)
	}
}

// Clear removes the line that changes.
func (s Screen) Clear() {
	if s.Terminal {
		fmt.Fprint(s.Out, "\r\x1b[K")
	}
}
