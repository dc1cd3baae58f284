# scripts/lab scenario server-outage
# without a SPIRE server, the agent must go on serving what it has, and a new entry must wait

# The quick form leaves out the wait for a renewal that is overdue.
ttl=$(quick 3600 120)
guest() { inside client guest-workload svid; }

# An audience that no JWT-SVID in the agent's memory has, not even one of an earlier run.
new_audience=billing-$$

step "SVIDs live $ttl seconds; requests are sent all the while"
[ -n "${QUICK:-}" ] || short_lived "$ttl"
traffic_begins
see_processes spire-agent server client steady
run docker compose exec --user client-workload client svid
expect_success "a new process of client-workload gets its X.509-SVID"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch jwt -audience reports -timeout 30s '|' grep -E '^token'
expect_success "it gets a JWT-SVID for the audience reports, too"

step "Create an entry that the agent has no time to fetch, and stop the SPIRE server"
run docker compose pause spire-agent
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-server-outage -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
expect_success "the SPIRE server has an entry for guest-workload"
run docker compose stop spire-server
run docker compose unpause spire-agent
expect_success "the agent goes on, without a SPIRE server"
# A connection that was being opened is given up after 20 s.
eventually 60 "the agent finds no SPIRE server" logged spire-agent 'msg="Synchronize failed"'
expect_log spire-agent 'msg="Synchronize failed" error="failed to fetch authorized entries: ' "it says so"

step "What the agent has, it serves; what it has not, must wait"
run docker compose exec --user client-workload client client
expect_success "a new process of client-workload gets its identity from the agent's memory"
expect_output "Success!!!" "and is served with it"
run docker compose exec --user client-workload tools spire-agent api fetch jwt -audience reports -timeout 30s '|' grep -E '^token'
expect_success "the JWT-SVID for the audience reports is in the agent's memory"
run docker compose exec --user client-workload tools spire-agent api fetch jwt -audience "$new_audience" -timeout 30s
expect_exit 1 "there is no JWT-SVID for another audience: only the SPIRE server can sign it"
expect_output "desc = could not fetch JWT-SVID: failed to fetch JWT SVID: " "the agent says that it had to ask"
run docker compose exec --user guest-workload client svid
expect_exit 1 "guest-workload, whose entry the agent has not seen, gets none"
expect_output "rpc error: code = PermissionDenied desc = no identity issued" "it is told why"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show
expect_exit 1 "there is nobody to ask about entries"
expect_output 'service "spire-server" is not running' "Compose says why"

if [ -z "${QUICK:-}" ]; then
	step "Wait until new SVIDs are overdue: the old ones are past half their life"
	# Half of the life, which begins 10 s before its issue, less the tenth that SPIRE may be late by.
	expect_left most $(((ttl + 10) * 45 / 100)) "$ttl" "both programs hold an SVID that would long have been renewed" server steady
	expect_no_log server ' rotated: ' "the server has the old one"
	expect_no_log steady ' rotated: ' "so has the client"
	expect_log steady '^Success!!!$' "which is as good as ever: the client is served"
	explain "An X.509-SVID is renewed at half of its lifetime so that renewal can wait: the other half is how long the SPIRE server may be down before a program that runs notices."
fi

step "Start the SPIRE server again, and nothing else"
run docker compose start spire-server
eventually 60 "guest-workload gets its identity: the agent has asked again" guest
run docker compose exec --user client-workload tools spire-agent api fetch jwt -audience "$new_audience" -timeout 30s '|' grep -E '^token'
expect_success "and client-workload its JWT-SVID"
if [ -z "${QUICK:-}" ]; then
	expect_log server ' rotated: ' "the server has a new SVID"
	expect_log steady ' rotated: ' "so has the client"
fi
expect_same_processes "agent and workloads are the processes that they were"
traffic_ends
expect_lossless "the workloads did not notice"
[ -n "${QUICK:-}" ] || usual_lives
