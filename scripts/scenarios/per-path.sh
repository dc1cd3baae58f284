# scripts/lab scenario per-path
# an authenticated client must still be refused what it may not do

# get USER PATH: one request to the server that decides on each request.
get() { run docker compose exec --user "$1" client client -wait 15s -url "https://path-server:8443/$2"; }

step "A second client, and a server with two paths"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-per-path -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
expect_success "guest-workload is spiffe://example.org/guest"
extras path-server
expect_log path-server 'serving on' "the server is ready"

step "The client may read both paths"
get client-workload prices
expect_output "Success!!!" "the client reads /prices"
expect_log path-server 'audit: allowed "spiffe://example\.org/client" GET "/prices"' "the server has logged who read what"
get client-workload orders
expect_output "Success!!!" "the client reads /orders"
expect_log path-server 'audit: allowed "spiffe://example\.org/client" GET "/orders"' "the server has logged that too"

step "The guest may read one of them"
get guest-workload prices
expect_output "Success!!!" "the guest reads /prices"
expect_log path-server 'audit: allowed "spiffe://example\.org/guest" GET "/prices"' "its SPIFFE ID is in the log"
get guest-workload orders
expect_exit 1 "the guest is refused /orders"
expect_output '"https://path-server:8443/orders" answered 403 Forbidden' "it is told that it may not, by an answer over a verified connection"
expect_log path-server 'audit: denied "spiffe://example\.org/guest" GET "/orders"' "the server has logged who was refused what"

step "The same guest at the lab's server, which decides in the handshake"
run docker compose exec --user guest-workload client client
expect_exit 4 "the guest is refused"
expect_output "remote error: tls: bad certificate" "it gets an alert and no answer"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/guest"' "the server refused the connection"
expect_no_log server 'Request received from "spiffe://example\.org/guest"' "it never read a request"
explain "Both servers authenticate the client in the handshake. The lab's server authorizes there as well, once for the connection. The other server authorizes each request, when it knows the path."

step "The guest reads again what it may read"
get guest-workload prices
expect_output "Success!!!" "the guest reads /prices"
