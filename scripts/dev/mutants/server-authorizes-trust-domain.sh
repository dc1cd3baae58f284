# shellcheck shell=bash
# the server authorizes every workload of the trust domain
replace services/server/main.go 'tlsconfig.AuthorizeID(cfg.clientID)' 'tlsconfig.AuthorizeMemberOf(cfg.clientID.TrustDomain())'
caught_by unit server TestServerRefuses/another_SPIFFE_ID_of_the_trust_domain 'served: "Success!!!"'
caught_by scenario bad-id 'the client says that it was refused: exit status is 0, not 4'
