# shellcheck shell=bash
# the server asks for a client certificate, but does not verify it
replace services/server/main.go '	tlsConfig.SessionTicketsDisabled = true
' '	tlsConfig.SessionTicketsDisabled = true
	tlsConfig.ClientAuth = tls.RequireAnyClientCert
	tlsConfig.VerifyPeerCertificate = nil
'
replace services/server/main.go '	"context"
' '	"context"
	"crypto/tls"
'
caught_by unit server TestServerRefuses/the_right_ID_under_another_CA 'served: "Success!!!"'
caught_by scenario foreign-ca 'curl is not served: the output has: Success!!!'
