package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
)

// serve serves until ctx is done. It then waits for requests in progress, but no longer than the parameter
// limit, and returns nil.
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

// current returns an error if the source has no X.509-SVID, or one that has expired.
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
