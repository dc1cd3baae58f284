// Command server answers HTTP over mTLS to exactly one client. It gets its X.509-SVID and the
// trust bundle from the SPIFFE Workload API, and authorizes the client by its SPIFFE ID.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
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
	endpoint        identity.Endpoint
	wait            time.Duration
	listen          string
	health          string
	clientID        spiffeid.ID
	readTimeout     time.Duration
	writeTimeout    time.Duration
	idleTimeout     time.Duration
	shutdownTimeout time.Duration
	maxAge          time.Duration
	maxBody         int64
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
	go identity.LogRotations(ctx, source, logger)

	stopHealth, err := health.Listen(cfg.health, func() error { return current(source) })
	if err != nil {
		return err
	}
	defer stopHealth()

	listener, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		return fmt.Errorf("-listen: %w; want a free address such as :8443", err)
	}
	logger.Printf("serving on %s, for %s only", listener.Addr(), cfg.clientID)
	return serve(ctx, newServer(cfg, source, source, logger), listener, cfg.shutdownTimeout, logger)
}

// newServer returns the server as it runs: mTLS with the SVID of svids, clients verified with
// bundles and authorized by their exact SPIFFE ID, and a limit on everything a client can send.
func newServer(cfg config, svids x509svid.Source, bundles x509bundle.Source, logger *log.Logger) *http.Server {
	tlsConfig := tlsconfig.MTLSServerConfig(svids, bundles, tlsconfig.AuthorizeID(cfg.clientID))
	// A resumed session skips the verification above: a client would be let in with what it was
	// once allowed. So every connection does the whole handshake.
	tlsConfig.SessionTicketsDisabled = true

	return &http.Server{
		Handler:        bounded(cfg.maxAge, logger, handler(cfg.maxBody, logger)),
		ConnContext:    withStart,
		TLSConfig:      tlsConfig,
		ReadTimeout:    cfg.readTimeout,
		WriteTimeout:   cfg.writeTimeout,
		IdleTimeout:    cfg.idleTimeout,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       logger, // a refused handshake is reported here, with its reason
	}
}

// startKey is the key under which a connection's context holds the time of its start.
type startKey struct{}

func withStart(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, startKey{}, time.Now())
}

// bounded closes a connection after the first answer that is given past maxAge; 0 is no bound. A
// client is verified when it connects and never again: the age bounds how long that may count.
func bounded(maxAge time.Duration, logger *log.Logger, next http.Handler) http.Handler {
	if maxAge == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if start, ok := r.Context().Value(startKey{}).(time.Time); ok && time.Since(start) >= maxAge {
			logger.Printf("closing the connection from %s behind this answer: it is older than -max-connection-age, %s", r.RemoteAddr, maxAge)
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func handler(maxBody int64, logger *log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				logger.Printf("request body refused: larger than -max-body, %d bytes", maxBody)
				http.Error(w, fmt.Sprintf("request body larger than %d bytes", maxBody), http.StatusRequestEntityTooLarge)
			}
			return
		}
		// The handshake has verified the certificate; its SPIFFE ID is the client's name.
		id, err := x509svid.IDFromCert(r.TLS.PeerCertificates[0])
		if err != nil {
			http.Error(w, "no SPIFFE ID", http.StatusForbidden)
			return
		}
		logger.Printf("Request received from %q: %s %q", id, r.Method, r.URL.Path)
		_, _ = io.WriteString(w, "Success!!!")
	})
}

// serve returns nil once ctx is done and the requests in flight are answered, or limit is over.
func serve(ctx context.Context, server *http.Server, listener net.Listener, limit time.Duration, logger *log.Logger) error {
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	select {
	case err := <-failed:
		return fmt.Errorf("failed to serve: %w", err)
	case <-ctx.Done():
	}
	logger.Printf("shutting down")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		logger.Printf("requests still open after %s are cut off", limit)
		return server.Close()
	}
	return nil
}

// current is the server's health: it holds an X.509-SVID that has not expired.
func current(source x509svid.Source) error {
	svid, err := source.GetX509SVID()
	if err != nil {
		return err
	}
	if time.Now().After(svid.Certificates[0].NotAfter) {
		return fmt.Errorf("the X.509-SVID expired at %s", identity.Expiry(svid))
	}
	return nil
}

func parse(args []string, getenv func(string) string, stdout io.Writer) (config, error) {
	cfg := config{
		wait:            time.Minute,
		listen:          ":8443",
		clientID:        spiffeid.RequireFromString("spiffe://example.org/client"),
		readTimeout:     10 * time.Second,
		writeTimeout:    10 * time.Second,
		idleTimeout:     30 * time.Second,
		shutdownTimeout: 4 * time.Second,
		maxBody:         64 << 10,
	}
	var socket string
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.StringVar(&socket, "socket", "", "`URI` of the Workload API (default: the variable SPIFFE_ENDPOINT_SOCKET)")
	flags.Var(cli.Duration{Value: &cfg.wait}, "wait", "give up if no identity arrives within this `time`")
	flags.Var(cli.Address{Value: &cfg.listen}, "listen", "`address` to serve HTTPS on")
	flags.Var(cli.Address{Value: &cfg.health}, "health", "`address` to serve plain http /healthz on (default: none)")
	flags.Var(cli.ID{Value: &cfg.clientID}, "client-id", "`SPIFFE ID` of the one client that is served")
	flags.Var(cli.Duration{Value: &cfg.readTimeout}, "read-timeout", "longest `time` to read a request, the handshake included")
	flags.Var(cli.Duration{Value: &cfg.writeTimeout}, "write-timeout", "longest `time` to write an answer")
	flags.Var(cli.Duration{Value: &cfg.idleTimeout}, "idle-timeout", "`time` after which an idle connection is closed")
	flags.Var(cli.Duration{Value: &cfg.shutdownTimeout}, "shutdown-timeout", "`time` that open requests get on SIGTERM, 5s at most")
	flags.Var(cli.Duration{Value: &cfg.maxAge, Zero: true}, "max-connection-age", "`time` after which a connection is closed behind the next answer; 0 never")
	flags.Var(cli.Bytes{Value: &cfg.maxBody}, "max-body", "largest request body in `bytes`")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `server answers HTTP over mTLS to exactly one client, known by its SPIFFE ID.

usage: server [flags]

`)
		flags.PrintDefaults()
		fmt.Fprint(flags.Output(), `
exit status: 0 stopped by a signal, 2 wrong usage, 3 no identity, 1 anything else
`)
	}
	if err := cli.Parse(flags, args, stdout); err != nil {
		return cfg, err
	}
	if cfg.listen == "" {
		return cfg, cli.Usagef("-listen is empty: want an address such as :8443")
	}
	if cfg.shutdownTimeout > 5*time.Second {
		return cfg, cli.Usagef("-shutdown-timeout is %s: want 5s at most", cfg.shutdownTimeout)
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
	fmt.Fprintf(stderr, "server: %v\n", err)
	var usage *cli.UsageError
	switch {
	case errors.As(err, &usage):
		return cli.Usage
	case errors.Is(err, identity.ErrNone):
		return cli.NoIdentity
	default:
		return cli.Failed
	}
}
