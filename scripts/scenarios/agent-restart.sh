# scripts/lab scenario agent-restart
# restarting the agent must not interrupt the workloads

times=$(quick 1 3)

step "Send requests all the while"
traffic_begins
see_processes server client steady
run docker compose exec --user client-workload client svid
expect_success "a new process gets its identity from the agent"

for ((i = 1; i <= times; i++)); do
	step "Restart the agent ($i of $times)"
	run docker compose restart spire-agent
	expect_success "the agent is restarted"
	expect_log spire-agent 'Node attestation was successful' "it has attested anew: it kept its own SVID and all others in memory only"
	expect_log server 'X\.509-SVID of spiffe://example\.org/server rotated: ' "the server found the new agent by itself, and has a new SVID"
	expect_log steady 'X\.509-SVID of spiffe://example\.org/client rotated: ' "so has the client"
	run docker compose exec --user client-workload client svid
	expect_success "a new process gets its identity from the new agent"
done

step "Account for every request"
expect_same_processes "the workloads are the processes that they were"
traffic_ends
expect_lossless "the workloads did not notice"
explain "A workload needs the agent to get an SVID, not to use one. The SVID, its key and the bundle are in the workload's memory; the handshakes are between client and server alone."
