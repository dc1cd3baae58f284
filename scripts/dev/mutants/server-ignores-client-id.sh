# shellcheck shell=bash
# the server ignores -client-id
replace services/server/main.go 'tlsconfig.AuthorizeID(cfg.clientID)' 'tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/client"))'
replace services/server/main.go '	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
' '	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
'
caught_by unit server TestServerServesTheClientItIsTold 'the client that -client-id names is not served'
