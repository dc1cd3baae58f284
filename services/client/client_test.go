package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/spiffe-lab/spiffe-lab/services/internal/testca"
)

const (
	serverID = "spiffe://example.org/server"
	clientID = "spiffe://example.org/client"
)

func success(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Success!!!") }

// listen starts a TLS server, and returns its URL.
func listen(t testing.TB, config *tls.Config, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	listener := tls.NewListener(server.Listener, config)
	server.Listener = listener
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return "https://" + listener.Addr().String() + "/"
}

// mtls returns the TLS configuration of a server that authorizes exactly one SPIFFE ID.
func mtls(svid x509svid.Source, ca *testca.CA, authorized string) *tls.Config {
	return tlsconfig.MTLSServerConfig(svid, ca.Bundle(), tlsconfig.AuthorizeID(spiffeid.RequireFromString(authorized)))
}

// try sends one request like the lab's client. It returns the client's exit status and output.
func try(t *testing.T, url string, ca *testca.CA, svid x509svid.Source, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	args = append([]string{"-socket", "unix:///none", "-url", url, "-timeout", "5s"}, args...)
	cfg, err := parse(args, func(string) string { return "" }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	// The test stops a client that has not exited after 10 s. Such a client prints an unexpected message, so the test
	// fails.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	exit = status(get(ctx, newClient(cfg, svid, ca.Bundle()), cfg, &out), &errs)
	return exit, out.String(), errs.String()
}

func TestClientIsServed(t *testing.T) {
	ca := testca.New(t, "example.org")
	url := listen(t, mtls(ca.SVID(serverID, time.Hour), ca, clientID), success)
	exit, stdout, stderr := try(t, url, ca, ca.SVID(clientID, time.Hour))
	if exit != 0 || stdout != "Success!!!\n" || stderr != "" {
		t.Errorf("exit status %d, %q, %q", exit, stdout, stderr)
	}
}

func TestClientWantsTheServerItIsTold(t *testing.T) {
	ca := testca.New(t, "example.org")
	good := ca.SVID(clientID, time.Hour)
	other := listen(t, mtls(ca.SVID("spiffe://example.org/other", time.Hour), ca, clientID), success)
	usual := listen(t, mtls(ca.SVID(serverID, time.Hour), ca, clientID), success)
	if exit, _, stderr := try(t, other, ca, good, "-server-id", "spiffe://example.org/other"); exit != 0 {
		t.Errorf("the server that -server-id names is refused: %s", stderr)
	}
	exit, stdout, stderr := try(t, usual, ca, good, "-server-id", "spiffe://example.org/other")
	if exit != 4 || stdout != "" || !strings.Contains(stderr, `unexpected ID "spiffe://example.org/server"`) {
		t.Errorf("a server that -server-id does not name: exit status %d, %q, %q", exit, stdout, stderr)
	}
}

func TestClientRefusesAndIsRefused(t *testing.T) {
	ca := testca.New(t, "example.org")
	otherCA := testca.New(t, "example.org")
	foreign := testca.New(t, "partner.test")
	good := ca.SVID(clientID, time.Hour)
	noID := &tls.Config{Certificates: []tls.Certificate{ca.NoID()}}

	for _, c := range []struct {
		name   string
		server *tls.Config
		svid   x509svid.Source
		err    string
	}{
		{"refused by the server", mtls(ca.SVID(serverID, time.Hour), ca, clientID), ca.SVID(serverID, time.Hour),
			"remote error: tls: bad certificate"},
		{"another SPIFFE ID", mtls(ca.SVID("spiffe://example.org/impostor", time.Hour), ca, clientID), good,
			`unexpected ID "spiffe://example.org/impostor"`},
		{"the right ID under another CA", mtls(otherCA.SVID(serverID, time.Hour), ca, clientID), good,
			"x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority"},
		{"a foreign trust domain", mtls(foreign.SVID("spiffe://partner.test/server", time.Hour), ca, clientID), good,
			`x509svid: could not get X509 bundle: x509bundle: no X.509 bundle found for trust domain: "partner.test"`},
		{"an expired SVID", mtls(ca.SVID(serverID, -time.Minute), ca, clientID), good,
			"x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: "},
		{"a certificate that names nobody", noID, good,
			"x509svid: could not get leaf SPIFFE ID: certificate contains no URI SAN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var requests atomic.Int32
			url := listen(t, c.server, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				success(w, r)
			})
			exit, stdout, stderr := try(t, url, ca, c.svid)
			if exit != 4 || stdout != "" {
				t.Errorf("exit status %d, not 4; printed %q", exit, stdout)
			}
			if want := fmt.Sprintf("Error connecting to %q: Get %q: %s", url, url, c.err); !strings.HasPrefix(stderr, want) {
				t.Errorf("said\n  %s\nnot\n  %s", stderr, want)
			}
			if requests.Load() != 0 {
				t.Error("a request reached the handler")
			}
		})
	}
}

