// Package progress stores a learner's progress: which faults are solved, the result records, the learner's name, and the open fault. The
// progress in a lab is in the folder .lab/PROJECT. The folder is separate from built files, so that either can be removed alone.
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

// Root is the folder for the progress in all labs, relative to the lab's folder.
const Root = ".lab"

// Progress is the stored progress of the learner of one lab.
type Progress struct{ dir string }

// Of returns the progress of a lab: dir is the lab's folder, and project its Compose project. It does not create a file.
func Of(dir, project string) Progress {
	return Progress{filepath.Join(dir, Root, project)}
}

// Results is the file with the result records.
func (p Progress) Results() string { return filepath.Join(p.dir, "results.jsonl") }

// Result is one record: how a learner ended a fault.
type Result struct {
	Fault   string   `json:"fault"`
	Level   int      `json:"level"`
	Fixed   bool     `json:"fixed"`
	Cause   Cause    `json:"cause"`
	Answers []string `json:"answers,omitempty"` // the answers to the question about the cause, in order
	Seconds int      `json:"seconds"`           // the time until the fault was fixed, or else until the learner gave up
	Hints   int      `json:"hints"`
	Who     string   `json:"who"`
	At      string   `json:"at"` // RFC 3339, UTC
}

// Cause says whether the learner named the cause.
type Cause string

// Whether the learner named the cause. With Named, the last of Result.Answers is the correct answer.
const (
	Named    Cause = "named"
	NotNamed Cause = "not named"
	NotAsked Cause = "not asked"
)

// Remember keeps the learner's name for the result records.
func (p Progress) Remember(who string) error { return p.write("who", who+"\n") }

// Record adds a result record with the learner's name.
func (p Progress) Record(result Result, at time.Time) error {
	who, err := os.ReadFile(p.path("who"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unwritable(err)
	}
	if result.Who = plain(string(who)); result.Who == "" {
		result.Who = nobody
	}
	result.At = at.UTC().Format(time.RFC3339)
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return p.append("results.jsonl", string(line))
}

// nobody is the name of a learner who has not given a name.
const nobody = "somebody"

// ReadResults returns the records of a file. In the records that an older version of the lab has written, every fault counts as fixed, and
// the question about the cause counts as not asked.
func ReadResults(file string) ([]Result, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []Result
	for i, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		result := Result{Fixed: true, Cause: NotAsked}
		if err := json.Unmarshal([]byte(line), &result); err != nil || result.Fault == "" {
			return nil, fmt.Errorf("%s line %d is no result record", file, i+1)
		}
		for _, text := range []*string{&result.Fault, &result.Who} {
			*text = plain(*text) // a file from another person may have control characters for the terminal
		}
		all = append(all, result)
	}
	return all, nil
}

// AllResults returns the records of all labs of a folder. A learner without a name gets the lab's name.
func AllResults(dir string) ([]Result, error) {
	labs, err := os.ReadDir(filepath.Join(dir, Root))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []Result
	for _, lab := range labs {
		some, err := ReadResults(Of(dir, lab.Name()).Results())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, result := range some {
			if result.Who == nobody {
				result.Who = nobody + " in " + lab.Name()
			}
			all = append(all, result)
		}
	}
	return all, nil
}

// plain keeps only the characters that a name may have.
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
	Solved = "solved" // fixed by the learner, who named the cause if asked
	Fixed  = "fixed"  // fixed by the learner, who did not name the cause
	Shown  = "shown"  // ended by give-up
)

// End is the best end of a fault so far: how the fault ended, and after how many hints. The field How is empty for a fault that has not
// ended yet.
type End struct {
	How   string
	Hints int
}

const ends = "faults-solved" // lines with a fault's full name, how it ended, and the number of hints

// Ends returns the best end of each fault so far, by the fault's full name.
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

// rank orders how a fault can end. A better end is not replaced by a worse one.
var rank = map[string]int{Shown: 1, Fixed: 2, Solved: 3}

