package main

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/testca"
)

// BenchmarkClient sends requests with two clients: the lab's client, and a client that differs only
// in its use of crypto/tls with static certificates. It measures requests over new connections, and
// over one kept connection. `make bench` runs the two clients in turn, and compares them.
func BenchmarkClient(b *testing.B) {
	ca := testca.New(b, "example.org")
	spiffe := func(b *testing.B, cfg config) (string, *http.Client) {
		url := listen(b, mtls(ca.SVID(serverID, time.Hour), ca, clientID), success)
		return url, newClient(cfg, ca.SVID(clientID, time.Hour), ca.Bundle())
	}
	static := func(b *testing.B, cfg config) (string, *http.Client) {
		url := listen(b, &tls.Config{
			Certificates: []tls.Certificate{ca.Static(serverID)},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    ca.Pool(),
		}, success)
		client := newClient(cfg, ca.SVID(clientID, time.Hour), ca.Bundle())
		client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{Certificates: []tls.Certificate{ca.Static(clientID)}, RootCAs: ca.Pool()}
		return url, client
	}
	for _, connection := range []string{"new", "kept"} {
		b.Run(connection+"/static", func(b *testing.B) { request(b, static, connection == "kept") })
		b.Run(connection+"/spiffe", func(b *testing.B) { request(b, spiffe, connection == "kept") })
	}
}

// request measures one iteration of the client's loop: a request and its response.
func request(b *testing.B, pair func(*testing.B, config) (string, *http.Client), keep bool) {
	cfg, err := parse([]string{"-socket", "unix:///none", "-interval", "1s"}, func(string) string { return "" }, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	cfg.keep = keep
	var client *http.Client
	cfg.url, client = pair(b, cfg)
	b.Cleanup(client.CloseIdleConnections)
	for b.Loop() {
		if err := get(context.Background(), client, cfg, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
