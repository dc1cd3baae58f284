//go:build unix

package main

import (
	"context"
	"flag"
	"io"
	"log"
	"net/http"
	"slices"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// prefix serves every client whose SPIFFE ID is at or below one SPIFFE ID.
func prefix(ctx context.Context, args []string, stdout io.Writer, logger *log.Logger) error {
	allowed := spiffeid.RequireFromString("spiffe://example.org/client")
	address := ":8443"
	flags := flag.NewFlagSet("prefix", flag.ContinueOnError)
	flags.Var(cli.ID{Value: &allowed}, "id", "`SPIFFE ID` to accept, with every SPIFFE ID below it")
	flags.Var(cli.Address{Value: &address}, "listen", "`address` to serve HTTPS on")
	if err := cli.Parse(flags, args, stdout); err != nil {
		return err
	}
	source, err := newSource(ctx, logger)
	if err != nil {
		return err
	}
	defer source.Close()
	return serve(ctx, newServer(source, source, authorizePrefix(allowed), greet(logger)), address, logger)
}

// authorizePrefix accepts a SPIFFE ID, and every SPIFFE ID below it.
func authorizePrefix(allowed spiffeid.ID) tlsconfig.Authorizer {
	return tlsconfig.AuthorizeIDPrefix(allowed)
}

// readers has, for each path that the command paths serves, the clients that may read this path.
var readers = map[string][]spiffeid.ID{
	"/prices": {spiffeid.RequireFromString("spiffe://example.org/client"), spiffeid.RequireFromString("spiffe://example.org/guest")},
	"/orders": {spiffeid.RequireFromString("spiffe://example.org/client")},
}

// paths serves each client of the trust domain only the paths that this client may read.
func paths(ctx context.Context, args []string, stdout io.Writer, logger *log.Logger) error {
	address := ":8443"
	flags := flag.NewFlagSet("paths", flag.ContinueOnError)
	flags.Var(cli.Address{Value: &address}, "listen", "`address` to serve HTTPS on")
	if err := cli.Parse(flags, args, stdout); err != nil {
		return err
	}
	source, err := newSource(ctx, logger)
	if err != nil {
		return err
	}
	defer source.Close()
	anyMember := tlsconfig.AuthorizeMemberOf(spiffeid.RequireTrustDomainFromString("example.org"))
	return serve(ctx, newServer(source, source, anyMember, authorizePaths(greet(logger), logger)), address, logger)
}

// authorizePaths decides on each request by the client's SPIFFE ID and the path, and logs the decision.
func authorizePaths(next http.Handler, logger *log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := peer(r)
		if err != nil || !slices.Contains(readers[r.URL.Path], id) {
			logger.Printf("audit: denied %q %s %q", id, r.Method, r.URL.Path)
			http.Error(w, "not allowed", http.StatusForbidden)
			return
		}
		logger.Printf("audit: allowed %q %s %q", id, r.Method, r.URL.Path)
		next.ServeHTTP(w, r)
	})
}

func newServer(svids x509svid.Source, bundles x509bundle.Source, authorizer tlsconfig.Authorizer, handler http.Handler) *http.Server {
	config := tlsconfig.MTLSServerConfig(svids, bundles, authorizer)
	config.SessionTicketsDisabled = true // a resumed session would skip the verification
	return &http.Server{Handler: handler, TLSConfig: config}
}

// greet answers as the lab's server does.
func greet(logger *log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := peer(r)
		if err != nil {
			http.Error(w, "no SPIFFE ID", http.StatusForbidden)
			return
		}
		logger.Printf("Request received from %q: %s %q", id, r.Method, r.URL.Path)
		_, _ = io.WriteString(w, "Success!!!")
	})
}

// peer returns the client's SPIFFE ID, which the handshake has verified.
func peer(r *http.Request) (spiffeid.ID, error) {
	return x509svid.IDFromCert(r.TLS.PeerCertificates[0])
}
