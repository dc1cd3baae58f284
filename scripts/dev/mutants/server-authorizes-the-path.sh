# shellcheck shell=bash
# the server authorizes the path of the client's SPIFFE ID in any trust domain
replace services/server/main.go 'tlsconfig.MTLSServerConfig(svids, bundles, tlsconfig.AuthorizeID(cfg.clientID))' \
	'tlsconfig.MTLSServerConfig(svids, bundles, tlsconfig.AdaptMatcher(func(id spiffeid.ID) error {
		if id.Path() != cfg.clientID.Path() {
			return fmt.Errorf("unexpected ID %q", id)
		}
		return nil
	}))'
replace services/server/main.go '	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
' '	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
'
caught_by scenario federation 'the client of partner.test is refused'
