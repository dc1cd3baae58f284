# scripts/lab scenario wrong-parent
# an entry under another parent must not reach this host's workloads

# entry create|update PARENT WHY: the one entry of this scenario.
entry() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry "$1" -entryID scenario-wrong-parent -parentID "$2" -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
	expect_success "$3"
}

step "First an entry for guest-workload whose parent is this host"
entry create spiffe://example.org/host "the entry is made"
expect_soon 30 "SPIFFE ID   spiffe://example.org/guest" "guest-workload has the identity of the entry" docker compose exec --user guest-workload client svid

step "Move the entry under another parent, and change nothing else"
entry update spiffe://example.org/elsewhere "the parent is another host, which this one is not"
expect_soon 30 "rpc error: code = PermissionDenied desc = no identity issued" "guest-workload has no identity any more" docker compose exec --user guest-workload client svid
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false' "for the agent there is no such entry"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -entryID scenario-wrong-parent
expect_output "Parent ID               : spiffe://example.org/elsewhere" "and yet the SPIRE server has it"
expect_output "Selector                : unix:user:guest-workload" "with a selector that matches"
explain "The SPIRE server sends an agent only the entries below its own SPIFFE ID or an alias of it, here spiffe://example.org/host. The agent did not refuse this entry. It no longer has it."
