// Package cli has what the command lines of the lab's programs share: exit statuses, and flag values whose errors name
// a correct value.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Exit statuses of the server and the client.
const (
	OK         = 0 // success
	Failed     = 1 // any failure without a status of its own
	Usage      = 2 // the command line or the environment is wrong
	NoIdentity = 3 // no X.509-SVID arrived within the limit
	Refused    = 4 // one of the two sides did not accept the other's identity
)

// UsageError is a mistake in the command line or the environment. Its text names the flag or variable, and a correct
// value.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef returns a [UsageError].
func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}

// Parse parses args, which are flags followed by one argument for each element of names. If the last name is
// "NAME...", it stands for one argument or more. If the last name is "[NAME...]", it stands for any number of
// arguments. If args has -help, Parse writes the help to stdout and returns [flag.ErrHelp]. If args are wrong, Parse
// writes nothing and returns a [UsageError].
func Parse(flags *flag.FlagSet, args []string, stdout io.Writer, names ...string) error {
	flags.SetOutput(io.Discard)
	usage := flags.Usage
	if len(names) > 0 {
		usage = func() {
			fmt.Fprintln(stdout, "usage:", strings.Join(append([]string{flags.Name(), "[flags]"}, names...), " "))
			flags.PrintDefaults()
		}
	}
	flags.Usage = func() {}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stdout)
		usage()
		return err
	}
	if err != nil {
		return &UsageError{err}
	}
	return count(flags, names)
}

func count(flags *flag.FlagSet, names []string) error {
	least, most := len(names), len(names)
	switch last := names[max(len(names)-1, 0):]; {
	case len(last) == 0:
		if flags.NArg() > 0 {
			return Usagef("unexpected argument %q: %s takes flags only", flags.Arg(0), flags.Name())
		}
	case strings.HasPrefix(last[0], "["):
		least, most = least-1, flags.NArg()
	case strings.HasSuffix(last[0], "..."):
		most = flags.NArg()
	}
	if n := flags.NArg(); n < least || n > most {
		return Usagef("%s wants %s, got %q", flags.Name(), strings.Join(names, " "), flags.Args())
	}
	return nil
}

// FlagValue returns the value of a flag in the command line of another program, as package flag reads it: the last
// value counts. It is empty if the flag is not given.
func FlagValue(args []string, name string) string {
	value := ""
	for i, arg := range args {
		given, text, inline := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		switch {
		case !strings.HasPrefix(arg, "-") || given != name:
		case inline:
			value = text
		case i+1 < len(args):
			value = args[i+1]
		}
	}
	return value
}

// Duration is a flag value: a time limit, which must be positive.
type Duration struct {
	Value *time.Duration
	Zero  bool // zero is allowed too
}

// String implements [flag.Value].
func (d Duration) String() string {
	if d.Value == nil {
		return ""
	}
	return d.Value.String()
}

// Set implements [flag.Value].
func (d Duration) Set(text string) error {
	value, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return errors.New("want a duration such as 500ms, 5s or 1m")
	case value < 0, value == 0 && !d.Zero:
		return errors.New("want a positive duration such as 500ms, 5s or 1m")
	}
	*d.Value = value
	return nil
}

// ID is a flag value: one SPIFFE ID, as the SPIFFE-ID standard defines it in its section 2.
type ID struct{ Value *spiffeid.ID }

// String implements [flag.Value].
func (i ID) String() string {
	if i.Value == nil {
		return ""
	}
	return i.Value.String()
}

// Set implements [flag.Value].
func (i ID) Set(text string) error {
	id, err := spiffeid.FromString(text)
	if err != nil {
		return fmt.Errorf("%w; want a SPIFFE ID such as spiffe://example.org/client", err)
	}
	*i.Value = id
	return nil
}

// HTTPSURL is a flag value: an absolute https URL.
type HTTPSURL struct{ Value *string }

// String implements [flag.Value].
func (u HTTPSURL) String() string {
	if u.Value == nil {
		return ""
	}
	return *u.Value
}

// Set implements [flag.Value].
func (u HTTPSURL) Set(text string) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "https" || parsed.Host == "" {
		return errors.New("want an https URL such as https://server:8443/")
	}
	*u.Value = text
	return nil
}

// Address is a flag value: host:port to listen on. An empty host means every interface. An empty text means: do not
// listen.
type Address struct{ Value *string }

// String implements [flag.Value].
func (a Address) String() string {
	if a.Value == nil {
		return ""
	}
	return *a.Value
}

// Set implements [flag.Value].
func (a Address) Set(text string) error {
	if text != "" {
		if _, err := net.ResolveTCPAddr("tcp", text); err != nil {
			return fmt.Errorf("%w; want an address such as :8443 or 127.0.0.1:8080", err)
		}
	}
	*a.Value = text
	return nil
}

// Bytes is a flag value: a size limit in bytes, which must be positive.
type Bytes struct{ Value *int64 }

// String implements [flag.Value].
func (b Bytes) String() string {
	if b.Value == nil {
		return ""
	}
	return fmt.Sprint(*b.Value)
}

// Set implements [flag.Value].
func (b Bytes) Set(text string) error {
	var value int64
	var rest string
	if n, _ := fmt.Sscanf(text, "%d%s", &value, &rest); n != 1 || value <= 0 {
		return errors.New("want a positive number of bytes such as 65536")
	}
	*b.Value = value
	return nil
}
