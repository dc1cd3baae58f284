package report

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
)

// version is the only version of the format that this package reads. Version 1 was text.
const version = 2

// longest is the size of the longest report that is read, in bytes.
const longest = 16 << 20

// file is a report in its file: JSON, indented for people.
type file struct {
	Report    int              `json:"report"` // the version of the format
	Host      facts.Host       `json:"host"`
	Preflight []facts.Problem  `json:"preflight,omitempty"`
	Start     *facts.Problem   `json:"start,omitempty"`
	Answers   []*facts.Section `json:"answers"`
}

// Save writes a report that Read can read on any machine.
func Save(out io.Writer, f *facts.Facts) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(file{version, f.Host, f.Preflight, f.Start, f.Sections()})
}

// ErrNone means that a file is not a report of the lab.
var ErrNone = errors.New("it is not a report of the lab: scripts/lab report writes one, and prints its name")

// Read reads a report that Save has written.
func Read(in io.Reader) (*facts.Facts, error) {
	text, err := io.ReadAll(io.LimitReader(in, longest))
	if err != nil {
		return nil, err
	}
	text = utf8Text(text)
	if bytes.HasPrefix(text, []byte("## section: ")) {
		return nil, errors.New("it is a text report of an older version of the lab: make a new one with scripts/lab report")
	}
	var kind struct{ Report *int }
	var wrong *json.SyntaxError
	switch err := json.Unmarshal(text, &kind); {
	case errors.As(err, &wrong) && bytes.HasPrefix(bytes.TrimSpace(text), []byte(`{`)) && strings.Contains(err.Error(), "unexpected end"):
		return nil, errors.New("it is cut off: the last line of a report is }")
	case err != nil || kind.Report == nil:
		return nil, ErrNone
	case *kind.Report != version:
		return nil, fmt.Errorf("it is a report of version %d, and this lab reads version %d: write the report and read it with the same version of the lab", *kind.Report, version)
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("the report cannot be read: %w", err)
	}
	for _, s := range f.Answers {
		if s == nil {
			return nil, errors.New("the report cannot be read: an answer is null")
		}
		if len(s.JSON) > 0 {
			var compact bytes.Buffer
			if err := json.Compact(&compact, s.JSON); err != nil {
				return nil, fmt.Errorf("the report cannot be read: %w", err)
			}
			s.JSON = compact.Bytes()
		}
	}
	return facts.New(f.Host, f.Preflight, f.Start, f.Answers), nil
}

// utf8Text returns a text in UTF-8 without a byte order mark. On Windows, editors and shells may write other forms:
// for instance, PowerShell's > writes UTF-16.
func utf8Text(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 2; i+1 < len(text); i += 2 {
		units = append(units, order.Uint16(text[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}
