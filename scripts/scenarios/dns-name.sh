# scripts/lab scenario dns-name
# a DNS name in an SVID must satisfy curl, but not the lab's client

# ask_with_curl: sends a request with curl, which verifies the server by CA and DNS name, as usual for HTTPS. Here curl trusts no CA outside
# the bundle.
ask_with_curl() { run docker compose exec --user client-workload tools curl -sS --cacert bundle.0.pem --cert svid.0.pem --key svid.0.key https://server:8443/dns-name; }

step "Without a DNS name in the server's SVID, curl refuses the server"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
expect_success "client-workload fetches its SVID and the bundle, as files"
ask_with_curl
expect_exit 60 "curl cannot verify the server"
expect_output "curl: (60) SSL: " "the SVID has no DNS name to compare with the URL"
run docker compose exec --user client-workload client client
expect_success "the lab's client accepts the server, because it compares the SPIFFE ID"

step 'The entry for the server gets the DNS name "server"'
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID server -parentID spiffe://example.org/host -spiffeID spiffe://example.org/server -selector unix:user:server-workload -dns server
expect_success "the entry has a DNS name"
expect_soon 30 "Success!!!" "curl accepts the server, without -k" docker compose exec --user client-workload tools curl -sS --cacert bundle.0.pem --cert svid.0.pem --key svid.0.key https://server:8443/
run docker compose exec tools sh -c 'openssl s_client -connect server:8443 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName'
expect_output "DNS:server, URI:spiffe://example.org/server" "the SVID has the DNS name and the SPIFFE ID"

step "An impostor gets the same DNS name, with a SPIFFE ID of its own"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-dns-name -parentID spiffe://example.org/host -spiffeID spiffe://example.org/impostor -selector unix:user:guest-workload -dns server
expect_success "SPIRE permits the same DNS name in two entries"
extras impostor
expect_soon 30 "SPIFFE ID   spiffe://example.org/impostor" "the impostor has its SVID" docker compose exec impostor svid
run docker compose stop server
run docker compose exec --detach impostor sh -c 'server >log 2>&1'
expect_soon 30 "serving on" "the impostor answers under the server's name" docker compose exec impostor cat log

step "curl accepts the impostor, and the lab's client refuses it"
ask_with_curl
expect_success "curl accepts the impostor"
expect_output "Success!!!" "curl prints the impostor's answer"
expect_soon 30 'Request received from "spiffe://example.org/client": GET "/dns-name"' "the impostor got the request" docker compose exec impostor cat log
run docker compose exec --user client-workload client client
expect_exit 4 "the lab's client refuses the impostor"
expect_output 'unexpected ID "spiffe://example.org/impostor"' "the error names the wrong SPIFFE ID"
explain "curl verified a CA and a DNS name, and both are correct. In SPIFFE the authenticated name is the SPIFFE ID, so only a comparison of SPIFFE IDs distinguishes the impostor from the lab's server."

step "The lab's own server again, without a DNS name"
run docker compose rm --stop --force impostor
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID server -parentID spiffe://example.org/host -spiffeID spiffe://example.org/server -selector unix:user:server-workload
expect_success "the entry has no DNS name again"
present server
