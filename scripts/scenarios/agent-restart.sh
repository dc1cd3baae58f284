# scripts/lab scenario agent-restart
# restarting the agent must not interrupt the workloads

times=$(quick 1 3)

step "Requests are sent all the time"
traffic_begins
see_processes server client steady
run docker compose exec --user client-workload client svid
expect_success "a new process gets its identity from the agent"

for ((i = 1; i <= times; i++)); do
	step "Restart the agent ($i of $times)"
	run docker compose restart spire-agent
	expect_success "the agent is restarted"
	expect_log spire-agent 'Node attestation was successful' "the agent has re-attested, because it keeps its own SVID and all others in memory only"
	expect_log server 'X\.509-SVID of spiffe://example\.org/server rotated: ' "the server has reconnected to the agent, and has a new SVID"
	expect_log steady 'X\.509-SVID of spiffe://example\.org/client rotated: ' "the client has a new SVID, too"
	run docker compose exec --user client-workload client svid
	expect_success "a new process gets its identity from the new agent"
done

step "Account for every request"
expect_same_processes "the workloads are still the same processes"
traffic_ends
expect_lossless "the workloads lost no request"
explain "A workload needs the agent to get an SVID, not to use it. The SVID, its key and the bundle are in the workload's memory. Only client and server take part in a handshake."
