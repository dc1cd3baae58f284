# shellcheck shell=bash
# the server authorizes every SPIFFE ID that begins with the client's SPIFFE ID
replace services/server/main.go 'tlsconfig.AuthorizeID(cfg.clientID)' 'tlsconfig.AdaptMatcher(func(id spiffeid.ID) error {
		if !strings.HasPrefix(id.String(), cfg.clientID.String()) {
			return fmt.Errorf("unexpected ID %q", id)
		}
		return nil
	})'
replace services/server/main.go '	"syscall"
' '	"strings"
	"syscall"
'
replace services/server/main.go '	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
' '	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
'
caught_by unit server TestServerRefuses/a_longer_path 'served: "Success!!!"'
