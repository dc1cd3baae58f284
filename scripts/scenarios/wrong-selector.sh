# scripts/lab scenario wrong-selector
# an entry must apply only to a process that has all selectors of the entry

step "An entry that names a user and a program, and a process that has both"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-wrong-selector -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest \
	-selector unix:user:guest-workload -selector unix:path:/opt/spiffe-lab/bin/host
expect_success "the entry is created"
expect_soon 30 "SPIFFE ID   spiffe://example.org/guest" "guest-workload runs svid, which is a link to the program host, and gets the identity of the entry" docker compose exec --user guest-workload client svid

step "The right user, and a different program"
run docker compose exec --user guest-workload client client -wait 2s
expect_exit 3 "the client exits because it has no identity"
expect_output "rpc error: code = PermissionDenied desc = no identity issued; likely cause: no registration entry matches this process" "the agent has issued no identity"
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false selectors="[^"]*unix:path:/opt/spiffe-lab/bin/client,[^"]*unix:user:guest-workload"' "the user is right, but no entry matches, because the program is wrong"

step "The right program, and a different user"
run docker compose exec --user 4242 client svid
expect_exit 1 "svid, run as user 4242, exits with an error"
expect_output "uid 4242: rpc error: code = PermissionDenied desc = no identity issued" "the agent has issued no identity"
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false selectors="[^"]*unix:path:/opt/spiffe-lab/bin/host,[^"]*unix:uid:4242"' "the program is right, but no entry matches, because the user is wrong"

step "The process with the right user and the right program, again"
run docker compose exec --user guest-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/guest" "the process gets the identity, because the entry has not changed"
explain "The agent collects the selectors of a process: here its user, its groups, and the path and the SHA-256 hash of its program. An entry applies if the process has all selectors of the entry."
