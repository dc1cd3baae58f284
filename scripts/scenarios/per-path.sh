# scripts/lab scenario per-path
# a server must refuse a request that an authenticated client is not authorized to send

# get USER PATH: sends one request to path-server, which authorizes each request.
get() { run docker compose exec --user "$1" client client -wait 15s -url "https://path-server:8443/$2"; }

step "A second client, and a server with two paths"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-per-path -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
expect_success "there is an entry for guest-workload"
extras path-server
expect_log path-server 'serving on' "the server is ready"

step "The client may read both paths"
get client-workload prices
expect_output "Success!!!" "the client reads /prices"
expect_log path-server 'audit: allowed "spiffe://example\.org/client" GET "/prices"' "the server has logged the SPIFFE ID and the path"
get client-workload orders
expect_output "Success!!!" "the client reads /orders"
expect_log path-server 'audit: allowed "spiffe://example\.org/client" GET "/orders"' "the server has logged this request too"

step "The guest may read one of the two paths"
get guest-workload prices
expect_output "Success!!!" "the guest reads /prices"
expect_log path-server 'audit: allowed "spiffe://example\.org/guest" GET "/prices"' "the guest's SPIFFE ID is in the log"
get guest-workload orders
expect_exit 1 "the guest is refused /orders"
expect_output '"https://path-server:8443/orders" answered 403 Forbidden' "the guest gets the answer 403 over a verified connection"
expect_log path-server 'audit: denied "spiffe://example\.org/guest" GET "/orders"' "the server has logged the refused SPIFFE ID and the path"

step "The same guest at the lab's server, which decides in the handshake"
run docker compose exec --user guest-workload client client
expect_exit 4 "the guest is refused"
expect_output "remote error: tls: bad certificate" "the guest gets an alert, and no HTTP answer"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/guest"' "the server refused the connection"
expect_no_log server 'Request received from "spiffe://example\.org/guest"' "the server never read a request of the guest"
explain "Both servers authenticate the client in the handshake. The lab's server also authorizes in the handshake, once for the connection. path-server authorizes each request, because only the request has the path."

step "The guest reads the permitted path again"
get guest-workload prices
expect_output "Success!!!" "the guest reads /prices"
