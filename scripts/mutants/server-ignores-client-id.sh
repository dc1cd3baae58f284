# shellcheck shell=bash
# the server ignores -client-id
replace services/server/main.go 'tlsconfig.AuthorizeID(cfg.clientID)' 'tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/client"))'
caught_by unit server TestServerServesTheClientItIsTold 'the client that -client-id names is not served'
