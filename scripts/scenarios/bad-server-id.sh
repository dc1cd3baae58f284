# scripts/lab scenario bad-server-id
# the client must refuse a server with a different SPIFFE ID, and name that ID

step "The lab's own server"
run docker compose exec --user client-workload client client
expect_success "the client accepts the server"
expect_output "Success!!!" "the client prints the server's answer"

step "An impostor gets a valid identity of its own"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-bad-server-id -parentID spiffe://example.org/host -spiffeID spiffe://example.org/impostor -selector unix:user:guest-workload
expect_success "there is an entry for spiffe://example.org/impostor"
extras impostor
expect_soon 30 "SPIFFE ID   spiffe://example.org/impostor" "the impostor has its SVID" docker compose exec impostor svid

step "The impostor answers in place of the server, under the server's DNS name"
run docker compose stop server
run docker compose exec --detach impostor sh -c 'server >log 2>&1'
expect_soon 30 "serving on" "the impostor is ready" docker compose exec impostor cat log
run docker compose exec --user client-workload client client -server-id spiffe://example.org/impostor
expect_success "a client that expects spiffe://example.org/impostor is served"
expect_output "Success!!!" "the impostor has a valid SVID, and answers at https://server:8443/"

step "The lab's client, which expects spiffe://example.org/server"
run docker compose exec --user client-workload client client
expect_exit 4 "the client refuses the impostor"
expect_output 'Error connecting to "https://server:8443/": Get "https://server:8443/": unexpected ID "spiffe://example.org/impostor"' "the error names the wrong SPIFFE ID"
expect_no_output "Success!!!" "the client has received no answer"
expect_soon 30 "remote error: tls: bad certificate" "the impostor learns only that its certificate is bad" docker compose exec impostor cat log
expect_log client 'unexpected ID "spiffe://example\.org/impostor"' "the running client refuses the impostor too"
explain "The DNS name \"server\" led the client to the impostor. Anyone who controls DNS or the network can answer under any DNS name. The client does not rely on the DNS name. It verifies the certificate (authentication), and accepts only one SPIFFE ID (authorization)."

step "The lab's own server again"
run docker compose rm --stop --force impostor
present server
