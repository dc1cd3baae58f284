# scripts/lab scenario bad-server-id
# the client must refuse a server with another SPIFFE ID, and name it

step "First the rightful server"
run docker compose exec --user client-workload client client
expect_success "the client accepts it"
expect_output "Success!!!" "the client prints the server's answer"

step "Give an impostor a valid identity of its own"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-bad-server-id -parentID spiffe://example.org/host -spiffeID spiffe://example.org/impostor -selector unix:user:guest-workload
expect_success "there is an entry for spiffe://example.org/impostor"
extras impostor
expect_soon 30 "SPIFFE ID   spiffe://example.org/impostor" "the impostor has its SVID" docker compose exec impostor svid

step "Let it answer in the server's place, under the server's DNS name"
run docker compose stop server
run docker compose exec --detach impostor sh -c 'server >log 2>&1'
expect_soon 30 "serving on" "the impostor serves" docker compose exec impostor cat log
run docker compose exec --user client-workload client client -server-id spiffe://example.org/impostor
expect_success "a client that wants the impostor is served by it"
expect_output "Success!!!" "its SVID is valid, and https://server:8443/ is the impostor"

step "The client as it should be, which wants spiffe://example.org/server"
run docker compose exec --user client-workload client client
expect_exit 4 "the client refuses"
expect_output 'Error connecting to "https://server:8443/": Get "https://server:8443/": unexpected ID "spiffe://example.org/impostor"' "it names the SPIFFE ID that it met"
expect_no_output "Success!!!" "it takes no answer"
expect_soon 30 "remote error: tls: bad certificate" "the impostor is told only that its certificate is bad" docker compose exec impostor cat log
expect_log client 'unexpected ID "spiffe://example\.org/impostor"' "the client that has been running all along refuses it too"
explain "The name server:8443 led to the impostor, and proved nothing: whoever controls DNS or the network can answer under any name. The client does not rely on the name. It verifies the certificate, and authorizes one SPIFFE ID."

step "The rightful server again"
run docker compose rm --stop --force impostor
present server
