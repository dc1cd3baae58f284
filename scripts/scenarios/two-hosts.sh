# scripts/lab scenario two-hosts
# an entry must be delivered only to the host that it names as its parent

# entry_on_host_b ID USER: creates an entry whose parent is the second host.
entry_on_host_b() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID "scenario-two-hosts-$1" -parentID spiffe://example.org/host-b -spiffeID "spiffe://example.org/$1" -selector "unix:user:$2"
	expect_success "the entry is created, with host-b as its parent"
}

step "Requests are sent on the first host all the time"
traffic_begins

step "A second host, with an agent and the same users"
join host-b spire-server spiffe://example.org/host-b
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -spiffeID spiffe://example.org/host-b
expect_output "Selector                : spiffe_id:spiffe://example.org/spire/agent/join_token/$token" "spiffe://example.org/host-b is an alias of the agent that has this selector"

step "The same user name on both hosts, and an entry whose parent is the first host"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -entryID client
expect_output "Parent ID               : spiffe://example.org/host" "the parent of the client's entry is the first host"
run docker compose exec --user client-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/client" "client-workload of the first host gets spiffe://example.org/client"
run docker compose exec --user client-workload host-b svid
expect_exit 1 "client-workload of host-b gets nothing from that entry"
expect_output "no identity issued" "the agent of host-b has no entry for this user"
explain "The selector matches on both hosts. But the SPIRE server sends an agent only the entries of the agent's host, so the agent of host-b does not have this entry."

step "An entry whose parent is the second host: the client on the second host calls the server on the first host"
entry_on_host_b client client-workload
run docker compose exec --user client-workload host-b client -wait 15s -url https://server:8443/two-hosts
expect_success "client-workload of host-b is served, by the server on the first host"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/two-hosts"' "the server sees the client's SPIFFE ID, but not the client's host"

step "An entry for guest-workload on the second host"
entry_on_host_b guest guest-workload
eventually 60 "the entry has reached the agent of host-b" inside host-b guest-workload svid
run docker compose exec --user guest-workload host-b svid
expect_output "SPIFFE ID   spiffe://example.org/guest" "guest-workload of host-b gets spiffe://example.org/guest"
run docker compose exec --user guest-workload client svid
expect_exit 1 "guest-workload of the first host gets nothing from that entry"
expect_output "no identity issued" "the agent of the first host has no entry for this user"

step "Account for every request of the first host"
traffic_ends
expect_lossless "the second host caused no failed request on the first host"

step "The second host leaves"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID "spiffe://example.org/spire/agent/join_token/$token"
expect_success "the agent of host-b is evicted, and its alias is deleted too"
