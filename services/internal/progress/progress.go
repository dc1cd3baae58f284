// Package progress keeps what a learner makes: which faults are solved, the result records, the learner's name, and the fault that is
// open. Each lab has a folder of its own for it, .lab/PROJECT, apart from what is built, so that removing the one keeps the other.
package progress

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Root is the folder of all labs' progress, within the lab's folder.
const Root = ".lab"

// Progress is what the learner of one lab has made.
type Progress struct{ dir string }

// Of returns the progress of a lab: dir is the lab's folder, project what Compose calls the lab. It makes no file.
func Of(dir, project string) Progress {
	return Progress{filepath.Join(dir, Root, project)}
}

// Results is the file with the result records.
func (p Progress) Results() string { return filepath.Join(p.dir, "results.jsonl") }

// Result is one record: a fault that somebody solved.
type Result struct {
	Fault   string `json:"fault"`
	Level   int    `json:"level"`
	Seconds int    `json:"seconds"`
	Hints   int    `json:"hints"`
	Who     string `json:"who"`
	At      string `json:"at"` // RFC 3339, UTC
}

// Record adds a result record. who is remembered for the next one; empty means who was remembered.
func (p Progress) Record(result Result, who string, at time.Time) error {
	if who != "" {
		if err := p.write("who", who+"\n"); err != nil {
			return err
		}
	} else if text, err := os.ReadFile(p.path("who")); err == nil {
		who = string(text)
	}
	if result.Who = plain(who); result.Who == "" {
		result.Who = "somebody"
	}
	result.At = at.UTC().Format(time.RFC3339)
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return p.append("results.jsonl", string(line))
}

// plain keeps what may be in a name.
func plain(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || strings.ContainsRune(" ._@+-", r) {
			return r
		}
		return -1
	}, name))
}

// How a fault ended.
const (
	Solved = "solved" // by the learner
	Shown  = "shown"  // by give-up
)

// End is how a fault ended last, and with how many hints; How is empty if it has not ended yet.
type End struct {
	How   string
	Hints int
}

const ends = "faults-solved" // lines of a fault's full name, how it ended, and the number of hints

// Ends returns how each fault ended last, by the fault's full name.
func (p Progress) Ends() (map[string]End, error) {
	text, err := os.ReadFile(p.path(ends))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unwritable(err)
	}
	all := map[string]End{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 {
			hints, _ := strconv.Atoi(fields[2])
			all[fields[0]] = End{fields[1], hints}
		}
	}
	return all, nil
}

// Ended keeps how a fault ended. What was solved once stays solved.
func (p Progress) Ended(fault, how string, hints int) error {
	all, err := p.Ends()
	if err != nil {
		return err
	}
	if how == Shown && all[fault].How == Solved {
		return nil
	}
	return p.append(ends, fmt.Sprintf("%s %s %d", fault, how, hints))
}

// ForgetEnds forgets which faults were solved and shown. The result records stay.
func (p Progress) ForgetEnds() error {
	if err := os.Remove(p.path(ends)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Open is the fault that is open in a lab.
type Open struct {
	Name   string // its full name, as 01-clean-up
	Number int
	Level  int
	Since  time.Time
}

// Open returns the open fault; ok is false if there is none.
func (p Progress) Open() (open Open, ok bool) {
	file, err := os.Open(p.OpenFile("fault"))
	if err != nil {
		return Open{}, false
	}
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		key, value, _ := strings.Cut(strings.TrimSpace(scanner.Text()), "=")
		number, _ := strconv.ParseInt(value, 10, 64)
		switch key {
		case "name":
			open.Name = value
		case "number":
			open.Number = int(number)
		case "level":
			open.Level = int(number)
		case "since":
			open.Since = time.Unix(number, 0)
		}
	}
	return open, open.Name != ""
}

// OpenFile is a file that is kept for as long as a fault is open.
func (p Progress) OpenFile(name string) string { return filepath.Join(p.dir, "open", name) }

// Begin opens a fault.
func (p Progress) Begin(open Open) error {
	if err := p.write(filepath.Join("open", "hints"), ""); err != nil {
		return err
	}
	return p.write(filepath.Join("open", "fault"), fmt.Sprintf("name=%s\nnumber=%d\nlevel=%d\nsince=%d\n", open.Name, open.Number, open.Level, open.Since.Unix()))
}

// Keep writes a file that is kept for as long as a fault is open.
func (p Progress) Keep(name string, content []byte) error {
	return p.write(filepath.Join("open", name), string(content))
}

// Close forgets the open fault, and what was kept with it.
func (p Progress) Close() error { return os.RemoveAll(filepath.Join(p.dir, "open")) }

// Hints returns which hints were given since the fault was opened: their numbers, or "doctor" where the doctor was asked.
func (p Progress) Hints() []string {
	text, err := os.ReadFile(p.OpenFile("hints"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

// AddHint counts a hint.
func (p Progress) AddHint(hint string) error { return p.append(filepath.Join("open", "hints"), hint) }

// DoctorOff says why the doctor does not look, while a fault is open that is to be found without it; nothing if it may. If it is forced to
// look, that counts as a hint.
func (p Progress) DoctorOff(force bool) (string, error) {
	open, ok := p.Open()
	switch {
	case !ok || open.Level < 2:
		return "", nil
	case force:
		return "", p.AddHint("doctor")
	}
	return fmt.Sprintf("the doctor is off while fault %d is open: make hint, or make doctor FORCE=1, which counts as a hint", open.Number), nil
}

func (p Progress) path(name string) string { return filepath.Join(p.dir, name) }

// write replaces a file whole or not at all.
func (p Progress) write(name, text string) error {
	file := p.path(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return unwritable(err)
	}
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		return unwritable(err)
	}
	return os.Rename(file+".new", file)
}

func (p Progress) append(name, line string) error {
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o755); err != nil {
		return unwritable(err)
	}
	file, err := os.OpenFile(p.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return unwritable(err)
	}
	_, err = fmt.Fprintln(file, line)
	return errors.Join(err, file.Close())
}

// unwritableError means that the folder cannot be read or written.
type unwritableError struct{ error }

func unwritable(err error) error {
	return unwritableError{fmt.Errorf("your progress cannot be kept: %w", err)}
}

func (e unwritableError) Unwrap() error { return errors.Unwrap(e.error) }

// Hint is the remedy, which deletes nothing.
func (e unwritableError) Hint() string {
	return "make the folder " + Root + " of the lab writable for your user, for instance with chmod or chown, and free space on its disk"
}
