# scripts/lab scenario server-outage
# without a SPIRE server, the agent must continue to serve the SVIDs that it has, and a new entry must wait

# With QUICK=1 the scenario does not wait until the renewals are overdue.
ttl=$(quick 3600 120)
guest() { inside client guest-workload svid; }

# No JWT-SVID in the agent's memory has this audience, not even a JWT-SVID from an earlier run.
new_audience=billing-$$

step "SVIDs are valid for $ttl seconds, and requests are sent all the time"
[ -n "${QUICK:-}" ] || short_lived "$ttl"
traffic_begins
see_processes spire-agent server client steady
run docker compose exec --user client-workload client svid
expect_success "a new process of client-workload gets its X.509-SVID"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch jwt -audience reports -timeout 30s '|' grep -E '^token'
expect_success "client-workload also gets a JWT-SVID for the audience reports"

step "Create an entry, and stop the SPIRE server before the agent can fetch the entry"
run docker compose pause spire-agent
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-server-outage -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
expect_success "the SPIRE server has an entry for guest-workload"
run docker compose stop spire-server
run docker compose unpause spire-agent
expect_success "the agent runs, without a SPIRE server"
# gRPC stops trying to open a connection after 20 s.
eventually 60 "the agent does not reach the SPIRE server" logged spire-agent 'msg="Synchronize failed"'
expect_log spire-agent 'msg="Synchronize failed" error="failed to fetch authorized entries: ' "the agent's log has the reason"

step "The agent serves the SVIDs that it has, and everything new must wait"
run docker compose exec --user client-workload client client
expect_success "a new process of client-workload gets its identity from the agent's memory"
expect_output "Success!!!" "the process is served with this SVID"
run docker compose exec --user client-workload tools spire-agent api fetch jwt -audience reports -timeout 30s '|' grep -E '^token'
expect_success "the JWT-SVID for the audience reports is in the agent's memory"
run docker compose exec --user client-workload tools spire-agent api fetch jwt -audience "$new_audience" -timeout 30s
expect_exit 1 "there is no JWT-SVID for a new audience, because only the SPIRE server can sign it"
expect_output "desc = could not fetch JWT-SVID: failed to fetch JWT SVID: " "the agent answers that it could not fetch a JWT-SVID"
run docker compose exec --user guest-workload client svid
expect_exit 1 "guest-workload gets no SVID, because the agent does not have its entry"
expect_output "rpc error: code = PermissionDenied desc = no identity issued" "the agent has issued no identity"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show
expect_exit 1 "the entries cannot be listed"
expect_output 'service "spire-server" is not running' "Compose reports that the SPIRE server is stopped"

if [ -z "${QUICK:-}" ]; then
	step "Wait until new SVIDs are overdue: the old ones are past half of their lifetime"
	# The lifetime begins 10 s before the SVID is issued. SPIRE renews the SVID when 45 to 55 % of the lifetime is left.
	expect_left most $(((ttl + 10) * 45 / 100)) "$ttl" "both programs hold an SVID whose renewal is overdue" server steady
	expect_no_log server ' rotated: ' "the server has its old SVID"
	expect_no_log steady ' rotated: ' "the client has its old SVID"
	expect_log steady '^Success!!!$' "the old SVIDs are still valid, so the client is served"
	explain "An X.509-SVID is renewed at half of its lifetime, so the SPIRE server can be down for the other half before a running program notices."
fi

step "Start the SPIRE server again, and nothing else"
run docker compose start spire-server
eventually 60 "guest-workload gets its identity: the agent has reached the SPIRE server" guest
run docker compose exec --user client-workload tools spire-agent api fetch jwt -audience "$new_audience" -timeout 30s '|' grep -E '^token'
expect_success "client-workload gets its JWT-SVID"
if [ -z "${QUICK:-}" ]; then
	expect_log server ' rotated: ' "the server has a new SVID"
	expect_log steady ' rotated: ' "the client has a new SVID, too"
fi
expect_same_processes "agent and workloads are still the same processes"
traffic_ends
expect_lossless "the workloads lost no request"
[ -n "${QUICK:-}" ] || usual_lives
