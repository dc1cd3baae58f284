// Package health serves a program's health over plain HTTP, on a separate port. A probe of the mTLS port would write
// handshake errors into the log that learners read.
package health

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// Listen serves GET /healthz on addr until stop is called. The status is 200 while check returns nil. Otherwise the
// status is 503, and the body is the error of check. If addr is empty, Listen serves nothing.
func Listen(addr string, check func() error) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-health: %w; want a free address", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }, nil
}
