package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spiffe-lab/spiffe-lab/services/internal/testca"
)

// source is an [Updates] whose SVID the test sets.
type source struct {
	mu      sync.Mutex
	svid    *x509svid.SVID
	updated chan struct{}
}

func (s *source) GetX509SVID() (*x509svid.SVID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.svid, nil
}

func (s *source) Updated() <-chan struct{} { return s.updated }

func (s *source) set(svid *x509svid.SVID) {
	s.mu.Lock()
	s.svid = svid
	s.mu.Unlock()
	s.updated <- struct{}{}
}

func TestRotationIsLoggedOnceAndABundleIsNone(t *testing.T) {
	ca := testca.New(t, "example.org")
	first, second := ca.SVID("spiffe://example.org/server", time.Hour), ca.SVID("spiffe://example.org/server", 2*time.Hour)
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		updates := &source{svid: first, updated: make(chan struct{})}
		go LogRotations(ctx, updates, log.New(&out, "", 0))

		updates.set(first) // only the trust bundle has changed
		updates.set(second)
		updates.set(second)
		synctest.Wait()
		cancel()
		synctest.Wait()

		want := "identity spiffe://example.org/server, serial " + Serial(first) + ", expires " + Expiry(first) + "\n" +
			"X.509-SVID of spiffe://example.org/server rotated: serial " + Serial(first) + " -> " + Serial(second) + ", expires " + Expiry(second) + "\n"
		if out.String() != want {
			t.Errorf("logged\n%snot\n%s", out.String(), want)
		}
	})
}

func TestSerialIsAsOpensslPrintsIt(t *testing.T) {
	svid := &x509svid.SVID{Certificates: []*x509.Certificate{{SerialNumber: big.NewInt(0xA1B)}}}
	if got := Serial(svid); got != "0A1B" {
		t.Errorf("serial number 0xA1B is %s, not 0A1B", got)
	}
}

// newSource waits for an SVID in the same way as the lab's programs.
func newSource(e Endpoint, ctx context.Context, limit time.Duration, logger *log.Logger) (*workloadapi.X509Source, error) {
	wait := e.Wait(ctx, limit, logger)
	source, err := workloadapi.NewX509Source(wait, wait.Options()...)
	return source, wait.End(err)
}

func TestWaitIsReportedAndBounded(t *testing.T) {
	var out strings.Builder
	endpoint := Endpoint{Address: "unix:///nonexistent/api.sock", From: "-socket"}
	given := make(chan error, 1)
	go func() {
		_, err := newSource(endpoint, t.Context(), reportEvery+reportEvery/6, log.New(&out, "", 0))
		given <- err
	}()
	var err error
	select {
	case err = <-given:
	case <-time.After(4 * reportEvery):
		t.Fatalf("did not give up: after %s it still waits for an identity", 4*reportEvery)
	}
	if !errors.Is(err, ErrNone) {
		t.Errorf("gave up with %v, not with ErrNone", err)
	}
	const told = "at -socket unix:///nonexistent/api.sock: the socket does not exist; likely cause: the agent is not running or has not attested, or its socket is not mounted here"
	if !strings.Contains(out.String(), "waiting for an identity, 3s of 3.5s: uid ") || !strings.Contains(out.String(), told) {
		t.Errorf("said while waiting: %q", out.String())
	}
	if !strings.HasPrefix(err.Error(), "no identity after 3.5s: uid ") || !strings.HasSuffix(err.Error(), told) {
		t.Errorf("gave up with %q", err)
	}
}

func TestCancelIsNotATimeout(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newSource(Endpoint{Address: "unix:///nonexistent/api.sock"}, ctx, time.Hour, log.New(io.Discard, "", 0))
	if !errors.Is(err, ErrNone) || !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait ends with %v", err)
	}
}

func TestLikelyCause(t *testing.T) {
	endpoint := Endpoint{Address: "unix://" + t.TempDir(), From: "SPIFFE_ENDPOINT_SOCKET"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{status.Error(codes.PermissionDenied, "no identity issued"),
			"rpc error: code = PermissionDenied desc = no identity issued; likely cause: no registration entry matches this process (make entries shows them)"},
		{status.Error(codes.Unavailable, "connection refused"),
			"rpc error: code = Unavailable desc = connection refused; likely cause: the agent is not running, or its socket is not mounted here"},
		{status.Error(codes.Unavailable, "error reading from server: read unix @->/api.sock: read: connection reset by peer"),
			"connection reset by peer; likely cause: the agent closed the connection, and its log says why"},
		{nil, "no answer yet; likely cause: the agent is not running, or its socket is not mounted here"},
	} {
		if got := endpoint.explain(c.err); !strings.HasSuffix(got, c.want) {
			t.Errorf("%v is explained as\n  %s\nnot\n  %s", c.err, got, c.want)
		}
	}
}

// TestLikelyCauseInAPod: in a pod, the likely cause must name the namespace and service account, and must not name
// `make entries` or a user.
func TestLikelyCauseInAPod(t *testing.T) {
	environment := map[string]string{"SPIFFE_ENDPOINT_SOCKET": "unix://" + t.TempDir(), "KUBERNETES_SERVICE_HOST": "10.96.0.1"}
	endpoint, err := FindEndpoint("", func(name string) string { return environment[name] })
	if err != nil {
		t.Fatal(err)
	}
	const want = "likely cause: no registration entry matches this pod's namespace and service account (spire-server entry show lists them)"
	if got := endpoint.explain(status.Error(codes.PermissionDenied, "no identity issued")); !strings.HasSuffix(got, want) {
		t.Errorf("explained as\n  %s\nnot\n  %s", got, want)
	}
}

// TestReconnectionIsNotSlowedDownByGRPC: a workload must soon find an agent that runs again. The Workload API of this
// test closes each connection, so each try is a new connection. With gRPC's default backoff there would be only two
// tries in 2 s.
func TestReconnectionIsNotSlowedDownByGRPC(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	tries := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(tries)
				return
			}
			conn.Close()
			tries <- struct{}{}
		}
	}()
	_, err = newSource(Endpoint{Address: "unix://" + path}, t.Context(), 2*time.Second, log.New(io.Discard, "", 0))
	listener.Close()
	if !errors.Is(err, ErrNone) {
		t.Errorf("ended with %v, not with ErrNone", err)
	}
	got := 0
	for range tries {
		got++
	}
	if got < 4 {
		t.Errorf("connected %d times in 2 s, not 4 times or more", got)
	}
}

func TestBackoffIsCappedBelowASecond(t *testing.T) {
	backoff := backoffStrategy{}.NewBackoff()
	for _, want := range []time.Duration{50, 100, 200, 250, 250} {
		if got := backoff.Next(); got != want*time.Millisecond {
			t.Errorf("waits %s, not %s", got, want*time.Millisecond)
		}
	}
	backoff.Reset()
	if got := backoff.Next(); got != firstDelay {
		t.Errorf("waits %s after a reset", got)
	}
}
