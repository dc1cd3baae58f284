# scripts/lab scenario two-identities
# when two entries match, a program must use the first SVID that the agent lists

# entry ID PATH: one more entry for client-workload on the lab's host.
entry() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID "$1" -parentID spiffe://example.org/host -spiffeID "spiffe://example.org/$2" -selector unix:user:client-workload
	expect_success "the entry $1 gives spiffe://example.org/$2"
}

# listed PATHS: the Workload API gives client-workload these SVIDs, in this order, each after a space.
listed() {
	local id all=''
	for id in $(inside client client-workload svid | captured '^SPIFFE ID *spiffe://example.org/(.*)$'); do all="$all $id"; done
	[ "$all" = "$1" ]
}

step "One entry matches the client, so it has one SVID"
run docker compose exec --user client-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/client" "the entry called client matches"
run docker compose exec --user client-workload client client
expect_success "the client is served"

step "A second entry, whose ID sorts after the first"
entry scenario-two-identities another
eventually 30 "the agent lists two SVIDs, that of the entry client first" listed ' client another'
run docker compose exec --user client-workload client client
expect_success "the client is served"
expect_log server 'Request received from "spiffe://example\.org/client"' "it used the first SVID of the list"

step "A third entry, whose ID sorts before the others"
entry before-client third
eventually 30 "the agent lists three SVIDs, that of the newest entry first" listed ' third client another'
run docker compose exec --user client-workload client client
expect_exit 4 "the same program is refused"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/third"' "it used the first SVID of the list"
explain "The agent sorts the SVIDs by entry ID, not by age and not by SPIFFE ID. The Workload API calls the first one the default identity, and go-spiffe uses it unless the program picks another."

step "A restart of the agent changes the keys, and not the order"
run docker compose restart spire-agent
eventually 30 "the agent lists them in the same order" listed ' third client another'

step "A program that picks: the entry client gets a hint"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -hint lab-server
expect_success "the hint is a field of the entry"
extras tools
expect_soon 30 "Success!!!" "a program that picks the SVID with this hint is served" docker compose exec --user client-workload tools extras pick -hint lab-server
expect_log server 'Request received from "spiffe://example\.org/client"' "it used the second SVID of the list"
run docker compose exec --user client-workload tools extras pick -hint another-server
expect_exit 1 "it sends nothing if no SVID has the hint"
expect_output "missing X509-SVID" "it says that it found no such SVID"

step "The two entries are deleted"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID before-client
expect_success "the entry before-client is deleted"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID scenario-two-identities
expect_success "the entry scenario-two-identities is deleted"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the entry client has no hint again"
eventually 30 "the agent lists one SVID" listed ' client'
eventually 30 "the running client is served again" served
