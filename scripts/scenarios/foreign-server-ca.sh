# scripts/lab scenario foreign-server-ca
# the client must refuse a server with the right SPIFFE ID under a home-made CA

step "First the rightful server"
run docker compose exec --user client-workload client client
expect_success "the client accepts it"
expect_output "Success!!!" "the client prints the server's answer"

step "Make a CA and a certificate with the server's SPIFFE ID: anyone can"
extras impostor
forge impostor server spiffe://example.org/server
run docker compose exec impostor openssl x509 -in server.pem -noout -issuer -ext subjectAltName
expect_output "URI:spiffe://example.org/server" "the certificate carries the server's SPIFFE ID"

step "Answer with it in the server's place, under the server's DNS name"
run docker compose stop server
run docker compose exec --detach impostor sh -c 'openssl s_server -accept 8443 -cert server.pem -key server.key -www >log 2>&1'
expect_soon 30 "ACCEPT" "openssl s_server serves" docker compose exec impostor cat log
run docker compose exec impostor openssl s_client -connect server:8443 -CAfile ca.pem -brief
expect_output "Verification: OK" "a client that trusts the home-made CA accepts it"

step "The client, which trusts the bundle of example.org"
run docker compose exec --user client-workload client client
expect_exit 4 "the client refuses"
expect_output 'Error connecting to "https://server:8443/": Get "https://server:8443/": x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority' "no CA of the trust domain has signed this, it says"
expect_soon 30 "alert bad certificate" "the other side is told only that its certificate is bad" docker compose exec impostor cat log
expect_log client 'x509: certificate signed by unknown authority' "the client that has been running all along refuses it too"
explain "DNS name and SPIFFE ID were both right. The client believes neither before the signature is: one made by a CA of the trust bundle that the Workload API gave it."

step "The rightful server again"
run docker compose rm --stop --force impostor
present server
