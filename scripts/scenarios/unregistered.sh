# scripts/lab scenario unregistered
# a user without a registration entry must get no identity; when an entry is created, the user must get an identity without a restart

step "First a user with an entry"
run docker compose exec --user client-workload client client
expect_success "client-workload is served"
expect_output "Success!!!" "the client prints the server's answer"

step "The same program as guest-workload, a user without a registration entry"
run docker compose exec --user guest-workload client client -wait 1s
expect_exit 3 "the client exits with the status for no identity"
expect_output "client: no identity after 1s: uid $(uid_of guest-workload) at" "the error message names the user"
expect_output "rpc error: code = PermissionDenied desc = no identity issued; likely cause: no registration entry matches this process" "the error message has the answer of the Workload API, and the likely cause"
expect_no_output "Success!!!" "the client is not served"
expect_log spire-agent 'level=error msg="No identity issued" method=FetchX509SVID .*registered=false selectors="[^"]*unix:user:guest-workload[",]' "the agent refused because no entry matches, and its log names the user"
expect_no_log server 'TLS handshake error' "the server logs nothing, because a client without an SVID does not connect"

step "Register the user, and restart nothing"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-unregistered -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
expect_success "there is an entry for guest-workload"
run docker compose exec --user guest-workload client client -wait 15s
expect_exit 4 "the client has an identity now, and the server refuses it"
expect_output "remote error: tls: bad certificate" "the client learns that its certificate is bad"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/guest"' "the server refused, and logs the SPIFFE ID that it saw"
run docker compose exec --user guest-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/guest" "guest-workload has the SPIFFE ID of its entry"
explain "The agent asks the SPIRE server for changes several times a second. The guest is authenticated now, but not authorized, because the server does not accept the guest's SPIFFE ID."

step "Delete the entry"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID scenario-unregistered
expect_success "the entry is deleted"
expect_soon 30 "PermissionDenied desc = no identity issued" "guest-workload gets no identity any more" docker compose exec --user guest-workload client svid
run docker compose exec --user guest-workload client client -wait 1s
expect_exit 3 "the client again exits with the status for no identity"
expect_output "no registration entry matches this process" "the error message names the likely cause"
