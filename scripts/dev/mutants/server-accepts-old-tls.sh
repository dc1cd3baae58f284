# shellcheck shell=bash
# the server accepts TLS 1.1 and 1.0
replace services/server/main.go '	tlsConfig.SessionTicketsDisabled = true
' '	tlsConfig.SessionTicketsDisabled = true
	tlsConfig.MinVersion = tls.VersionTLS10
'
replace services/server/main.go '	"context"
' '	"context"
	"crypto/tls"
'
caught_by unit server TestServerRefuses/TLS_1.1 'served: "Success!!!"'
