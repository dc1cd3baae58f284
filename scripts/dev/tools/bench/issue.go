package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// issue writes static certificates like the SVIDs of the lab, with the same kind of key and a chain of the same length.
// They are valid for a day, and serve only for this measurement.
func issue(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour),
		URIs: uris(""), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(dir, "ca.pem"), authority, authority, key, key); err != nil {
		return err
	}
	for i, name := range []string{"server", "client"} {
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(int64(2 + i)), NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
			URIs: uris("/" + name), DNSNames: []string{"static-" + name}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(dir, name+".pem"), leaf, authority, own, key); err != nil {
			return err
		}
	}
	return nil
}

func uris(path string) []*url.URL {
	return []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: path}}
}

// write signs the certificate, and writes it with its key into a file that all users of the lab can read.
func write(file string, certificate, issuer *x509.Certificate, own, signer *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, certificate, issuer, own.Public(), signer)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if !certificate.IsCA {
		private, err := x509.MarshalPKCS8PrivateKey(own)
		if err != nil {
			return err
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	}
	return os.WriteFile(file, text, 0o644)
}
