package main

import (
	"crypto/x509"
	"errors"
	"net"
	"net/url"
)

// verifier is a check of the peer's certificate, as [crypto/tls.Config] calls it.
type verifier = func(raw [][]byte, chains [][]*x509.Certificate) error

// refusal marks an error as this client's own refusal of the server; it adds nothing to its text.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// markRefusals makes each error of verify a refusal.
func markRefusals(verify verifier) verifier {
	return func(raw [][]byte, chains [][]*x509.Certificate) error {
		if err := verify(raw, chains); err != nil {
			return &refusal{err}
		}
		return nil
	}
}

// refused tells whether err is one side's refusal of the other: this client's own verification,
// or a TLS alert from the server.
func refused(err error) bool {
	var own *refusal
	_, remote := remoteAlert(err)
	return remote || errors.As(err, &own)
}

// plainAlert takes away what net/http puts before an alert of the server that arrives ahead of the
// request, a few in a thousand ("readLoopPeekFailLocked: "): the same refusal has the same words.
func plainAlert(err error) error {
	var failed *url.Error
	if alert, ok := remoteAlert(err); ok && errors.As(err, &failed) {
		return &url.Error{Op: failed.Op, URL: failed.URL, Err: alert}
	}
	return err
}

// remoteAlert finds a TLS alert from the server, which crypto/tls reports as a [net.OpError] with
// the operation "remote error".
func remoteAlert(err error) (*net.OpError, bool) {
	var remote *net.OpError
	ok := errors.As(err, &remote) && remote.Op == "remote error"
	return remote, ok
}
