//go:build unix

package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/spiffe-lab/spiffe-lab/services/internal/testca"
)

func TestRequest(t *testing.T) {
	ca, other := testca.New(t, "example.org"), testca.New(t, "example.org")
	client := ca.SVID("spiffe://example.org/client", time.Hour)
	serve := func(server *x509svid.SVID, tickets bool) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), TLSConfig: tlsconfig.MTLSServerConfig(server, ca.Bundle(), tlsconfig.AuthorizeID(client.ID)),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Success!!!") })}
		s.TLSConfig.SessionTicketsDisabled = !tickets
		go func() { _ = s.ServeTLS(listener, "", "") }()
		t.Cleanup(func() { _ = s.Close() })
		return "https://" + listener.Addr().String() + "/"
	}
	of := func(svid *x509svid.SVID) *workloadapi.X509Context {
		return &workloadapi.X509Context{SVIDs: []*x509svid.SVID{svid}, Bundles: x509bundle.NewSet(ca.Bundle())}
	}
	server := ca.SVID("spiffe://example.org/server", time.Hour)
	closed, open := serve(server, false), serve(server, true)
	foreign := serve(other.SVID("spiffe://example.org/server", time.Hour), false)

	for _, test := range []struct {
		name    string
		target  string
		svids   *workloadapi.X509Context
		with    bool
		status  int
		tickets bool
		text    string
	}{
		{"served", closed, of(client), true, 200, false, ""},
		{"session tickets", open, of(client), true, 200, true, ""},
		{"another ID", closed, of(ca.SVID("spiffe://example.org/guest", time.Hour)), true, 0, false, "bad certificate"},
		{"no certificate", closed, nil, false, 0, false, "certificate required"},
		{"a server of another CA", foreign, of(client), true, 0, false, "unknown authority"},
	} {
		t.Run(test.name, func(t *testing.T) {
			seen := request(context.Background(), test.target, test.svids, test.with)
			if seen.Status != test.status || (seen.Tickets > 0) != test.tickets || !strings.Contains(seen.Error, test.text) {
				t.Errorf("got %+v, want status %d, tickets %t, %q", seen, test.status, test.tickets, test.text)
			}
			if seen.Peer == nil || seen.Peer.ID != "spiffe://example.org/server" {
				t.Errorf("the peer is %+v", seen.Peer)
			}
		})
	}
}
