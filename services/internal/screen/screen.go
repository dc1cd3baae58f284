// Package screen knows the abilities of the learner's terminal: colours, width, and a line that can be overwritten.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Screen is the output of a command.
type Screen struct {
	io.Writer
	Terminal bool // one line may be overwritten
	Width    int  // of a line of text, in characters

	Bold, Dim, Red, Green, Cyan, Plain string // escape sequences, or nothing
}

// New returns the screen for a file. The screen has no colours in these cases: the file is not a terminal, NO_COLOR is set, TERM is dumb,
// or TERM is empty (except on Windows).
func New(file *os.File) *Screen {
	s := &Screen{Writer: file, Width: 92}
	s.Terminal = term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" && understandsEscapes(file)
	if s.Terminal {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 20 {
			s.Width = min(s.Width, width-4)
		}
		if os.Getenv("NO_COLOR") == "" {
			s.Bold, s.Dim, s.Red, s.Green, s.Cyan, s.Plain = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"
		}
	}
	return s
}

// Plain returns a screen without colours that is not a terminal.
func Plain(out io.Writer) *Screen { return &Screen{Writer: out, Width: 92} }

// Say prints a line.
func (s *Screen) Say(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

// Tell prints a text as a line.
func (s *Screen) Tell(text string) { fmt.Fprintln(s, text) }

// Wait shows that something takes time: on a terminal by a line that counts the seconds, elsewhere by a line every 10 s.
type Wait struct {
	screen *Screen
	began  time.Time
	told   int // when a text was printed last, in seconds after the beginning
}

// NewWait begins a wait.
func (s *Screen) NewWait() *Wait { return &Wait{screen: s, began: time.Now()} }

// Seconds returns how many whole seconds have passed since the wait began.
func (w *Wait) Seconds() int { return int(time.Since(w.began).Seconds()) }

// Tell prints a text at most once a second on a terminal, and at most every 10 s elsewhere. The function text gets the seconds that have
// passed.
func (w *Wait) Tell(text func(seconds int) string) {
	now := w.Seconds()
	switch {
	case w.screen.Terminal && now > w.told:
		w.told = now
		line := text(now)
		if len(line) > w.screen.Width {
			line = line[:w.screen.Width]
		}
		fmt.Fprintf(w.screen, "\r\x1b[K  %s%s%s", w.screen.Dim, line, w.screen.Plain)
	case !w.screen.Terminal && now >= w.told+10:
		w.told = now
		w.screen.Say("  %s", text(now))
	}
}

// End removes the line with the seconds from the terminal.
func (w *Wait) End() {
	if w.screen.Terminal && w.told > 0 {
		fmt.Fprint(w.screen, "\r\x1b[K")
	}
}

// While shows a wait until the function do returns.
func (s *Screen) While(what string, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	wait := s.NewWait()
	defer wait.End()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(time.Second / 5):
			wait.Tell(func(seconds int) string { return fmt.Sprintf("... %s, %d s", what, seconds) })
		}
	}
}

// Fold breaks a text after spaces, so that no line is wider than the width. A longer word is broken.
func Fold(text string, width int) []string {
	var lines []string
	for len(text) > width {
		at := strings.LastIndexByte(text[:width], ' ') + 1
		if at == 0 {
			at = width
		}
		lines = append(lines, text[:at])
		text = text[at:]
	}
	return append(lines, text)
}
