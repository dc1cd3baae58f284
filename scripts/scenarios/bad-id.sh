# scripts/lab scenario bad-id
# the server must refuse a client that runs as server-workload, and must log the wrong SPIFFE ID

step "The lab's client as client-workload, to see that it works"
run docker compose exec --user client-workload client client
expect_success "client-workload is served"
expect_output "Success!!!" "the client prints the server's answer"

step "The same program in the same container, now as server-workload"
run docker compose exec --user server-workload client client
expect_exit 4 "the client says that it was refused"
expect_output 'Error connecting to "https://server:8443/": Get "https://server:8443/": remote error: tls: bad certificate' "the client learns only that its certificate is bad"
expect_no_output "Success!!!" "the client is not served"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/server"' "the server refused, and logs the SPIFFE ID that it saw"
explain "The client is authenticated, because a CA of its trust domain signed the certificate. It is not authorized, because the server accepts only spiffe://example.org/client. The reason is only in the server's log. A Go program with go-spiffe sends the same alert, 'bad certificate', for a wrong SPIFFE ID, an unknown CA and an expired SVID."

step "The client as client-workload again"
run docker compose exec --user client-workload client client
expect_success "client-workload is still served"
expect_output "Success!!!" "the client prints the server's answer"
