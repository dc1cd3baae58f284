# scripts/lab scenario federation
# workloads of two trust domains must accept each other only after the trust domains federate

cli=/opt/spire/bin/spire-server

partner() { run docker compose exec partner-server "$cli" "$@"; }

# ask USER [URL]: sends one request from the host of partner.test, as this user of that host.
ask() { run docker compose exec --user "$1" partner-host client -wait 15s -url "${2:-https://server-for-partner:8443/}"; }

# federate SERVER TRUST_DOMAIN OTHER_SERVER OTHER: TRUST_DOMAIN gets the bundle of OTHER.
federate() {
	run docker compose exec -T "$3" "$cli" bundle show -format spiffe '|' docker compose exec -T "$1" "$cli" bundle set -format spiffe -id "spiffe://$4"
	expect_success "an operator copies the first bundle of $4, because it must come over a trusted channel"
	run docker compose exec "$1" "$cli" federation create -trustDomain "$4" -bundleEndpointURL "https://$3:8443" -bundleEndpointProfile https_spiffe -endpointSpiffeID "spiffe://$4/spire/server"
	expect_success "every later bundle comes from that URL, from a server that authenticates as spiffe://$4/spire/server"
	run docker compose exec "$1" "$cli" federation refresh -id "$4"
	expect_success "the bundle can be fetched"
	expect_log "$1" "Bundle refreshed.* trust_domain=$4\$" "$2 has fetched the bundle of $4 from the endpoint"
}

# holds USER SERVICE TRUST_DOMAIN N: asks whether a program of USER in SERVICE gets a bundle of TRUST_DOMAIN with N CAs.
holds() { [ "$(inside "$2" "$1" spire-agent api fetch x509 | grep -cE "\[spiffe://$3\] CA .* Valid After:")" -eq "$4" ]; }
serial() { inside partner-host client-workload svid | captured '^serial *(.*)$'; }
reissued() { [ "$(serial)" != "$serial" ]; }
refused_again() { ! inside partner-host client-workload client -url https://server-for-partner:8443/; }

step "Requests are sent within example.org all the time"
traffic_begins

step "A second trust domain: a SPIRE server, and a host with two programs"
extras partner-server server-for-partner
join partner-host partner-server spiffe://partner.test/host
partner entry create -entryID client -parentID spiffe://partner.test/host -spiffeID spiffe://partner.test/client -selector unix:user:client-workload
expect_success "an entry maps client-workload on that host to spiffe://partner.test/client"

step "Without federation the client cannot verify the server"
ask client-workload
expect_exit 4 "the client refuses the server"
expect_output 'x509svid: could not get X509 bundle: x509bundle: no X.509 bundle for trust domain "example.org"' "the client has no bundle of example.org"
expect_log server-for-partner 'TLS handshake error from [^ ]+: remote error: tls: bad certificate' "the server learns only that its certificate is bad"
explain "Each side must first authenticate the other side, and then authorize the SPIFFE ID of that side. server-for-partner authorizes spiffe://partner.test/client. But neither side can authenticate the other, because each lacks the other's trust bundle."

step "partner.test gets the bundle of example.org: the client accepts the server, and the server refuses the client"
federate partner-server partner.test spire-server example.org
partner entry update -entryID client -parentID spiffe://partner.test/host -spiffeID spiffe://partner.test/client -selector unix:user:client-workload -federatesWith spiffe://example.org
expect_success "with -federatesWith in its entry the client gets the bundle"
eventually 60 "the client of partner.test holds the bundle of example.org" holds client-workload partner-host example.org 1
ask client-workload
expect_exit 4 "the client is refused"
expect_output 'remote error: tls: bad certificate' "the client learns only that its certificate is bad"
expect_log server-for-partner 'TLS handshake error from [^ ]+: x509svid: could not get X509 bundle: x509bundle: no X\.509 bundle for trust domain "partner\.test"' "the server has no bundle of partner.test"

step "example.org gets the bundle of partner.test: the client is served"
extras tools
federate spire-server example.org partner-server partner.test
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID server -parentID spiffe://example.org/host -spiffeID spiffe://example.org/server -selector unix:user:server-workload -federatesWith spiffe://partner.test
expect_success "with -federatesWith in its entry the server gets the bundle"
eventually 60 "the server holds the bundle of partner.test" holds server-workload tools partner.test 1
ask client-workload
expect_success "the client is served"
expect_log server-for-partner 'Request received from "spiffe://partner\.test/client"' "the server has authenticated the client"

step "Another program of partner.test is authenticated, but not authorized"
partner entry create -entryID other -parentID spiffe://partner.test/host -spiffeID spiffe://partner.test/other -selector unix:user:guest-workload -federatesWith spiffe://example.org
expect_success "an entry maps guest-workload on that host to spiffe://partner.test/other"
ask guest-workload
expect_exit 4 "the other program of partner.test is refused"
expect_output 'remote error: tls: bad certificate' "this program learns only that its certificate is bad"
expect_log server-for-partner 'TLS handshake error from [^ ]+: unexpected ID "spiffe://partner\.test/other"' "the server has authenticated this program, and does not authorize it"
ask client-workload https://server:8443/
expect_exit 4 "the client of partner.test is refused by the lab's usual server"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://partner\.test/client"' "that server has authenticated the client too, but authorizes a different SPIFFE ID"

if [ -z "${QUICK:-}" ]; then
	serial=$(serial)
	step "partner.test replaces its CA: example.org gets the new bundle from the endpoint, and no operator copies it"
	partner localauthority x509 show
	old=$(authority Active <<<"$output")
	partner localauthority x509 prepare
	new=$(captured '^ *Authority ID: (.*)$' <<<"$output")
	run docker compose exec spire-server /opt/spire/bin/spire-server federation refresh -id partner.test
	expect_success "example.org fetches the bundle (without this command it polls every 75 s)"
	eventually 60 "the server trusts both CAs of partner.test" holds server-workload tools partner.test 2
	partner localauthority x509 activate -authorityID "$new"
	expect_success "the new CA signs"
	partner localauthority x509 taint -authorityID "$old"
	expect_success "SPIRE replaces everything that the old CA has signed"
	eventually 60 "the client has an SVID of the new CA" reissued
	eventually 60 "the agent has an SVID of the new CA, too" logged partner-host 'Successfully rotated agent SVID'
	partner localauthority x509 revoke -authorityID "$old"
	expect_success "the old CA is revoked"
	run docker compose exec spire-server /opt/spire/bin/spire-server federation refresh -id partner.test
	expect_success "example.org fetches the bundle again"
	eventually 60 "the server trusts only the new CA of partner.test" holds server-workload tools partner.test 1
	ask client-workload
	expect_success "the client is served"
fi

step "The federation is deleted"
run docker compose exec spire-server /opt/spire/bin/spire-server federation delete -id partner.test
expect_success "example.org no longer fetches the bundle"
run docker compose exec spire-server /opt/spire/bin/spire-server bundle delete -id spiffe://partner.test -mode dissociate
expect_success "the bundle is deleted, and removed from every entry"
eventually 60 "the server has lost the bundle of partner.test" refused_again
ask client-workload
expect_exit 4 "the client is refused"
expect_log server-for-partner 'TLS handshake error from [^ ]+: x509svid: could not get X509 bundle: x509bundle: no X\.509 bundle for trust domain "partner\.test"' "the server has no bundle of partner.test"

step "Account for every request within example.org"
traffic_ends
expect_lossless "no request within example.org failed"
