package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// limit puts a limit on everything that a client can send, and on how long it may take.
func limit(server *http.Server, cfg config) {
	server.ConnContext = withStart
	server.ReadTimeout = cfg.readTimeout
	server.WriteTimeout = cfg.writeTimeout
	server.IdleTimeout = cfg.idleTimeout
	server.MaxHeaderBytes = 16 << 10
}

// readBody reads the request's body to its end. It reports false, having answered, if the body is
// larger than maxBody bytes or cannot be read.
func readBody(w http.ResponseWriter, r *http.Request, maxBody int64, logger *log.Logger) bool {
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		logger.Printf("request body refused: larger than -max-body, %d bytes", maxBody)
		http.Error(w, fmt.Sprintf("request body larger than %d bytes", maxBody), http.StatusRequestEntityTooLarge)
	}
	return err == nil
}

// startKey is the key under which a connection's context holds the time of its start.
type startKey struct{}

func withStart(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, startKey{}, time.Now())
}

// limitAge closes a connection after the first response past maxAge; 0 disables it. A client is
// verified when it connects and never again: the age limits how long that may count.
func limitAge(maxAge time.Duration, logger *log.Logger, next http.Handler) http.Handler {
	if maxAge == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if start, ok := r.Context().Value(startKey{}).(time.Time); ok && time.Since(start) >= maxAge {
			logger.Printf("closing the connection from %s after this response: it is older than -max-connection-age, %s", r.RemoteAddr, maxAge)
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
