# scripts/lab scenario bad-id
# the client, run as server-workload, must be refused by the server, which names the wrong SPIFFE ID

step "First the rightful client, to see that it works"
run docker compose exec --user client-workload client client
expect_success "client-workload is served"
expect_output "Success!!!" "the client prints the server's answer"

step "The same program in the same container, now as server-workload"
run docker compose exec --user server-workload client client
expect_exit 4 "the client says that it was refused"
expect_output 'Error connecting to "https://server:8443/": Get "https://server:8443/": remote error: tls: bad certificate' "the client is told only that its certificate is bad"
expect_no_output "Success!!!" "nothing was served"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/server"' "the server refused, and says which SPIFFE ID it saw"
explain "The client is authenticated, because a CA of its trust domain signed the certificate. It is not authorized, because the server serves a different SPIFFE ID. The reason is only in the server's log, because go-spiffe on Go sends the alert 'bad certificate' for a wrong ID, an unknown CA and an expired SVID alike."

step "The rightful client again"
run docker compose exec --user client-workload client client
expect_success "client-workload is still served"
expect_output "Success!!!" "the client prints the server's answer"