// Ended records how a fault ended. A solved fault stays solved.
func (p Progress) Ended(fault, how string, hints int) error {
	all, err := p.Ends()
	if err != nil {
		return err
	}
	if rank[how] < rank[all[fault].How] {
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

// OpenFile returns the path of a file that exists only while a fault is open.
func (p Progress) OpenFile(name string) string { return filepath.Join(p.dir, "open", name) }

// Begin opens a fault.
func (p Progress) Begin(open Open) error {
	if err := p.write(filepath.Join("open", "hints"), ""); err != nil {
		return err
	}
	return p.write(filepath.Join("open", "fault"), fmt.Sprintf("name=%s\nnumber=%d\nlevel=%d\nsince=%d\n", open.Name, open.Number, open.Level, open.Since.Unix()))
}

// Keep writes a file that exists only while a fault is open.
func (p Progress) Keep(name string, content []byte) error {
	return p.write(filepath.Join("open", name), string(content))
}

// Save writes a file of the learner under a new name, and returns its path.
func (p Progress) Save(name, extension string, content []byte) (string, error) {
	for n := 1; ; n++ {
		file := p.path(name + extension)
		if n > 1 {
			file = p.path(fmt.Sprintf("%s-%d%s", name, n, extension))
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", unwritable(err)
		}
		out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", unwritable(err)
		}
		_, err = out.Write(content)
		return file, errors.Join(err, out.Close())
	}
}

// Close forgets the open fault and its files. It removes the files one by one with os.Remove, because Wine 8 does not support
// the Windows calls of os.RemoveAll.
func (p Progress) Close() error {
	folder := filepath.Join(p.dir, "open")
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(folder, entry.Name())))
	}
	return errors.Join(err, os.Remove(folder))
}

// Hints returns the hints that were given since the fault was opened: their numbers, or "doctor" for a use of the doctor.
func (p Progress) Hints() []string { return p.openLines("hints") }

func (p Progress) openLines(name string) []string {
	text, err := os.ReadFile(p.OpenFile(name))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

// AddHint records a hint that was shown.
func (p Progress) AddHint(hint string) error { return p.append(filepath.Join("open", "hints"), hint) }

// Asked records that the learner was asked for the cause of the open fault.
func (p Progress) Asked() error { return p.append(filepath.Join("open", "answers"), "") }

// AddAnswer records an answer.
func (p Progress) AddAnswer(key string, right bool) error {
	if right {
		if err := p.Keep("named", nil); err != nil {
			return err
		}
	}
	return p.append(filepath.Join("open", "answers"), key)
}

// Cause returns whether the learner named the cause of the open fault, and the answers in order.
func (p Progress) Cause() (Cause, []string) {
	answers := p.openLines("answers")
	if _, err := os.Stat(p.OpenFile("named")); err == nil {
		return Named, answers
	}
	if _, err := os.Stat(p.OpenFile("answers")); err == nil {
		return NotNamed, answers
	}
	return NotAsked, nil
}

// Fixed returns the number of seconds until a check first found the open fault fixed. The result ok is false if no check has found this
// yet.
func (p Progress) Fixed() (seconds int, ok bool) {
	lines := p.openLines("fixed")
	if len(lines) == 0 {
		return 0, false
	}
	seconds, err := strconv.Atoi(lines[0])
	return seconds, err == nil
}

// SetFixed records the number of seconds that Fixed returns. Only the first call counts.
func (p Progress) SetFixed(seconds int) error {
	if _, ok := p.Fixed(); ok {
		return nil
	}
	return p.Keep("fixed", []byte(strconv.Itoa(seconds)+"\n"))
}

// DoctorOff returns the reason why the doctor is off, or an empty text. The doctor is off while a fault of level 2 or higher is open,
// because the learner must find the cause without the doctor. If force is true, the doctor is on, but its use counts as a hint.
func (p Progress) DoctorOff(force bool) (string, error) {
	open, ok := p.Open()
	switch {
	case !ok || open.Level < 2:
		return "", nil
	case force:
		return "", p.AddHint("doctor")
	}
	return fmt.Sprintf("the doctor is off while fault %d is open. Run \"make hint\", or \"make doctor FORCE=1\", which counts as a hint", open.Number), nil
}

func (p Progress) path(name string) string { return filepath.Join(p.dir, name) }

// write replaces a whole file. If that fails, the old file stays as it is.
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

type unwritableError struct{ error }

func unwritable(err error) error {
	return unwritableError{fmt.Errorf("your progress cannot be kept: %w", err)}
}

func (e unwritableError) Unwrap() error { return errors.Unwrap(e.error) }

// Hint returns the remedy, which deletes nothing.
func (e unwritableError) Hint() string {
	return "make the folder " + Root + " of the lab writable for your user, for instance with chmod or chown, and free space on its disk"
}
