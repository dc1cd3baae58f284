# shellcheck shell=bash
# the client ignores -server-id
replace services/client/main.go 'tlsconfig.AuthorizeID(cfg.serverID)' 'tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/server"))'
replace services/client/main.go '	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
' '	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
'
caught_by unit client TestClientWantsTheServerItIsTold 'the server that -server-id names is refused'
caught_by scenario bad-server-id 'a client that expects spiffe://example.org/impostor is served: exit status is 4, not 0'
