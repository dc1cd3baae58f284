// Command client sends HTTP requests over mTLS to exactly one server. It gets its X.509-SVID and
// the trust bundle from the SPIFFE Workload API, and authorizes the server by its SPIFFE ID.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
	"github.com/spiffe-lab/spiffe-lab/services/internal/health"
	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(status(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr), os.Stderr))
}

// config is what the command line says.
type config struct {
	endpoint identity.Endpoint
	wait     time.Duration
	url      string
	serverID spiffeid.ID
	timeout  time.Duration
	interval time.Duration
	keep     bool
	maxBody  int64
	health   string
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	cfg, err := parse(args, getenv, stdout)
	if err != nil {
		return err
	}
	logger := log.New(stderr, "", log.LstdFlags)

	source, err := cfg.endpoint.Source(ctx, cfg.wait, logger)
	if err != nil {
		return err
	}
	defer source.Close()

	client := newClient(cfg, source, source)
	if cfg.interval == 0 {
		return get(ctx, client, cfg, stdout)
	}
	go identity.LogRotations(ctx, source, logger)
	return loop(ctx, client, cfg, stdout, stderr)
}

// newClient returns the client as it runs: mTLS with the SVID of svids, the server verified with
// bundles and authorized by its exact SPIFFE ID, a new connection for each request unless -keep-alive.
func newClient(cfg config, svids x509svid.Source, bundles x509bundle.Source) *http.Client {
	tlsConfig := tlsconfig.MTLSClientConfig(svids, bundles, tlsconfig.AuthorizeID(cfg.serverID))
	verify := tlsConfig.VerifyPeerCertificate
	tlsConfig.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		if err := verify(raw, chains); err != nil {
			return &refusal{err}
		}
		return nil
	}
	return &http.Client{
		Timeout: cfg.timeout,
		Transport: &http.Transport{
			TLSClientConfig:   tlsConfig,
			DisableKeepAlives: !cfg.keep,
		},
	}
}

// refusal marks an error as this client's own refusal of the server; it adds nothing to its text.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// get sends one request, and prints what the server answers if that is a success.
func get(ctx context.Context, client *http.Client, cfg config, stdout io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		//lint:ignore ST1005 the words of the go-spiffe example
		return fmt.Errorf("Error connecting to %q: %w", cfg.url, plainAlert(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, cfg.maxBody+1))
	switch {
	case err != nil:
		return fmt.Errorf("unable to read the answer of %q: %w", cfg.url, err)
	case int64(len(body)) > cfg.maxBody:
		return fmt.Errorf("the answer of %q is larger than -max-body, %d bytes", cfg.url, cfg.maxBody)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%q answered %s", cfg.url, response.Status)
	}
	_, err = fmt.Fprintf(stdout, "%s\n", body)
	return err
}

// plainAlert takes away what net/http puts before an alert of the server that arrives ahead of the
// request, a few in a thousand ("readLoopPeekFailLocked: "): the same refusal has the same words.
func plainAlert(err error) error {
	var failed *url.Error
	if alert, ok := remoteAlert(err); ok && errors.As(err, &failed) {
		return &url.Error{Op: failed.Op, URL: failed.URL, Err: alert}
	}
	return err
}

// remoteAlert finds a TLS alert from the server, which crypto/tls reports as a [net.OpError] with
// the operation "remote error".
func remoteAlert(err error) (*net.OpError, bool) {
	var remote *net.OpError
	ok := errors.As(err, &remote) && remote.Op == "remote error"
	return remote, ok
}

// soon is when a failed request is repeated at first; the time doubles up to the interval. So a
// server that starts or restarts is found at once.
const soon = 250 * time.Millisecond

// retryAfter is the pause after so many failures in a row.
func retryAfter(failures int, interval time.Duration) time.Duration {
	pause := soon
	for i := 1; i < failures && pause < interval; i++ {
		pause *= 2
	}
	return min(pause, interval)
}

// together is how long a server that does not listen yet is no failure: the lab's services start
// together, and either may be the first.
const together = 3 * time.Second

// lastRequest is the longest time that a request under way gets when the loop is told to stop.
const lastRequest = 3 * time.Second

// loop sends a request every interval until ctx is done. A failure is reported, and it goes on.
// At its end it accounts for every request; so one that is under way is not cut off at once.
func loop(ctx context.Context, client *http.Client, cfg config, stdout, stderr io.Writer) error {
	latest := &outcome{err: errors.New("no request yet"), freshFor: 3*cfg.interval + cfg.timeout}
	stopHealth, err := health.Listen(cfg.health, latest.check)
	if err != nil {
		return err
	}
	defer stopHealth()

	requests, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	context.AfterFunc(ctx, func() { time.AfterFunc(lastRequest, cutOff) })

	var served, failed, inARow int
	began := time.Now()
	logger := log.New(stderr, "", log.LstdFlags)
	for {
		request := requests
		if cfg.keep {
			request = logConnection(requests, logger)
		}
		err := get(request, client, cfg, stdout)
		if errors.Is(err, syscall.ECONNREFUSED) && served+failed == 0 && time.Since(began) < together && ctx.Err() == nil {
			time.Sleep(soon / 5) // no request was sent
			continue
		}
		latest.set(err)
		pause := cfg.interval
		if err != nil {
			failed++
			inARow++
			fmt.Fprintln(stderr, err)
			pause = retryAfter(inARow, cfg.interval)
		} else {
			served++
			inARow = 0
		}
		select {
		case <-ctx.Done():
			fmt.Fprintf(stderr, "%d requests sent: %d served, %d failed\n", served+failed, served, failed)
			return nil
		case <-time.After(pause):
		}
	}
}

