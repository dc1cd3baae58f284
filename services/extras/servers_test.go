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

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/spiffe-lab/spiffe-lab/services/internal/testca"
)

// start starts a server of this package. It returns the server's URL, and a client that has the given SPIFFE ID.
func start(t *testing.T, ca *testca.CA, id string, authorizer tlsconfig.Authorizer, handler http.Handler) (url string, client *http.Client) {
	t.Helper()
	server := newServer(ca.SVID("spiffe://example.org/server", time.Hour), ca.Bundle(), authorizer, handler)
	server.ErrorLog = log.New(io.Discard, "", 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { server.Close() })
	config := tlsconfig.MTLSClientConfig(ca.SVID(id, time.Hour), ca.Bundle(), tlsconfig.AuthorizeAny())
	return "https://" + listener.Addr().String(), &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
}

func TestPrefix(t *testing.T) {
	ca := testca.New(t, "example.org")
	logger := log.New(io.Discard, "", 0)
	for id, want := range map[string]bool{
		"spiffe://example.org/client":       true,
		"spiffe://example.org/client/a":     true,
		"spiffe://example.org/client/a/b":   true,
		"spiffe://example.org/client-evil":  false,
		"spiffe://example.org/clients":      false,
		"spiffe://example.org/server":       false,
		"spiffe://example.org/other/client": false,
	} {
		url, client := start(t, ca, id, authorizePrefix(spiffeid.RequireFromString("spiffe://example.org/client")), greet(logger))
		response, err := client.Get(url)
		if err == nil {
			response.Body.Close()
		}
		if got := err == nil; got != want {
			t.Errorf("%s: served is %v, want %v (%v)", id, got, want, err)
		}
	}
}

func TestPaths(t *testing.T) {
	ca := testca.New(t, "example.org")
	for _, test := range []struct {
		id, path string
		status   int
		audit    string
	}{
		{"spiffe://example.org/client", "/prices", http.StatusOK, `audit: allowed "spiffe://example.org/client" GET "/prices"`},
		{"spiffe://example.org/client", "/orders", http.StatusOK, `audit: allowed "spiffe://example.org/client" GET "/orders"`},
		{"spiffe://example.org/guest", "/prices", http.StatusOK, `audit: allowed "spiffe://example.org/guest" GET "/prices"`},
		{"spiffe://example.org/guest", "/orders", http.StatusForbidden, `audit: denied "spiffe://example.org/guest" GET "/orders"`},
		{"spiffe://example.org/guest", "/orders/", http.StatusForbidden, `audit: denied "spiffe://example.org/guest" GET "/orders/"`},
		{"spiffe://example.org/other", "/prices", http.StatusForbidden, `audit: denied "spiffe://example.org/other" GET "/prices"`},
		{"spiffe://example.org/client", "/unknown", http.StatusForbidden, `audit: denied "spiffe://example.org/client" GET "/unknown"`},
	} {
		var audit strings.Builder
		logger := log.New(&audit, "", 0)
		member := tlsconfig.AuthorizeMemberOf(spiffeid.RequireTrustDomainFromString("example.org"))
		url, client := start(t, ca, test.id, member, authorizePaths(greet(log.New(io.Discard, "", 0)), logger))
		response, err := client.Get(url + test.path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.status || strings.TrimSpace(audit.String()) != test.audit {
			t.Errorf("%s %s: %d, %q", test.id, test.path, response.StatusCode, audit.String())
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	var errors strings.Builder
	if got := run(context.Background(), []string{"unknown"}, io.Discard, &errors); got != 2 || !strings.Contains(errors.String(), "want one of exec, mint, paths, pick, prefix") {
		t.Errorf("status %d, %s", got, errors.String())
	}
}
