# shellcheck shell=bash
# the server also accepts a client without a certificate
replace services/server/main.go '	tlsConfig.SessionTicketsDisabled = true
' '	tlsConfig.SessionTicketsDisabled = true
	tlsConfig.ClientAuth = tls.RequestClientCert
	verify := tlsConfig.VerifyPeerCertificate
	tlsConfig.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		if len(raw) == 0 {
			return nil
		}
		return verify(raw, chains)
	}
'
replace services/server/main.go '	"context"
' '	"context"
	"crypto/tls"
	"crypto/x509"
'
caught_by unit server TestServerRefuses/no_certificate 'the client got'
caught_by scenario no-certificate 'the server refused, and logs that the client sent no certificate: server did not log within '
