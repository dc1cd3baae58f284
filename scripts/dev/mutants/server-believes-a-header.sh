# shellcheck shell=bash
# the server takes the client's SPIFFE ID from a header, if there is one
replace services/server/main.go '		id, err := x509svid.IDFromCert(r.TLS.PeerCertificates[0])
' '		id, err := x509svid.IDFromCert(r.TLS.PeerCertificates[0])
		if name, ok := strings.CutPrefix(r.Header.Get("X-Forwarded-Client-Cert"), "URI="); ok {
			id, err = spiffeid.FromString(name)
		}
'
replace services/server/main.go '	"os/signal"
' '	"os/signal"
	"strings"
'
replace services/server/main.go '	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
' '	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
'
caught_by scenario behind-a-proxy 'the server sees the proxy: server-for-proxy did not log'
