package main

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/spiffe-lab/spiffe-lab/services/internal/testca"
)

// BenchmarkServer sends requests to two servers: the lab's server, and a server that differs only
// in its use of crypto/tls with static certificates. It measures requests over new connections, and
// over one kept connection. `make bench` runs the two servers in turn, and compares them.
func BenchmarkServer(b *testing.B) {
	ca := testca.New(b, "example.org")
	cfg, err := parse([]string{"-socket", "unix:///none"}, func(string) string { return "" }, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	logger := log.New(io.Discard, "", log.LstdFlags)
	spiffe := func() (*http.Server, *tls.Config) {
		client := tlsconfig.MTLSClientConfig(ca.SVID(clientID, time.Hour), ca.Bundle(), tlsconfig.AuthorizeID(spiffeid.RequireFromString(serverID)))
		return newServer(cfg, ca.SVID(serverID, time.Hour), ca.Bundle(), logger), client
	}
	static := func() (*http.Server, *tls.Config) {
		server := newServer(cfg, ca.SVID(serverID, time.Hour), ca.Bundle(), logger)
		server.TLSConfig = &tls.Config{
			Certificates:           []tls.Certificate{ca.Static(serverID)},
			ClientAuth:             tls.RequireAndVerifyClientCert,
			ClientCAs:              ca.Pool(),
			SessionTicketsDisabled: true,
		}
		return server, &tls.Config{Certificates: []tls.Certificate{ca.Static(clientID)}, RootCAs: ca.Pool()}
	}
	for _, connection := range []string{"new", "kept"} {
		b.Run(connection+"/static", func(b *testing.B) { request(b, static, connection == "kept") })
		b.Run(connection+"/spiffe", func(b *testing.B) { request(b, spiffe, connection == "kept") })
	}
}

func request(b *testing.B, pair func() (*http.Server, *tls.Config), keep bool) {
	server, config := pair()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- serve(ctx, server, listener, time.Second, log.New(io.Discard, "", 0)) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: !keep}}
	b.Cleanup(func() {
		client.CloseIdleConnections()
		stop()
		<-done
	})
	url := "https://" + listener.Addr().String() + "/"
	for b.Loop() {
		response, err := client.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(body) != "Success!!!" {
			b.Fatalf("%q, %v", body, err)
		}
	}
}
