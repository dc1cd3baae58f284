// Package testca is a certificate authority in memory. It is for unit tests only.
package testca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// CA issues certificates for one trust domain.
type CA struct {
	t           testing.TB
	certificate *x509.Certificate
	key         crypto.Signer
	trustDomain spiffeid.TrustDomain
}

// New returns a CA for the trust domain. Each CA has a new key.
func New(t testing.TB, trustDomain string) *CA {
	t.Helper()
	ca := &CA{t: t, key: newKey(t), trustDomain: spiffeid.RequireTrustDomainFromString(trustDomain)}
	template := &x509.Certificate{
		SerialNumber:          serial(t),
		Subject:               pkix.Name{CommonName: trustDomain},
		URIs:                  []*url.URL{ca.trustDomain.ID().URL()},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	ca.certificate = ca.sign(template, template, ca.key.Public(), ca.key)
	return ca
}

// Bundle returns the trust bundle of the CA's trust domain.
func (ca *CA) Bundle() *x509bundle.Bundle {
	return x509bundle.FromX509Authorities(ca.trustDomain, []*x509.Certificate{ca.certificate})
}

// Pool returns the trust bundle as a certificate pool for crypto/tls.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	return pool
}

// SVID issues an X.509-SVID. The parameter expires is the time from now until the SVID's expiry, and may be negative.
func (ca *CA) SVID(id string, expires time.Duration) *x509svid.SVID {
	ca.t.Helper()
	parsed := spiffeid.RequireFromString(id)
	certificate, key := ca.issue([]*url.URL{parsed.URL()}, nil, expires)
	return &x509svid.SVID{ID: parsed, Certificates: []*x509.Certificate{certificate}, PrivateKey: key}
}

// NoID issues a valid certificate without a name.
func (ca *CA) NoID() tls.Certificate {
	ca.t.Helper()
	certificate, key := ca.issue(nil, nil, time.Hour)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

// Static issues a certificate for 127.0.0.1 that also has a SPIFFE ID. So crypto/tls can verify it by this address, without SPIFFE.
func (ca *CA) Static(id string) tls.Certificate {
	ca.t.Helper()
	loopback := []net.IP{net.IPv4(127, 0, 0, 1)}
	certificate, key := ca.issue([]*url.URL{spiffeid.RequireFromString(id).URL()}, loopback, time.Hour)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate}
}

func (ca *CA) issue(uris []*url.URL, addresses []net.IP, expires time.Duration) (*x509.Certificate, crypto.Signer) {
	ca.t.Helper()
	key := newKey(ca.t)
	template := &x509.Certificate{
		SerialNumber: serial(ca.t),
		URIs:         uris,
		IPAddresses:  addresses,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(expires),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return ca.sign(template, ca.certificate, key.Public(), ca.key), key
}

func (ca *CA) sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	ca.t.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		ca.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		ca.t.Fatal(err)
	}
	return certificate
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	return number
}
