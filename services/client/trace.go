package main

import (
	"context"
	"crypto/tls"
	"log"
	"net/http/httptrace"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
)

// logConnection returns a context for one request. If the request opens a connection, the connection and the server's
// X.509-SVID are logged at the first byte of the response. The client verifies this SVID only once, when it connects.
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
