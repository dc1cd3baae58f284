# scripts/lab scenario unregistered
# a user without a registration entry must get no identity, and one with an entry must get it without a restart

step "First a user that has an entry"
run docker compose exec --user client-workload client client
expect_success "client-workload is served"
expect_output "Success!!!" "the client prints the server's answer"

step "The same program as guest-workload, whom nobody has registered"
run docker compose exec --user guest-workload client client -wait 1s
expect_exit 3 "the client gives up with the status for no identity"
expect_output "client: no identity after 1s: uid $(uid_of guest-workload) at" "it says which user got none"
expect_output "rpc error: code = PermissionDenied desc = no identity issued; likely cause: no registration entry matches this process" "it says what the Workload API answered, and why"
expect_no_output "Success!!!" "nothing was served"
expect_log spire-agent 'level=error msg="No identity issued" method=FetchX509SVID .*registered=false selectors="[^"]*unix:user:guest-workload[",]' "the agent refused, and its log names the user: it knows no entry that matches"
expect_no_log server 'TLS handshake error' "the server never heard of it: without an SVID the client does not even connect"

step "Register the user, and restart nothing"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-unregistered -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
expect_success "there is an entry for guest-workload"
run docker compose exec --user guest-workload client client -wait 15s
expect_exit 4 "the client has an identity now: it is the server that refuses"
expect_output "remote error: tls: bad certificate" "the client is told that its certificate is bad"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/guest"' "the server refused, and says which SPIFFE ID it saw"
run docker compose exec --user guest-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/guest" "guest-workload has the SPIFFE ID of its entry"
explain "The agent asks the SPIRE server for changes several times a second. An identity is not yet a permission: which identities may ask is for the server to say."

step "Delete the entry"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID scenario-unregistered
expect_success "the entry is gone"
expect_soon 30 "PermissionDenied desc = no identity issued" "guest-workload has no identity any more" docker compose exec --user guest-workload client svid
run docker compose exec --user guest-workload client client -wait 1s
expect_exit 3 "the client gives up as before"
expect_output "no registration entry matches this process" "it says why"
