# scripts/lab scenario happy-path
# the client, as client-workload, must be served, and the server must name the client's SPIFFE ID

step "See which identity the Workload API gives to each of the two users"
run docker compose exec --user server-workload server svid
expect_output "SPIFFE ID   spiffe://example.org/server" "server-workload is spiffe://example.org/server"
run docker compose exec --user client-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/client" "client-workload is spiffe://example.org/client"
explain "Neither presented a password or a key. The agent asked the kernel which process was calling, looked up its user, and found a registration entry with that user's selector."

step "Send one request as client-workload"
url_path=/happy-path-$$
run docker compose exec --user client-workload client client -url "https://server:8443$url_path"
expect_success "the client accepts the server, and is accepted"
expect_output "Success!!!" "the client prints the server's answer"
expect_log server "Request received from \"spiffe://example.org/client\": GET \"$url_path\"" "the server knows the client by its SPIFFE ID"
explain "The client checked that the server is exactly spiffe://example.org/server, the server that the client is exactly spiffe://example.org/client."
