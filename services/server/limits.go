package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// limit sets the largest size of everything that a client can send, and the longest time that sending may take.
func limit(server *http.Server, cfg config, logger *log.Logger) {
	server.ReadTimeout = cfg.readTimeout
	server.WriteTimeout = cfg.writeTimeout
	server.IdleTimeout = cfg.idleTimeout
	server.MaxHeaderBytes = 16 << 10
	// These limits assume one request at a time on a connection. HTTP/2 allows several.
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	limitAge(server, cfg.maxAge, logger)
}

// readBody reads the request's body to its end. If the body cannot be read or is larger than maxBody bytes, readBody
// returns false. The answer to a body that is too large is 413.
func readBody(w http.ResponseWriter, r *http.Request, maxBody int64, logger *log.Logger) bool {
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		logger.Printf("request body refused: larger than -max-body, %d bytes", maxBody)
		http.Error(w, fmt.Sprintf("request body larger than %d bytes", maxBody), http.StatusRequestEntityTooLarge)
	}
	return err == nil
}

// age says when a connection ends.
type age struct {
	end   time.Time
	timer *time.Timer // closes the connection at end; it is stopped while a request is in progress
}

type ageKey struct{}

// limitAge makes the server close each connection at the age maxAge, even if no request comes. A maxAge of 0 disables
// this limit. The server verifies a client only when the client connects, so the limit is also the longest time for
// which that verification counts. A request in progress at that age is answered first, which takes at most
// -read-timeout plus -write-timeout.
func limitAge(server *http.Server, maxAge time.Duration, logger *log.Logger) {
	if maxAge == 0 {
		return
	}
	var ages sync.Map // an *age for each open connection
	end := func(conn net.Conn) {
		logger.Printf("closing the connection from %s: it is older than -max-connection-age, %s", conn.RemoteAddr(), maxAge)
		conn.Close()
	}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		a := &age{time.Now().Add(maxAge), time.AfterFunc(maxAge, func() { end(conn) })}
		ages.Store(conn, a)
		return context.WithValue(ctx, ageKey{}, a)
	}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.Context().Value(ageKey{}).(*age).timer.Stop() {
			panic(http.ErrAbortHandler) // too late: the connection is being closed
		}
		next.ServeHTTP(w, r)
	})
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		known, _ := ages.Load(conn)
		switch a := known.(*age); state {
		case http.StateIdle: // the response has been sent
			if left := time.Until(a.end); left > 0 {
				a.timer.Reset(left)
			} else {
				end(conn)
			}
		case http.StateClosed:
			a.timer.Stop()
			ages.Delete(conn)
		}
	}
}
