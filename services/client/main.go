// Command client sends HTTP requests over mTLS to exactly one server. It gets its X.509-SVID and
// the trust bundle from the SPIFFE Workload API, and authorizes the server by its SPIFFE ID.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

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

	client := newClient(cfg, source, source)
	if cfg.interval == 0 {
		return get(ctx, client, cfg, stdout)
	}
	go identity.LogRotations(ctx, source, logger)
	return loop(ctx, client, cfg, stdout, stderr)
}

// newClient returns the HTTP client. The client presents the SVID from svids. It verifies the server with
// bundles, and authorizes the server by its exact SPIFFE ID. Each request has a new connection, unless
// -keep-alive is set.
func newClient(cfg config, svids x509svid.Source, bundles x509bundle.Source) *http.Client {
	tlsConfig := tlsconfig.MTLSClientConfig(svids, bundles, tlsconfig.AuthorizeID(cfg.serverID))
	tlsConfig.VerifyPeerCertificate = markRefusals(tlsConfig.VerifyPeerCertificate)
	return &http.Client{
		Timeout: cfg.timeout,
		Transport: &http.Transport{
			TLSClientConfig:   tlsConfig,
			DisableKeepAlives: !cfg.keep,
		},
	}
}

// get sends one request. If the server answers with success, get prints the body of the response.
func get(ctx context.Context, client *http.Client, cfg config, stdout io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		//lint:ignore ST1005 the message of the go-spiffe example
		return fmt.Errorf("Error connecting to %q: %w", cfg.url, plainAlert(err))
	}
	defer response.Body.Close()
	body, err := readBody(response, cfg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\n", body)
	return err
}
