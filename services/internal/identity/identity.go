// Package identity gets a workload its X.509-SVID from the SPIFFE Workload API, and never waits
// in silence or without end.
package identity

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"path/filepath"
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

// ErrNone is wrapped by the error of [Wait.End] when no X.509-SVID arrived in time.
var ErrNone = errors.New("no identity")

const (
	reportEvery = 3 * time.Second        // how often a wait is reported
	socketPoll  = 25 * time.Millisecond  // between two looks for the socket
	firstDelay  = 50 * time.Millisecond  // before the first retry; it doubles from there
	maxDelay    = 250 * time.Millisecond // between two tries
)

// Endpoint is the address of a Workload API.
type Endpoint struct {
	Address string // a URI, as the SPIFFE Workload Endpoint standard defines it in its section 4
	From    string // where the address was given, for messages: a flag or a variable
	InPod   bool   // a Kubernetes pod: hints name what tells workloads apart there
}

// FindEndpoint returns the address in flag, or else the one in SPIFFE_ENDPOINT_SOCKET. What is
// no address of a Unix domain socket is a [cli.UsageError].
func FindEndpoint(flag string, getenv func(string) string) (Endpoint, error) {
	const want = "want an absolute path such as unix:///tmp/spire-agent/public/api.sock"
	// The kubelet sets this variable in every container.
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

// path is the path of the Unix domain socket; empty for other addresses. In unix://a/b the a is
// a host by the rules of URIs: such a path is relative too.
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

// Wait is the wait for the first X.509-SVID: a context that ends it, and what is said meanwhile.
type Wait struct {
	context.Context
	cancel   context.CancelFunc
	endpoint Endpoint
	limit    time.Duration
	last     *lastError
	reported chan struct{}
}

// Wait begins to wait for an identity, for limit at most, and returns once the Workload API's socket
// exists. While no X.509-SVID arrives it logs every few seconds what it waits for. The caller passes
// it and its [Wait.Options] to [workloadapi.NewX509Source], and the error of that to [Wait.End].
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

// Options are how this lab's programs use the Workload API: where it is, and how soon they try again.
func (w *Wait) Options() []workloadapi.X509SourceOption {
	return []workloadapi.X509SourceOption{workloadapi.WithClientOptions(
		workloadapi.WithAddr(w.endpoint.Address),
		workloadapi.WithLogger(w.last),
		workloadapi.WithBackoffStrategy(backoffStrategy{}),
		workloadapi.WithDialOptions(grpc.WithConnectParams(connectParams)),
	)}
}

// End ends the wait with the error of [workloadapi.NewX509Source], and returns nil for none. Else its
// error wraps [ErrNone], and says who waited for what, and the likely cause.
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

// connectParams bound how long gRPC itself waits before it connects again, below the tries that
// [backoffStrategy] spaces. By default it waits up to two minutes: the longer an agent was away,
// the longer a workload would take to notice that it is back.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: firstDelay, Multiplier: 2, MaxDelay: maxDelay},
	MinConnectTimeout: 5 * time.Second,
}

// awaitSocket returns when there is a socket, or ctx is done. The agent makes it once it is ready:
// to look for it is cheaper than to connect in vain, and so can be done more often.
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

// explain says who waits for what, what the Workload API said last, and the likely cause.
func (e Endpoint) explain(err error) string {
	cause := "is the agent running, and its socket mounted here?"
	path := e.path()
	switch _, statErr := os.Stat(path); {
	case path != "" && errors.Is(statErr, os.ErrNotExist):
		err = errors.New("the socket does not exist")
	case err == nil:
		err = errors.New("no answer yet")
	case status.Code(err) == codes.PermissionDenied && e.InPod:
		cause = "no registration entry matches this pod's namespace and service account (spire-server entry show lists them)"
	case status.Code(err) == codes.PermissionDenied:
		cause = "no registration entry matches this process (make entries shows them)"
	}
	return fmt.Sprintf("uid %d at %s %s: %v; likely cause: %s", os.Getuid(), e.From, e.Address, err, cause)
}

// LogRotations logs each change of the X.509-SVID, once, until ctx is done. A change of the trust
// bundle alone also wakes it, and is no rotation: so it compares serial numbers.
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

// Updates is what [LogRotations] needs of a [workloadapi.X509Source].
type Updates interface {
	x509svid.Source
	Updated() <-chan struct{}
}

// Serial is the serial number in hexadecimal digits, two for each byte as openssl prints it.
func Serial(svid *x509svid.SVID) string {
	return fmt.Sprintf("%X", svid.Certificates[0].SerialNumber.Bytes())
}

// Expiry is the end of the validity in UTC, as RFC 3339 writes it.
func Expiry(svid *x509svid.SVID) string {
	return svid.Certificates[0].NotAfter.UTC().Format(time.RFC3339)
}

// lastError is the logger that go-spiffe gets: it keeps the last error, of which its own API
// tells nothing while it retries.
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

// backoffStrategy is capped far below a second: in a lab the identity that one waits for comes soon.
type backoffStrategy struct{}

func (backoffStrategy) NewBackoff() workloadapi.Backoff { return &doubling{firstDelay} }

type doubling struct{ next time.Duration }

func (b *doubling) Next() time.Duration {
	delay := b.next
	b.next = min(2*b.next, maxDelay)
	return delay
}

func (b *doubling) Reset() { b.next = firstDelay }
