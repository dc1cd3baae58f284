# scripts/lab scenario wrong-parent
# an entry whose parent is a different host must not reach this host's workloads

# entry create|update PARENT WHY: creates or updates the entry of this scenario.
entry() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry "$1" -entryID scenario-wrong-parent -parentID "$2" -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
	expect_success "$3"
}

step "First an entry for guest-workload whose parent is this host"
entry create spiffe://example.org/host "the entry is created"
expect_soon 30 "SPIFFE ID   spiffe://example.org/guest" "guest-workload has the identity of the entry" docker compose exec --user guest-workload client svid

step "Change the parent of the entry, and nothing else"
entry update spiffe://example.org/elsewhere "the parent is a different host now"
expect_soon 30 "rpc error: code = PermissionDenied desc = no identity issued" "guest-workload gets no identity any more" docker compose exec --user guest-workload client svid
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false' "the agent has no entry for this process"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -entryID scenario-wrong-parent
expect_output "Parent ID               : spiffe://example.org/elsewhere" "the SPIRE server still has the entry"
expect_output "Selector                : unix:user:guest-workload" "the selector of the entry matches"
explain "The SPIRE server sends an agent only entries whose parent is the agent's SPIFFE ID or alias (here spiffe://example.org/host), and the descendants of these entries. The agent did not refuse this entry. It does not have the entry any more."
