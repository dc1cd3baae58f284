# scripts/lab scenario two-hosts
# an entry must be delivered only to the host that it names as its parent

# entry ID USER: an entry under the second host.
entry_on_host_b() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID "scenario-two-hosts-$1" -parentID spiffe://example.org/host-b -spiffeID "spiffe://example.org/$1" -selector "unix:user:$2"
	expect_success "the entry is made, with host-b as its parent"
}

step "Requests on the first host, all the while"
traffic_begins

step "A second host, with an agent of its own and the same users"
join host-b spire-server spiffe://example.org/host-b
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -spiffeID spiffe://example.org/host-b
expect_output "Selector                : spiffe_id:spiffe://example.org/spire/agent/join_token/$token" "spiffe://example.org/host-b is an alias: an agent with this selector has this name too"

step "The same user name on both hosts, and an entry that names the first"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -entryID client
expect_output "Parent ID               : spiffe://example.org/host" "the parent of the client's entry is the first host"
run docker compose exec --user client-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/client" "client-workload of the first host is spiffe://example.org/client"
run docker compose exec --user client-workload host-b svid
expect_exit 1 "client-workload of host-b gets nothing from that entry"
expect_output "no identity issued" "the agent of host-b has no entry for it"
explain "The selector matches on both hosts. But an agent sees only the entries of its own host: the SPIRE server never told the agent of host-b of this one."

step "An entry that names the second host: the client there, the server here"
entry_on_host_b client client-workload
run docker compose exec --user client-workload host-b client -wait 15s -url https://server:8443/two-hosts
expect_success "client-workload of host-b is served, by the server on the first host"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/two-hosts"' "the server knows it by its SPIFFE ID, and not by its host"

step "And a user whom only the second host knows"
entry_on_host_b guest guest-workload
eventually 60 "the entry has reached the agent of host-b" inside host-b guest-workload svid
run docker compose exec --user guest-workload host-b svid
expect_output "SPIFFE ID   spiffe://example.org/guest" "guest-workload of host-b is spiffe://example.org/guest"
run docker compose exec --user guest-workload client svid
expect_exit 1 "guest-workload of the first host gets nothing from that entry"
expect_output "no identity issued" "the agent of the first host has no entry for it"

step "Account for every request of the first host"
traffic_ends
expect_lossless "what came and went beside it cost the first host nothing"

step "The second host leaves"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID "spiffe://example.org/spire/agent/join_token/$token"
expect_success "its agent is evicted, and its name is gone with it"
