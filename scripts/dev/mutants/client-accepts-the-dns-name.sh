# shellcheck shell=bash
# the client accepts a server by its DNS name, too
replace services/client/main.go 'tlsconfig.AuthorizeID(cfg.serverID))' 'func(id spiffeid.ID, chains [][]*x509.Certificate) error {
		if id == cfg.serverID {
			return nil
		}
		return chains[0][0].VerifyHostname("server")
	})'
replace services/client/main.go '	"context"
' '	"context"
	"crypto/x509"
'
replace services/client/main.go '	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
' '	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
'
caught_by scenario dns-name "the lab's client refuses the impostor: "