func TestClientDoesNotWaitForEver(t *testing.T) {
	ca := testca.New(t, "example.org")
	url := listen(t, mtls(ca.SVID(serverID, time.Hour), ca, clientID), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	exit, stdout, stderr := try(t, url, ca, ca.SVID(clientID, time.Hour), "-timeout", "200ms")
	if exit != 1 || stdout != "" || !strings.Contains(stderr, "Client.Timeout exceeded while awaiting headers") {
		t.Errorf("of a server that never answers: exit status %d, %q, %q", exit, stdout, stderr)
	}
}

func TestEarlyAlertHasTheSameWords(t *testing.T) {
	alert := &net.OpError{Op: "remote error", Err: tls.AlertError(42)}
	early := &url.Error{Op: "Get", URL: "https://server:8443/", Err: fmt.Errorf("readLoopPeekFailLocked: %w", alert)}
	if got, want := plainAlert(early).Error(), `Get "https://server:8443/": remote error: tls: bad certificate`; got != want {
		t.Errorf("%q is said as %q, not %q", early, got, want)
	}
	other := &url.Error{Op: "Get", URL: "https://server:8443/", Err: &net.OpError{Op: "dial", Err: io.EOF}}
	if got := plainAlert(other); got != error(other) {
		t.Errorf("%q is said as %q", other, got)
	}
}

func TestOtherFailuresAreNotRefusals(t *testing.T) {
	ca := testca.New(t, "example.org")
	server := mtls(ca.SVID(serverID, time.Hour), ca, clientID)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	plain := httptest.NewServer(http.HandlerFunc(success))
	defer plain.Close()

	for _, c := range []struct{ name, url, text string }{
		{"nobody listens", "https://" + closed.Addr().String() + "/", "connect: connection refused"},
		{"the server speaks plain HTTP", strings.Replace(plain.URL, "http:", "https:", 1), "http: server gave HTTP response to HTTPS client"},
		{"the server answers 500", listen(t, server, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }), "answered 500 Internal Server Error"},
		{"the answer is too large", listen(t, server, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 65537)) }), "is larger than -max-body, 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			exit, stdout, stderr := try(t, c.url, ca, ca.SVID(clientID, time.Hour))
			if exit != 1 || stdout != "" || !strings.Contains(stderr, c.text) {
				t.Errorf("exit status %d, %q, %q; want 1 and %q", exit, stdout, stderr, c.text)
			}
		})
	}
}

// loopFor runs the client's loop until the server has answered n requests. It returns the number of connections that
// these requests used, and the output of the loop.
func loopFor(t *testing.T, n int, fail bool, args ...string) (connections int, stdout, stderr string) {
	t.Helper()
	ca := testca.New(t, "example.org")
	peers := make(chan string, 100)
	url := listen(t, mtls(ca.SVID(serverID, time.Hour), ca, clientID), func(w http.ResponseWriter, r *http.Request) {
		if fail {
			w.WriteHeader(http.StatusTeapot)
		} else {
			success(w, r)
		}
		peers <- r.RemoteAddr
	})
	args = append([]string{"-socket", "unix:///none", "-url", url, "-interval", "1ms"}, args...)
	cfg, err := parse(args, func(string) string { return "" }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	var out, errs bytes.Buffer
	go func() {
		done <- loop(ctx, newClient(cfg, ca.SVID(clientID, time.Hour), ca.Bundle()), cfg, &out, &errs)
	}()
	seen := map[string]bool{}
	for range n {
		seen[<-peers] = true
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stopped with %v", err)
	}
	return len(seen), out.String(), errs.String()
}

func TestLoopConnectsAnewForEachRequest(t *testing.T) {
	if connections, _, _ := loopFor(t, 5, false); connections != 5 {
		t.Errorf("5 requests came over %d connections", connections)
	}
}

func TestLoopKeepsTheConnectionIfTold(t *testing.T) {
	connections, _, stderr := loopFor(t, 5, false, "-keep-alive")
	if connections != 1 {
		t.Errorf("5 requests came over %d connections", connections)
	}
	opened := regexp.MustCompile(`new connection 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+; the server's X\.509-SVID on it: serial [0-9A-F]+, valid until 20..-..-..T..:..:..Z\n`)
	if told := len(opened.FindAllString(stderr, -1)); told != 1 {
		t.Errorf("of one new connection it told %d times: %s", told, stderr)
	}
}

func TestLoopAccountsForEveryRequest(t *testing.T) {
	_, stdout, stderr := loopFor(t, 5, false)
	served := strings.Count(stdout, "Success!!!\n")
	if want := fmt.Sprintf("%d requests sent: %d served, 0 failed\n", served, served); served < 5 || stderr != want {
		t.Errorf("after %d successes it said %q, not %q", served, stderr, want)
	}
	_, stdout, stderr = loopFor(t, 5, true)
	failed := strings.Count(stderr, "answered 418 I'm a teapot\n")
	if want := fmt.Sprintf("%d requests sent: 0 served, %d failed\n", failed, failed); failed < 5 || stdout != "" || !strings.HasSuffix(stderr, want) {
		t.Errorf("after %d failures it said %q, not %q", failed, stderr, want)
	}
}

// unborn is a server that does not listen before the given time.
type unborn struct{ listensAt time.Time }

func (u unborn) RoundTrip(*http.Request) (*http.Response, error) {
	if time.Now().Before(u.listensAt) {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("Success!!!"))}, nil
}

