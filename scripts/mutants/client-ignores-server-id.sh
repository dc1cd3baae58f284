# shellcheck shell=bash
# the client ignores -server-id
replace services/client/main.go 'tlsconfig.AuthorizeID(cfg.serverID)' 'tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/server"))'
caught_by unit client TestClientWantsTheServerItIsTold 'the server that -server-id names is refused'
caught_by scenario bad-server-id 'a client that wants the impostor is served by it: exit status is 4, not 0'