// logConnection returns a context for one request. If that opens a connection it is logged, once the
// server has answered on it, with the X.509-SVID that the server showed: nobody looks at it again.
func logConnection(ctx context.Context, logger *log.Logger) context.Context {
	var opened *tls.Conn
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			if !got.Reused {
				opened, _ = got.Conn.(*tls.Conn)
			}
		},
		GotFirstResponseByte: func() {
			if opened == nil {
				return
			}
			shown := &x509svid.SVID{Certificates: opened.ConnectionState().PeerCertificates}
			logger.Printf("new connection %s -> %s; the server's X.509-SVID on it: serial %s, valid until %s",
				opened.LocalAddr(), opened.RemoteAddr(), identity.Serial(shown), identity.Expiry(shown))
		},
	})
}

// outcome is how the latest request ended.
type outcome struct {
	mu       sync.Mutex
	at       time.Time
	err      error
	freshFor time.Duration
}

func (o *outcome) set(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at, o.err = time.Now(), err
}

// check is the client's health: its latest request was served, and not long ago.
func (o *outcome) check() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && time.Since(o.at) > o.freshFor {
		return fmt.Errorf("the latest request is older than %s", o.freshFor)
	}
	return o.err
}

func parse(args []string, getenv func(string) string, stdout io.Writer) (config, error) {
	cfg := config{
		wait:     time.Minute,
		url:      "https://server:8443/",
		serverID: spiffeid.RequireFromString("spiffe://example.org/server"),
		timeout:  10 * time.Second,
		maxBody:  64 << 10,
	}
	var socket string
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.StringVar(&socket, "socket", "", "`URI` of the Workload API (default: the variable SPIFFE_ENDPOINT_SOCKET)")
	flags.Var(cli.Duration{Value: &cfg.wait}, "wait", "give up if no identity arrives within this `time`")
	flags.Var(cli.HTTPSURL{Value: &cfg.url}, "url", "`URL` to get")
	flags.Var(cli.ID{Value: &cfg.serverID}, "server-id", "`SPIFFE ID` that the server must have")
	flags.Var(cli.Duration{Value: &cfg.timeout}, "timeout", "longest `time` for a request, the connection included")
	flags.Var(cli.Duration{Value: &cfg.interval, Zero: true}, "interval", "send a request each such `time`; 0 sends one and exits")
	flags.BoolVar(&cfg.keep, "keep-alive", false, "with -interval: keep the connection open for the next request")
	flags.Var(cli.Bytes{Value: &cfg.maxBody}, "max-body", "largest answer in `bytes`")
	flags.Var(cli.Address{Value: &cfg.health}, "health", "with -interval: `address` to serve plain http /healthz on (default: none)")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `client sends an HTTP request over mTLS to exactly one server, known by its SPIFFE ID.

usage: client [flags]

`)
		flags.PrintDefaults()
		fmt.Fprint(flags.Output(), `
exit status: 0 success, 2 wrong usage, 3 no identity,
4 refused by or refusing the server, 1 anything else
`)
	}
	if err := cli.Parse(flags, args, stdout); err != nil {
		return cfg, err
	}
	if cfg.health != "" && cfg.interval == 0 {
		return cfg, cli.Usagef("-health needs -interval: a client that sends one request has no health to show")
	}
	if cfg.keep && cfg.interval == 0 {
		return cfg, cli.Usagef("-keep-alive needs -interval: a client that sends one request needs no connection after it")
	}
	var err error
	cfg.endpoint, err = identity.FindEndpoint(socket, getenv)
	return cfg, err
}

// status reports err and returns the exit status for it.
func status(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return cli.OK
	}
	var usage *cli.UsageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "client: %v\n", err)
		return cli.Usage
	case errors.Is(err, identity.ErrNone):
		fmt.Fprintf(stderr, "client: %v\n", err)
		return cli.NoIdentity
	}
	// The example's words: nothing stands before them.
	fmt.Fprintln(stderr, err)
	if refused(err) {
		return cli.Refused
	}
	return cli.Failed
}

// refused tells whether err is one side's refusal of the other: this client's own verification,
// or a TLS alert from the server.
func refused(err error) bool {
	var own *refusal
	_, remote := remoteAlert(err)
	return remote || errors.As(err, &own)
}
