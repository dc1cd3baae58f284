# scripts/lab scenario ban
# a banned agent must stay out until the ban is lifted

agent=spiffe://example.org/spire/agent/x509pop/host

# refused_often N: so many times since the step began the agent asked to be let in, and was not.
refused_often() { [ "$(new_lines spire-server | grep -cE 'Failed to attest: agent is banned')" -ge "$1" ]; }
admitted() { server_cli agent show -spiffeID "$agent" | grep -E '^Serial number' && inside client client-workload svid; }

step "Requests all the while, and the agent as the SPIRE server knows it"
traffic_begins
run docker compose exec spire-server /opt/spire/bin/spire-server agent show -spiffeID "$agent"
expect_output "$agent" "the agent of the host is attested"

step "Ban it"
run docker compose exec spire-server /opt/spire/bin/spire-server agent ban -spiffeID "$agent"
expect_success "the SPIRE server has banned the agent"
expect_log spire-server "Agent is banned.*caller_id=\"$agent\"" "its next call is refused"
expect_log spire-agent 'Agent is banned: removing SVID and shutting down' "the agent is told, removes its SVID, and exits"

step "It is started again and again, and stays out"
tries=$(quick 1 3)
eventually 90 "it has tried to attest, $tries times or more" refused_often "$tries"
expect_log spire-server "Failed to attest: agent is banned\" agent_id=\"$agent\"" "the SPIRE server knows it by what it proves, and refuses it"
expect_log spire-agent 'PermissionDenied desc = failed to attest: agent is banned"' "the agent is told why, and ends"
run docker compose exec spire-server /opt/spire/bin/spire-server agent list -banned true
expect_output "Banned            : true" "the SPIRE server lists it as banned"
run docker compose exec --user client-workload client client -wait 3s
expect_exit 3 "a program that starts now gets no identity"
expect_output "the socket does not exist" "there is no agent to ask"

step "Lift the ban: eviction makes the SPIRE server forget it"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID "$agent"
expect_success "the SPIRE server has forgotten the agent, ban and all"
eventually 75 "the agent is in again" admitted
expect_log spire-server "Agent attestation request completed.*agent_id=\"$agent\"" "the next time it is started it is let in"
run docker compose exec --user client-workload client client
expect_success "a program that starts now is served"

step "Account for every request"
traffic_ends
expect_lossless "the programs went on with the SVIDs that they had"
explain "Nobody calls an SVID back: the server's is good until $(held_until server), and a ban that lasts longer ends the service then (make scenario-agent-outage shows how). The shorter SVIDs live, the sooner a ban bites."
