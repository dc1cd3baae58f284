// Package identity gets the X.509-SVID of a workload from the SPIFFE Workload API. It logs while it waits, and its
// wait has a limit.
package identity

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// ErrNone is wrapped by every error of [Wait.End]. It means that no X.509-SVID arrived.
var ErrNone = errors.New("no identity")

const (
	reportEvery = 3 * time.Second        // time between two messages
	socketPoll  = 25 * time.Millisecond  // between two checks for the socket
	firstDelay  = 50 * time.Millisecond  // before the first retry; doubled each time
	maxDelay    = 250 * time.Millisecond // between two tries
)

// Endpoint is the address of a Workload API.
type Endpoint struct {
	Address string // a URI, as the SPIFFE Workload Endpoint standard defines it in its section 4
	From    string // where the address was given, for messages: a flag or a variable
	InPod   bool   // true in a Kubernetes pod, where hints name what identifies a workload there
}

// FindEndpoint returns the address in flag, or else the one in SPIFFE_ENDPOINT_SOCKET. It returns a [cli.UsageError] if
// there is no address, if the address is invalid, or if its socket path is relative.
func FindEndpoint(flag string, getenv func(string) string) (Endpoint, error) {
	const want = "want an absolute path such as unix:///tmp/spire-agent/public/api.sock"
	// The kubelet sets KUBERNETES_SERVICE_HOST in every container.
	endpoint := Endpoint{Address: flag, From: "-socket", InPod: getenv("KUBERNETES_SERVICE_HOST") != ""}
	if flag == "" {
		endpoint.Address, endpoint.From = getenv(workloadapi.SocketEnv), workloadapi.SocketEnv
	}
	if endpoint.Address == "" {
		return endpoint, cli.Usagef("no Workload API address: set %s or -socket; %s", workloadapi.SocketEnv, want)
	}
	if err := workloadapi.ValidateAddress(endpoint.Address); err != nil {
		return endpoint, cli.Usagef("%s %q: %w; %s", endpoint.From, endpoint.Address, err, want)
	}
	if path := endpoint.path(); path != "" && !filepath.IsAbs(path) || strings.HasPrefix(endpoint.Address, "unix://") && path == "" {
		return endpoint, cli.Usagef("%s %q: the socket path is relative; %s", endpoint.From, endpoint.Address, want)
	}
	return endpoint, nil
}

// path returns the path of the Unix domain socket. It is empty for other addresses. In unix://a/b the a is a host by
// the rules of URIs, so such a path counts as relative.
func (e Endpoint) path() string {
	parsed, err := url.Parse(e.Address)
	if err != nil || parsed.Scheme != "unix" {
		return ""
	}
	if parsed.Host != "" {
		return parsed.Host + parsed.Path
	}
	return parsed.Path
}

// Wait is the wait for the first X.509-SVID. It is a context that ends when the time is over, and it logs until then.
type Wait struct {
	context.Context
	cancel   context.CancelFunc
	endpoint Endpoint
	limit    time.Duration
	last     *lastError
	reported chan struct{}
}

// Wait starts to wait for an identity, for limit at most, and returns once the Workload API's socket exists. Every
// few seconds it logs what it waits for, until an X.509-SVID arrives. The caller passes the result and its
// [Wait.Options] to [workloadapi.NewX509Source], and the error of that function to [Wait.End].
func (e Endpoint) Wait(ctx context.Context, limit time.Duration, logger *log.Logger) *Wait {
	ctx, cancel := context.WithTimeout(ctx, limit)
	w := &Wait{ctx, cancel, e, limit, &lastError{}, make(chan struct{})}
	start := time.Now()
	go func() {
		defer close(w.reported)
		ticker := time.NewTicker(reportEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				logger.Printf("waiting for an identity, %s of %s: %s", time.Since(start).Round(time.Second), limit, e.explain(w.last.get()))
			}
		}
	}()
	e.awaitSocket(ctx)
	return w
}

// Options returns how this lab's programs use the Workload API: its address, and the time between retries.
func (w *Wait) Options() []workloadapi.X509SourceOption {
	return []workloadapi.X509SourceOption{workloadapi.WithClientOptions(
		workloadapi.WithAddr(w.endpoint.Address),
		workloadapi.WithLogger(w.last),
		workloadapi.WithBackoffStrategy(backoffStrategy{}),
		workloadapi.WithDialOptions(grpc.WithConnectParams(connectParams)),
	)}
}

