# scripts/lab scenario evict
# an evicted agent must attest anew by itself, and service must go on

agent=spiffe://example.org/spire/agent/x509pop/host

# serial: of the agent's certificate, as just shown.
serial() { captured '^Serial number *: (.*)$' <<<"$output"; }

step "Requests all the while, and the agent as the SPIRE server knows it"
traffic_begins
see_processes spire-agent server steady
run docker compose exec spire-server /opt/spire/bin/spire-server agent show -spiffeID "$agent"
expect_output "$agent" "the agent of the host is attested"
before=$(serial)

step "Evict it, and see it attest anew, with nothing done by hand"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID "$agent"
expect_success "the SPIRE server forgets the agent"
expect_log spire-server "Agent is not attested.*caller_id=\"$agent\"" "the agent's next call is refused, though its certificate is still valid"
expect_log spire-agent 'Agent needs to re-attest; will attempt to re-attest' "the agent is told"
expect_log spire-server "Agent attestation request completed.*agent_id=\"$agent\"" "the SPIRE server has verified once more who it is"
expect_log spire-agent "Successfully reattested node" "the agent is in again"
run docker compose exec spire-server /opt/spire/bin/spire-server agent show -spiffeID "$agent"
expect_output "$agent" "it is the same agent"
expect "its certificate is another" test "$(serial)" != "$before"

step "It does its work: a new entry reaches a program"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-evict -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:guest-workload
expect_success "the entry is made"
eventually 60 "guest-workload has an identity" inside client guest-workload svid
run docker compose exec --user guest-workload client svid
expect_output "SPIFFE ID   spiffe://example.org/guest" "it is the one of the new entry"

step "Account for every request"
expect_same_processes "all three are the processes that they were: nothing was restarted"
traffic_ends
expect_lossless "the eviction cost nothing"
explain "The programs noticed nothing: they had their SVIDs, and the agent went on serving them from its memory while it attested."
