# scripts/lab scenario ban
# a banned agent must be refused until the ban is lifted

agent=spiffe://example.org/spire/agent/x509pop/host

# refused_often N: asks whether the SPIRE server has refused the agent at least N times since the step began.
refused_often() { [ "$(new_lines spire-server | grep -cE 'Failed to attest: agent is banned')" -ge "$1" ]; }
reattested() { server_cli agent show -spiffeID "$agent" | grep -E '^Serial number' && inside client client-workload svid; }

step "Requests are sent all the time; show what the SPIRE server knows about the agent"
traffic_begins
run docker compose exec spire-server /opt/spire/bin/spire-server agent show -spiffeID "$agent"
expect_output "$agent" "the agent of the host is attested"

step "Ban the agent"
run docker compose exec spire-server /opt/spire/bin/spire-server agent ban -spiffeID "$agent"
expect_success "the SPIRE server has banned the agent"
expect_log spire-server "Agent is banned.*caller_id=\"$agent\"" "the agent's next call is refused"
expect_log spire-agent 'Agent is banned: removing SVID and shutting down' "the agent learns that it is banned, removes its SVID, and exits"

step "Docker restarts the agent, and the SPIRE server refuses it each time"
tries=$(quick 1 3)
eventually 90 "the agent has tried to attest at least $tries times" refused_often "$tries"
expect_log spire-server "Failed to attest: agent is banned\" agent_id=\"$agent\"" "the SPIRE server has authenticated the agent, and refuses it"
expect_log spire-agent 'PermissionDenied desc = failed to attest: agent is banned"' "the agent learns why, and exits"
run docker compose exec spire-server /opt/spire/bin/spire-server agent list -banned true
expect_output "Banned            : true" "the SPIRE server lists the agent as banned"
run docker compose exec --user client-workload client client -wait 3s
expect_exit 3 "a program that starts now gets no identity"
expect_output "the socket does not exist" "no agent serves the Workload API"

step "Lift the ban: eviction makes the SPIRE server forget the agent"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID "$agent"
expect_success "the SPIRE server has forgotten the agent and its ban"
eventually 75 "the agent is attested again" reattested
expect_log spire-server "Agent attestation request completed.*agent_id=\"$agent\"" "the SPIRE server accepted the agent's next attestation"
run docker compose exec --user client-workload client client
expect_success "a program that starts now is served"

step "Account for every request"
traffic_ends
expect_lossless "the programs continued with the SVIDs that they had"
explain "A ban does not revoke any SVID. The SVID of the lab's server is valid until $(held_until server). If the ban lasts until then, requests begin to fail, as in the scenario agent-outage. The shorter the lifetime of SVIDs, the sooner a ban takes effect."
