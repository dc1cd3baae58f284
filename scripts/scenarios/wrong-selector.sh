# scripts/lab scenario wrong-selector
# the selectors of an entry must all match: one of two is not enough

step "An entry that names a user and a program, and first a process that has both"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-wrong-selector -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest \
	-selector unix:user:guest-workload -selector unix:path:/opt/spiffe-lab/bin/host
expect_success "the entry is made"
expect_soon 30 "SPIFFE ID   spiffe://example.org/guest" "svid, which is a link to host, has the identity of the entry when guest-workload runs it" docker compose exec --user guest-workload client svid

step "The right user, and another program"
run docker compose exec --user guest-workload client client -wait 2s
expect_exit 3 "the client ends, for it has no identity"
expect_output "rpc error: code = PermissionDenied desc = no identity issued; likely cause: no registration entry matches this process" "it was told that there is no identity for it"
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false selectors="[^"]*unix:path:/opt/spiffe-lab/bin/client,[^"]*unix:user:guest-workload"' "for the agent no entry matches: the user is right, the program is another"

step "The right program, and another user"
run docker compose exec --user 4242 client svid
expect_exit 1 "svid, run as another user, ends"
expect_output "uid 4242: rpc error: code = PermissionDenied desc = no identity issued" "it is told that there is no identity for it"
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false selectors="[^"]*unix:path:/opt/spiffe-lab/bin/host,[^"]*unix:uid:4242"' "for the agent no entry matches: the program is right, the user is another"

step "The process that has both, once more"
run docker compose exec --user guest-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/guest" "the entry was there all the time"
explain "The agent finds out all it can about a process, here its user, its groups, its program and the hash of that. An entry applies if its selectors are all among what was found."