// End ends the wait. Its argument is the error of [workloadapi.NewX509Source]. If this is nil, End returns nil.
// Otherwise End returns an error that wraps [ErrNone]. After a timeout that error also names the user number, the
// address and the likely cause.
func (w *Wait) End(err error) error {
	timedOut := errors.Is(w.Err(), context.DeadlineExceeded)
	w.cancel()
	<-w.reported
	switch {
	case err == nil:
		return nil
	case timedOut:
		return fmt.Errorf("%w after %s: %s", ErrNone, w.limit, w.endpoint.explain(w.last.get()))
	default:
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
}

// connectParams makes gRPC wait no longer than [backoffStrategy] before it connects again. By default gRPC waits up to
// two minutes: the longer an agent is down, the longer is the wait. With this default, a workload would connect up to
// two minutes after a restart of the agent.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: firstDelay, Multiplier: 2, MaxDelay: maxDelay},
	MinConnectTimeout: 5 * time.Second,
}

// awaitSocket returns when the socket exists, or ctx is done. The agent creates the socket once it is ready. To look
// for a file is cheaper than to connect, so this check can be made more often.
func (e Endpoint) awaitSocket(ctx context.Context) {
	for e.path() != "" {
		if _, err := os.Stat(e.path()); !errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(socketPoll):
		}
	}
}

// closed matches the errors of a connection that the agent has accepted and then closed. If the agent does not accept
// the connection, the error is "connection refused".
var closed = regexp.MustCompile(`connection reset by peer|broken pipe|error reading from server: EOF`)

// explain names the user number of the program, the address of the Workload API, the error, and the likely cause.
func (e Endpoint) explain(err error) string {
	cause := "the agent is not running, or its socket is not mounted here"
	path := e.path()
	switch _, statErr := os.Stat(path); {
	case path != "" && errors.Is(statErr, os.ErrNotExist):
		err = errors.New("the socket does not exist")
		cause = "the agent is not running or has not attested, or its socket is not mounted here"
	case err == nil:
		err = errors.New("no answer yet")
	case status.Code(err) == codes.PermissionDenied && e.InPod:
		cause = "no registration entry matches this pod's namespace and service account (spire-server entry show lists them)"
	case status.Code(err) == codes.PermissionDenied:
		cause = "no registration entry matches this process (make entries shows them)"
	case closed.MatchString(err.Error()):
		cause = "the agent closed the connection, and its log says why"
	}
	return fmt.Sprintf("uid %d at %s %s: %v; likely cause: %s", os.Getuid(), e.From, e.Address, err, cause)
}

// LogRotations logs each change of the X.509-SVID once, until ctx is done. The source also reports a change of the
// trust bundle, which is not a rotation. So LogRotations compares serial numbers.
func LogRotations(ctx context.Context, source Updates, logger *log.Logger) {
	current, err := source.GetX509SVID()
	if err != nil {
		logger.Printf("cannot read the X.509-SVID: %v", err)
		return
	}
	logger.Printf("identity %s, serial %s, expires %s", current.ID, Serial(current), Expiry(current))
	for {
		select {
		case <-ctx.Done():
			return
		case <-source.Updated():
		}
		next, err := source.GetX509SVID()
		if err != nil || Serial(next) == Serial(current) {
			continue
		}
		logger.Printf("X.509-SVID of %s rotated: serial %s -> %s, expires %s", next.ID, Serial(current), Serial(next), Expiry(next))
		current = next
	}
}

// Updates is the part of [workloadapi.X509Source] that [LogRotations] needs.
type Updates interface {
	x509svid.Source
	Updated() <-chan struct{}
}

// Serial returns the serial number in hexadecimal digits, two for each byte, as openssl prints it.
func Serial(svid *x509svid.SVID) string {
	return fmt.Sprintf("%X", svid.Certificates[0].SerialNumber.Bytes())
}

// Expiry returns the end of the validity in UTC, in the format of RFC 3339.
func Expiry(svid *x509svid.SVID) string {
	return svid.Certificates[0].NotAfter.UTC().Format(time.RFC3339)
}

// lastError is the logger for go-spiffe. It keeps the last error, which go-spiffe's API does not return while it
// retries.
type lastError struct {
	mu  sync.Mutex
	err error
}

func (l *lastError) get() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *lastError) Debugf(string, ...any) {}
func (l *lastError) Infof(string, ...any)  {}
func (l *lastError) Warnf(string, ...any)  {}

func (l *lastError) Errorf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			err = cause
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// backoffStrategy keeps delays far below a second, because in a lab the identity usually comes soon.
type backoffStrategy struct{}

func (backoffStrategy) NewBackoff() workloadapi.Backoff { return &doubling{firstDelay} }

type doubling struct{ next time.Duration }

func (b *doubling) Next() time.Duration {
	delay := b.next
	b.next = min(2*b.next, maxDelay)
	return delay
}

func (b *doubling) Reset() { b.next = firstDelay }
