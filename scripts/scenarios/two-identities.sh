# scripts/lab scenario two-identities
# when two entries match, a program that does not choose must use the first SVID that the agent lists

# entry ID PATH: creates one more entry for client-workload on the lab's host.
entry() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID "$1" -parentID spiffe://example.org/host -spiffeID "spiffe://example.org/$2" -selector unix:user:client-workload
	expect_success "the entry $1 gives spiffe://example.org/$2"
}

# listed PATHS: asks whether client-workload gets exactly the SVIDs with these paths, in this order. PATHS has a space before each path.
listed() {
	local id all=''
	for id in $(inside client client-workload svid | captured '^SPIFFE ID *spiffe://example.org/(.*)$'); do all="$all $id"; done
	[ "$all" = "$1" ]
}

step "One entry matches the client, so it has one SVID"
run docker compose exec --user client-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/client" "the entry client matches"
run docker compose exec --user client-workload client client
expect_success "the client is served"

step "A second entry, whose ID sorts after the ID of the first entry"
entry scenario-two-identities another
eventually 30 "the agent lists two SVIDs, first the SVID of the entry client" listed ' client another'
run docker compose exec --user client-workload client client
expect_success "the client is served"
expect_log server 'Request received from "spiffe://example\.org/client"' "the client used the first SVID of the list"

step "A third entry, whose ID sorts before the others"
entry before-client third
eventually 30 "the agent lists three SVIDs, first the SVID of the newest entry" listed ' third client another'
run docker compose exec --user client-workload client client
expect_exit 4 "the same program is refused"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/third"' "the client used the first SVID of the list"
explain "The agent sorts the SVIDs by entry ID, not by age and not by SPIFFE ID. The Workload API calls the first SVID the default identity, and go-spiffe uses it unless the program picks a different SVID."

step "A restart of the agent changes the keys, but not the order"
run docker compose restart spire-agent
eventually 30 "the agent lists the SVIDs in the same order" listed ' third client another'

step "The entry client gets a hint, by which a program can pick its SVID"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -hint lab-server
expect_success "the entry client has a hint"
extras tools
expect_soon 30 "Success!!!" "a program that picks the SVID with this hint is served" docker compose exec --user client-workload tools extras pick -hint lab-server
expect_log server 'Request received from "spiffe://example\.org/client"' "the program used the second SVID of the list"
run docker compose exec --user client-workload tools extras pick -hint another-server
expect_exit 1 "the program does not send a request if no SVID has the hint"
expect_output "missing X509-SVID" "its error message says that no SVID matches"

step "The two entries are deleted"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID before-client
expect_success "the entry before-client is deleted"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID scenario-two-identities
expect_success "the entry scenario-two-identities is deleted"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the entry client has no hint any more"
eventually 30 "the agent lists one SVID" listed ' client'
eventually 30 "the running client is served again" served
