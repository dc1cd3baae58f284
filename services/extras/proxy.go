//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

func relay(ctx context.Context, args []string, stdout io.Writer, logger *log.Logger) error {
	listen, to := ":8443", "server:8443"
	flags := flag.NewFlagSet("relay", flag.ContinueOnError)
	flags.Var(cli.Address{Value: &listen}, "listen", "`address` to listen on")
	flags.Var(cli.Address{Value: &to}, "to", "`address` to connect to")
	if err := cli.Parse(flags, args, stdout); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	logger.Printf("passing connections on to %s", to)
	for {
		from, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go pass(from, to, logger)
	}
}

func pass(from net.Conn, to string, logger *log.Logger) {
	defer from.Close()
	onward, err := net.Dial("tcp", to)
	if err != nil {
		logger.Print(err)
		return
	}
	defer onward.Close()
	logger.Printf("passing a connection on from %s", from.RemoteAddr())
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(onward, from)
		_ = onward.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	_, _ = io.Copy(from, onward)
	_ = from.(*net.TCPConn).CloseWrite()
	<-done
}

// forwardedClient is the header in which the proxy names the client, as Envoy does.
const forwardedClient = "X-Forwarded-Client-Cert"

// terminate terminates the clients' TLS connections, and forwards their requests over new connections.
func terminate(ctx context.Context, args []string, stdout io.Writer, logger *log.Logger) error {
	listen, to := ":8443", "https://server:8443/"
	flags := flag.NewFlagSet("terminate", flag.ContinueOnError)
	flags.Var(cli.Address{Value: &listen}, "listen", "`address` to serve HTTPS on")
	flags.Var(cli.HTTPSURL{Value: &to}, "to", "`URL` to send requests to")
	if err := cli.Parse(flags, args, stdout); err != nil {
		return err
	}
	target, err := url.Parse(to)
	if err != nil {
		return err
	}
	source, err := newSource(ctx, logger)
	if err != nil {
		return err
	}
	defer source.Close()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Del(forwardedClient) // the client's own header does not count
			if id, err := peer(r.In); err == nil {
				logger.Printf("sending on a request of %q", id)
				r.Out.Header.Set(forwardedClient, "URI="+id.String())
			}
		},
		Transport: &http.Transport{
			TLSClientConfig:   tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/server"))),
			DisableKeepAlives: true,
		},
		ErrorLog: logger,
	}
	onlyClient := tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/client"))
	return serve(ctx, newServer(source, source, onlyClient, proxy), listen, logger)
}