func TestLoopLetsTheServerStartBesideIt(t *testing.T) {
	for _, c := range []struct {
		listensAfter time.Duration
		want         string
	}{
		{startupGrace - 100*time.Millisecond, "4 requests sent: 4 served, 0 failed\n"},
		{startupGrace + 100*time.Millisecond, "Error connecting to \"https://server:8443/\": Get \"https://server:8443/\": dial: connection refused\n" +
			"4 requests sent: 3 served, 1 failed\n"},
	} {
		t.Run(c.listensAfter.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), startupGrace+3*time.Second)
				defer cancel()
				cfg := config{url: "https://server:8443/", interval: time.Second, maxBody: 100}
				var stdout, stderr bytes.Buffer
				client := &http.Client{Transport: unborn{time.Now().Add(c.listensAfter)}}
				if err := loop(ctx, client, cfg, &stdout, &stderr); err != nil {
					t.Fatal(err)
				}
				if stderr.String() != c.want {
					t.Errorf("said %q, not %q", stderr.String(), c.want)
				}
			})
		})
	}
}

func TestRetrySlowsDownToTheInterval(t *testing.T) {
	for _, c := range []struct {
		failures       int
		interval, want time.Duration
	}{
		{1, 5 * time.Second, 250 * time.Millisecond},
		{2, 5 * time.Second, 500 * time.Millisecond},
		{5, 5 * time.Second, 4 * time.Second},
		{6, 5 * time.Second, 5 * time.Second},
		{1, 100 * time.Millisecond, 100 * time.Millisecond},
		{1000, 5 * time.Second, 5 * time.Second},
	} {
		if got := retryAfter(c.failures, c.interval); got != c.want {
			t.Errorf("after %d failures at %s it pauses %s, not %s", c.failures, c.interval, got, c.want)
		}
	}
}

func TestHealthIsTheLatestRequest(t *testing.T) {
	latest := &outcome{err: fmt.Errorf("no request yet"), freshFor: time.Hour}
	if latest.check() == nil {
		t.Error("healthy before the first request")
	}
	latest.set(nil)
	if err := latest.check(); err != nil {
		t.Errorf("not healthy after a success: %v", err)
	}
	latest.set(fmt.Errorf("refused"))
	if err := latest.check(); err == nil || err.Error() != "refused" {
		t.Errorf("after a failure the health is %v", err)
	}
	latest.set(nil)
	latest.freshFor = -1
	if latest.check() == nil {
		t.Error("healthy though the latest request is old")
	}
}

func TestCommandLine(t *testing.T) {
	good := "unix:///nonexistent/api.sock"
	for _, c := range []struct {
		name   string
		socket string
		args   []string
		status int
		text   string
	}{
		{"help", "", []string{"-help"}, 0, ""},
		{"no address", "", nil, 2, "client: no Workload API address: set SPIFFE_ENDPOINT_SOCKET or -socket; want an absolute path such as unix:///tmp/spire-agent/public/api.sock\n"},
		{"foreign scheme", good, []string{"-url", "http://server:8443/"}, 2, "client: invalid value \"http://server:8443/\" for flag -url: want an https URL such as https://server:8443/\n"},
		{"malformed SPIFFE ID", good, []string{"-server-id", "spiffe://Example.org/server"}, 2, "client: invalid value \"spiffe://Example.org/server\" for flag -server-id: trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores; want a SPIFFE ID such as spiffe://example.org/client\n"},
		{"unparsable duration", good, []string{"-interval", "5"}, 2, "client: invalid value \"5\" for flag -interval: want a duration such as 500ms, 5s or 1m\n"},
		{"zero limit", good, []string{"-timeout", "0s"}, 2, "client: invalid value \"0s\" for flag -timeout: want a positive duration such as 500ms, 5s or 1m\n"},
		{"health of one request", good, []string{"-health", ":8080"}, 2, "client: -health needs -interval: a client that sends one request has no health to show\n"},
		{"kept connection of one request", good, []string{"-keep-alive"}, 2, "client: -keep-alive needs -interval: a client that sends one request needs no connection afterwards\n"},
		{"unexpected argument", good, []string{"https://server:8443/"}, 2, "client: unexpected argument \"https://server:8443/\": client takes flags only\n"},
		{"no identity", good, []string{"-wait", "50ms"}, 3, "the socket does not exist; likely cause: the agent is not running or has not attested, or its socket is not mounted here\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			getenv := func(string) string { return c.socket }
			got := status(run(context.Background(), c.args, getenv, &stdout, &stderr), &stderr)
			if got != c.status {
				t.Errorf("exit status %d, not %d", got, c.status)
			}
			if !strings.HasSuffix(stderr.String(), c.text) || strings.Count(stderr.String(), "\n") > 1 {
				t.Errorf("said %q, not the one line %q", stderr.String(), c.text)
			}
			if c.status == 0 && !strings.Contains(stdout.String(), "exit status: 0") {
				t.Errorf("-help does not tell the exit statuses: %s", stdout.String())
			}
		})
	}
}
