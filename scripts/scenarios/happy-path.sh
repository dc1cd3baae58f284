# scripts/lab scenario happy-path
# the client, as client-workload, must be served, and the server must log the client's SPIFFE ID

step "See which identity the Workload API gives to each of the two users"
run docker compose exec --user server-workload server svid
expect_output "SPIFFE ID   spiffe://example.org/server" "server-workload has the SPIFFE ID spiffe://example.org/server"
run docker compose exec --user client-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/client" "client-workload has the SPIFFE ID spiffe://example.org/client"
explain "Neither program presented a password or a key. The agent asked the kernel which process was calling, looked up its user, and found a registration entry whose selector names this user."

step "Send one request as client-workload"
url_path=/happy-path-$$
run docker compose exec --user client-workload client client -url "https://server:8443$url_path"
expect_success "the client accepts the server, and the server accepts the client"
expect_output "Success!!!" "the client prints the server's answer"
expect_log server "Request received from \"spiffe://example.org/client\": GET \"$url_path\"" "the server reads this SPIFFE ID in the client's certificate"
explain "Each side verified the other's certificate, and compared the SPIFFE ID in this certificate with the expected SPIFFE ID. The client expects spiffe://example.org/server, and the server expects spiffe://example.org/client. In 'client client' the first word is the container, and the second is the program in it."
