package main

import (
	"crypto/x509"
	"errors"
	"net"
	"net/url"
)

// verifier checks the peer's certificate, as VerifyPeerCertificate of [crypto/tls.Config] does.
type verifier = func(raw [][]byte, chains [][]*x509.Certificate) error

// refusal marks an error as this client's refusal of the server. It does not change the text of the error.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// markRefusals marks each error of the function verify as a refusal.
func markRefusals(verify verifier) verifier {
	return func(raw [][]byte, chains [][]*x509.Certificate) error {
		if err := verify(raw, chains); err != nil {
			return &refusal{err}
		}
		return nil
	}
}

// refused reports whether err is a refusal: either this client's verification of the server failed, or the server
// sent a TLS alert.
func refused(err error) bool {
	var own *refusal
	_, remote := remoteAlert(err)
	return remote || errors.As(err, &own)
}

// plainAlert removes the prefix "readLoopPeekFailLocked: ", so that equal refusals have equal messages. net/http adds
// this prefix to an alert that arrives before the request is sent, which happens a few times in a thousand.
func plainAlert(err error) error {
	var failed *url.Error
	if alert, ok := remoteAlert(err); ok && errors.As(err, &failed) {
		return &url.Error{Op: failed.Op, URL: failed.URL, Err: alert}
	}
	return err
}

// remoteAlert returns the TLS alert that the server sent. crypto/tls reports it as a [net.OpError] with the operation
// "remote error".
func remoteAlert(err error) (*net.OpError, bool) {
	var remote *net.OpError
	ok := errors.As(err, &remote) && remote.Op == "remote error"
	return remote, ok
}
