# scripts/lab script scripts/dev/checks/default-svid.sh
# of several SVIDs a program must show the one whose entry ID sorts first

# entry ID PATH: one more entry for the guest's user, on this host.
entry() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID "scenario-default-$1" -parentID spiffe://example.org/host -spiffeID "spiffe://example.org/$2" -selector unix:user:guest-workload
	expect_success "the entry scenario-default-$1 gives spiffe://example.org/$2"
}

# gets PATH...: the Workload API gives the guest's user these SVIDs, in this order.
gets() {
	local ids
	ids=$(inside client guest-workload svid 2>/dev/null | captured '^SPIFFE ID *spiffe://example.org/(.*)$')
	test "$(echo $ids)" = "$*"
}

# shows PATH WHY: a program of that user that does not choose shows this SVID to the server.
shows() {
	run docker compose exec --user guest-workload client client
	expect_exit 4 "the server refuses the guest"
	expect_log server "unexpected ID \"spiffe://example\.org/$1\"" "$2"
}

# Neither the time at which an entry was made nor its SPIFFE ID sorts as the entry IDs do.
step "Two entries for one user"
entry b middle
entry c first
eventually 30 "the guest gets both SVIDs, that of the entry ID which sorts first before the other" gets middle first
shows middle "it has shown that of scenario-default-b"

step "A third entry, whose ID sorts before them"
entry a last
eventually 30 "the guest gets three SVIDs, in the order of their entry IDs" gets last middle first
shows last "it has shown that of scenario-default-a, which was made last"

step "The agent starts again, and makes other keys"
run docker compose restart spire-agent
eventually 30 "the guest gets them in the same order" gets last middle first
shows last "it has shown the same SPIFFE ID"

step "That entry is deleted"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID scenario-default-a
expect_success "the entry scenario-default-a is gone"
eventually 30 "the guest gets two SVIDs again" gets middle first
shows middle "it has shown that of scenario-default-b"
explain "The agent sorts the SVIDs by entry ID (SPIRE 1.15.3, pkg/agent/manager/cache/util.go). The first one is the default identity (SPIFFE Workload API, section 8). go-spiffe's X509Source takes it, unless the program gives it a picker."
