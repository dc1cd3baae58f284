# scripts/lab scenario foreign-server-ca
# the client must refuse a server whose certificate has the right SPIFFE ID, but is signed by a home-made CA

step "The lab's own server"
run docker compose exec --user client-workload client client
expect_success "the client accepts the server"
expect_output "Success!!!" "the client prints the server's answer"

step "Make a CA and a certificate with the server's SPIFFE ID, as anyone can"
extras impostor
forge impostor server spiffe://example.org/server
run docker compose exec impostor openssl x509 -in server.pem -noout -issuer -ext subjectAltName
expect_output "URI:spiffe://example.org/server" "the certificate has the server's SPIFFE ID"

step "The impostor answers with this certificate in place of the server, under the server's DNS name"
run docker compose stop server
run docker compose exec --detach impostor sh -c 'openssl s_server -accept 8443 -cert server.pem -key server.key -www >log 2>&1'
expect_soon 30 "ACCEPT" "openssl s_server is ready" docker compose exec impostor cat log
run docker compose exec impostor openssl s_client -connect server:8443 -CAfile ca.pem -brief
expect_output "Verification: OK" "a client that trusts the home-made CA accepts the certificate"

step "The client, which trusts the bundle of example.org"
run docker compose exec --user client-workload client client
expect_exit 4 "the client refuses the impostor"
expect_output 'Error connecting to "https://server:8443/": Get "https://server:8443/": x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority' "the reason is that no CA in its trust bundle has signed the certificate"
expect_soon 30 "alert bad certificate" "the impostor learns only that its certificate is bad" docker compose exec impostor cat log
expect_log client 'x509: certificate signed by unknown authority' "the running client refuses the impostor too"
explain "The DNS name and the SPIFFE ID were both right, but no CA in the client's trust bundle signed the certificate. The client did not authenticate the server, so it did not compare the SPIFFE ID."

step "The lab's own server again"
run docker compose rm --stop --force impostor
present server
