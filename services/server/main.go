// Command server answers HTTP over mTLS to exactly one client. It gets its X.509-SVID and the
// trust bundle from the SPIFFE Workload API, and authorizes the client by its SPIFFE ID.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/spiffe-lab/spiffe-lab/services/internal/health"
	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(status(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr), os.Stderr))
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	cfg, err := parse(args, getenv, stdout)
	if err != nil {
		return err
	}
	logger := log.New(stderr, "", log.LstdFlags)

	// The source holds the X.509-SVID of this program and the trust bundle, and keeps both current.
	wait := cfg.endpoint.Wait(ctx, cfg.wait, logger)
	source, err := workloadapi.NewX509Source(wait, wait.Options()...)
	if err := wait.End(err); err != nil {
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

// newServer returns the HTTP server. It presents the SVID from svids, verifies clients with bundles, and authorizes
// them by their exact SPIFFE ID.
func newServer(cfg config, svids x509svid.Source, bundles x509bundle.Source, logger *log.Logger) *http.Server {
	tlsConfig := tlsconfig.MTLSServerConfig(svids, bundles, tlsconfig.AuthorizeID(cfg.clientID))
	// go-spiffe 2.9.0 verifies the client in VerifyPeerCertificate, which a resumed session skips. So with session
	// tickets, a client whose CA has been revoked could still connect. Without them every connection makes a full
	// handshake.
	tlsConfig.SessionTicketsDisabled = true

	server := &http.Server{
		Handler:   handler(cfg.maxBody, logger),
		TLSConfig: tlsConfig,
		ErrorLog:  logger, // a refused handshake is reported here, with its reason
	}
	limit(server, cfg, logger)
	return server
}

// handler answers the clients that the handshake has authorized.
func handler(maxBody int64, logger *log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !readBody(w, r, maxBody, logger) {
			return
		}
		// The handshake has verified this certificate, so its SPIFFE ID is the client's.
		id, err := x509svid.IDFromCert(r.TLS.PeerCertificates[0])
		if err != nil {
			http.Error(w, "no SPIFFE ID", http.StatusForbidden)
			return
		}
		logger.Printf("Request received from %q: %s %q", id, r.Method, r.URL.Path)
		_, _ = io.WriteString(w, "Success!!!")
	})
}
