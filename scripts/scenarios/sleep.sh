# scripts/lab scenario sleep
# a lab that was paused for longer than its SVIDs live must be healthy again within 15 s of waking

ttl=$(quick 12 20)
agent=spiffe://example.org/spire/agent/x509pop/host

step "Every SVID lives $ttl seconds, the agent's own too; requests are sent all the while"
run "AGENT_TTL=${ttl}s" docker compose up --detach --no-deps spire-server
eventually 60 "the SPIRE server answers, and lets the SVIDs of agents live $ttl s" spire_server_answers
run docker compose restart spire-agent
expect_log spire-agent 'Node attestation was successful' "the agent has attested anew"
short_lived "$ttl"
traffic_begins
expect_log steady '^Success!!!$' "the client is served"
see_processes server client steady
run docker compose exec spire-server /opt/spire/bin/spire-server agent show -spiffeID "$agent"
expect_success "the SPIRE server knows the agent, and when its SVID expires"

step "Close the lid: pause everything, for longer than $ttl seconds"
pausing=$(engine_time)
run docker compose --profile extras pause
expect_success "every process stands still"
asleep=$SECONDS
slept() { [ $((SECONDS - asleep)) -gt $((ttl + 2)) ]; }
eventually $((ttl + 10)) "the lab has slept longer than any SVID of it lives" slept
expect_past 0 "$(held_until server)" "the SVID that the server holds has expired"
expect_past 0 "$(held_until steady)" "the SVID that the client holds has expired"

step "Open the lid"
woke=$SECONDS
run docker compose --profile extras unpause
serves() { logged steady '^Success!!!$' && logged client '^Success!!!$' && inside client client-workload svid; }
eventually 60 "the lab is healthy: the clients are served, new processes get an identity" serves
say "    that took $((SECONDS - woke)) s"
expect_log spire-agent '(Successfully reattested node|Node attestation was successful)' "the agent, whose own SVID had expired too, has attested anew"
expect_same_processes "the workloads are the processes that they were"

step "Account for every request"
traffic_ends
if [ "$failed" -eq 0 ]; then
	expect_lossless "the agent was quicker than the next request"
else
	expect_outage '(: remote error: tls: bad certificate|: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: current time .*|context deadline exceeded \(Client\.Timeout exceeded while awaiting headers\))$' "served until it slept, and again soon after waking" "$pausing"
fi
explain "What failed had been under way when the lab fell asleep, or met an expired SVID in the moments before the agent had brought a new one."

step "The SVIDs of agents live as long as usual again"
run docker compose up --detach --no-deps spire-server
eventually 60 "the SPIRE server answers" spire_server_answers
usual_lives
