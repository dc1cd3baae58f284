# scripts/lab scenario federation
# two trust domains must trust each other's workloads only after they federate

cli=/opt/spire/bin/spire-server

partner() { run docker compose exec partner-server "$cli" "$@"; }

# ask USER [URL]: one request from the host of partner.test, as one of its users.
ask() { run docker compose exec --user "$1" partner-host client -wait 15s -url "${2:-https://server-for-partner:8443/}"; }

# federate SERVER TRUST_DOMAIN OTHER_SERVER OTHER: the first trust domain learns to trust the other.
federate() {
	run docker compose exec -T "$3" "$cli" bundle show -format spiffe '|' docker compose exec -T "$1" "$cli" bundle set -format spiffe -id "spiffe://$4"
	expect_success "the first bundle of $4 comes by hand: whom to trust cannot be learnt from a stranger"
	run docker compose exec "$1" "$cli" federation create -trustDomain "$4" -bundleEndpointURL "https://$3:8443" -bundleEndpointProfile https_spiffe -endpointSpiffeID "spiffe://$4/spire/server"
	expect_success "every later one is fetched there, from whoever proves to be spiffe://$4/spire/server"
	run docker compose exec "$1" "$cli" federation refresh -id "$4"
	expect_success "it can be fetched"
	expect_log "$1" "Bundle refreshed.* trust_domain=$4\$" "$2 has the bundle of $4 from its endpoint"
}

# holds USER SERVICE TRUST_DOMAIN N: the program's bundle of another trust domain has N authorities.
holds() { [ "$(inside "$2" "$1" spire-agent api fetch x509 | grep -cE "\[spiffe://$3\] CA .* Valid After:")" -eq "$4" ]; }
serial() { inside partner-host client-workload svid | captured '^serial *(.*)$'; }
issued_anew() { [ "$(serial)" != "$serial" ]; }
asked_in_vain() { ! inside partner-host client-workload client -url https://server-for-partner:8443/; }

step "Requests within example.org, all the while"
traffic_begins

step "Another trust domain: a SPIRE server, and a host with two programs"
extras partner-server server-for-partner
join partner-host partner-server spiffe://partner.test/host
partner entry create -entryID client -parentID spiffe://partner.test/host -spiffeID spiffe://partner.test/client -selector unix:user:client-workload
expect_success "client-workload is to be spiffe://partner.test/client there"

step "Strangers: the client cannot verify the server"
ask client-workload
expect_exit 4 "the client refuses the server"
expect_output 'x509svid: could not get X509 bundle: x509bundle: no X.509 bundle for trust domain "example.org"' "it has no bundle of example.org"
expect_log server-for-partner 'TLS handshake error from [^ ]+: remote error: tls: bad certificate' "the server is told only that its certificate is bad"
explain "This server is the lab's own once more, started with -client-id spiffe://partner.test/client. That client is authorized. It is not authenticated, and neither is the server: each side lacks the trust bundle of the other's trust domain."

step "partner.test trusts example.org: now the client accepts the server, and is refused"
federate partner-server partner.test spire-server example.org
partner entry update -entryID client -parentID spiffe://partner.test/host -spiffeID spiffe://partner.test/client -selector unix:user:client-workload -federatesWith spiffe://example.org
expect_success "its entry lets the client have the bundle"
eventually 60 "the client of partner.test holds the bundle of example.org" holds client-workload partner-host example.org 1
ask client-workload
expect_exit 4 "the client is refused"
expect_output 'remote error: tls: bad certificate' "it is told only that its certificate is bad"
expect_log server-for-partner 'TLS handshake error from [^ ]+: x509svid: could not get X509 bundle: x509bundle: no X\.509 bundle for trust domain "partner\.test"' "the server has no bundle of partner.test"

step "example.org trusts partner.test: now the client is served"
extras tools
federate spire-server example.org partner-server partner.test
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID server -parentID spiffe://example.org/host -spiffeID spiffe://example.org/server -selector unix:user:server-workload -federatesWith spiffe://partner.test
expect_success "its entry lets the server have the bundle"
eventually 60 "the server holds the bundle of partner.test" holds server-workload tools partner.test 1
ask client-workload
expect_success "the client is served"
expect_log server-for-partner 'Request received from "spiffe://partner\.test/client"' "the server knows it by its SPIFFE ID"

step "Authenticated is not yet authorized"
partner entry create -entryID other -parentID spiffe://partner.test/host -spiffeID spiffe://partner.test/other -selector unix:user:guest-workload -federatesWith spiffe://example.org
expect_success "guest-workload is spiffe://partner.test/other there"
ask guest-workload
expect_exit 4 "another program of partner.test is refused"
expect_output 'remote error: tls: bad certificate' "it is told only that its certificate is bad"
expect_log server-for-partner 'TLS handshake error from [^ ]+: unexpected ID "spiffe://partner\.test/other"' "the server has authenticated it, and does not authorize it"
ask client-workload https://server:8443/
expect_exit 4 "the client of partner.test is refused by the lab's usual server"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://partner\.test/client"' "that server, too, has authenticated it, and authorizes a different client"

if [ -z "${QUICK:-}" ]; then
	serial=$(serial)
	step "partner.test replaces its CA: the endpoints carry the news, with nothing done by hand between the two"
	partner localauthority x509 show
	old=$(authority Active <<<"$output")
	partner localauthority x509 prepare
	new=$(captured '^ *Authority ID: (.*)$' <<<"$output")
	run docker compose exec spire-server /opt/spire/bin/spire-server federation refresh -id partner.test
	expect_success "example.org fetches the bundle (by itself it would do so every 75 s)"
	eventually 60 "the server trusts both CAs of partner.test" holds server-workload tools partner.test 2
	partner localauthority x509 activate -authorityID "$new"
	expect_success "the new CA signs"
	partner localauthority x509 taint -authorityID "$old"
	expect_success "all that the old one has signed is replaced"
	eventually 60 "the client has an SVID of the new CA" issued_anew
	eventually 60 "so has the agent" logged partner-host 'Successfully rotated agent SVID'
	partner localauthority x509 revoke -authorityID "$old"
	expect_success "the old CA is gone"
	run docker compose exec spire-server /opt/spire/bin/spire-server federation refresh -id partner.test
	expect_success "example.org fetches the bundle once more"
	eventually 60 "the server trusts the new CA of partner.test alone" holds server-workload tools partner.test 1
	ask client-workload
	expect_success "the client is served"
fi

step "The federation ends"
run docker compose exec spire-server /opt/spire/bin/spire-server federation delete -id partner.test
expect_success "the bundle is fetched no more"
run docker compose exec spire-server /opt/spire/bin/spire-server bundle delete -id spiffe://partner.test -mode dissociate
expect_success "the bundle is deleted, and taken from every entry"
eventually 60 "the server has lost the bundle of partner.test" asked_in_vain
ask client-workload
expect_exit 4 "the client is refused"
expect_log server-for-partner 'TLS handshake error from [^ ]+: x509svid: could not get X509 bundle: x509bundle: no X\.509 bundle for trust domain "partner\.test"' "the server has no bundle of partner.test"

step "Account for every request within example.org"
traffic_ends
expect_lossless "what came and went beside it cost nothing"
