# scripts/lab scenario evict
# an evicted agent must re-attest automatically, and no request may fail

agent=spiffe://example.org/spire/agent/x509pop/host

# serial: prints the serial number of the agent's certificate, from $output.
serial() { captured '^Serial number *: (.*)$' <<<"$output"; }

step "Requests are sent all the time; show what the SPIRE server knows about the agent"
traffic_begins
see_processes spire-agent server steady
run docker compose exec spire-server /opt/spire/bin/spire-server agent show -spiffeID "$agent"
expect_output "$agent" "the agent of the host is attested"
before=$(serial)

step "Evict the agent: it re-attests automatically"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID "$agent"
expect_success "the SPIRE server forgets the agent"
expect_log spire-server "Agent is not attested.*caller_id=\"$agent\"" "the agent's next call is refused, although its certificate is still valid"
expect_log spire-agent 'Agent needs to re-attest; will attempt to re-attest' "the agent logs that it has to re-attest"
expect_log spire-server "Agent attestation request completed.*agent_id=\"$agent\"" "the SPIRE server has authenticated the agent again"
expect_log spire-agent "Successfully reattested node" "the agent has re-attested"
run docker compose exec spire-server /opt/spire/bin/spire-server agent show -spiffeID "$agent"
expect_output "$agent" "the agent has the same SPIFFE ID as before"
expect "the agent has a new certificate" test "$(serial)" != "$before"

step "A new entry reaches a workload"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-evict -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
expect_success "the entry is created"
eventually 60 "guest-workload has an identity" inside client guest-workload svid
run docker compose exec --user guest-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/guest" "guest-workload has the SPIFFE ID of the new entry"

step "Account for every request"
expect_same_processes "agent, server and client are still the same processes"
traffic_ends
expect_lossless "no request failed because of the eviction"
explain "The workloads had their SVIDs. While the agent re-attested, it served the Workload API from its memory."
