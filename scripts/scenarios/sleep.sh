# scripts/lab scenario sleep
# a lab that was paused for longer than its SVIDs are valid must be healthy again within a minute after it resumes

ttl=$(quick 12 20)
agent=spiffe://example.org/spire/agent/x509pop/host

step "Every SVID is valid for $ttl seconds, the agent's own too, and requests are sent all the time"
run "AGENT_TTL=${ttl}s" docker compose up --detach --no-deps spire-server
eventually 60 "the SPIRE server answers, and issues SVIDs of $ttl s to agents" spire_server_answers
run docker compose restart spire-agent
expect_log spire-agent 'Node attestation was successful' "the agent has re-attested"
short_lived "$ttl"
traffic_begins
expect_log steady '^Success!!!$' "the client is served"
see_processes server client steady
run docker compose exec spire-server /opt/spire/bin/spire-server agent show -spiffeID "$agent"
expect_success "the SPIRE server shows when the agent's SVID expires"

step "Pause everything for longer than $ttl seconds, as if you closed the laptop"
pausing=$(engine_time)
run docker compose --profile extras pause
expect_success "every process is paused"
asleep=$SECONDS
slept() { [ $((SECONDS - asleep)) -gt $((ttl + 2)) ]; }
eventually $((ttl + 10)) "the pause is longer than the lifetime of any SVID" slept
expect_past 0 "$(held_until server)" "the SVID that the server holds has expired"
expect_past 0 "$(held_until steady)" "the SVID that the client holds has expired"

step "Resume"
woke=$SECONDS
run docker compose --profile extras unpause
serves() { logged steady '^Success!!!$' && logged client '^Success!!!$' && inside client client-workload svid; }
eventually 60 "the lab is healthy: the clients are served, new processes get an identity" serves
say "    that took $((SECONDS - woke)) s"
expect_log spire-agent '(Successfully reattested node|Node attestation was successful)' "the agent, whose own SVID had expired too, has re-attested"
expect_same_processes "the workloads are still the same processes"

step "Account for every request"
traffic_ends
if [ "$failed" -eq 0 ]; then
	expect_lossless "the agent had new SVIDs before the next request"
else
	expect_outage '(: remote error: tls: bad certificate|: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: current time .*|context deadline exceeded \(Client\.Timeout exceeded while awaiting headers\))$' "requests were served until the pause, and again soon after the pause" "$pausing"
fi
explain "Some requests were in progress when the pause began, or were sent before the agent had delivered new SVIDs. Such requests may fail."

step "The SVIDs of agents have their usual lifetime again"
run docker compose up --detach --no-deps spire-server
eventually 60 "the SPIRE server answers" spire_server_answers
usual_lives
