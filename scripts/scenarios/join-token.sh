# scripts/lab scenario join-token
# exactly one agent must be able to join with a join token

step "Requests are sent on the first host all the time"
traffic_begins

step "A second host joins, with a token that an operator has made for it"
join host-b spire-server spiffe://example.org/host-b
explain "The token is a secret. The first agent that presents it becomes spiffe://example.org/spire/agent/join_token/TOKEN. With -spiffeID the operator gave that agent an alias, spiffe://example.org/host-b, which entries can name as their parent. If this agent is evicted, the alias is deleted too."

step "A program on the second host has no identity yet, because no entry names this host"
run docker compose exec --user client-workload host-b svid
expect_exit 1 "client-workload of host-b gets no SVID"
expect_output "no identity issued" "the agent of host-b gives this answer"

step "With an entry whose parent is the second host, the program is served"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-join-token -parentID spiffe://example.org/host-b -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the entry is created"
run docker compose exec --user client-workload host-b client -wait 15s -url https://server:8443/join-token
expect_success "the server on the first host serves the program"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/join-token"' "the server sees the program's SPIFFE ID, not its host"

step "The same token, used by a second agent"
run docker compose exec spire-server /opt/spire/bin/spire-server agent count
agents=$output
run docker compose exec --detach host-b spire-agent run -config /etc/spire/host-b/agent.conf -joinToken "$token" -dataDir /scratch/another -socketPath /scratch/another.sock -logFile /proc/1/fd/1
expect_log spire-server 'failed to attest: join token does not exist or has already been used"' "the SPIRE server refuses the token"
expect_log host-b 'Failed to retrieve attestation result.*join token does not exist or has already been used"' "the agent learns why"
run docker compose exec spire-server /opt/spire/bin/spire-server agent count
expect "no second agent has joined" test "$output" = "$agents"
explain "A token is deleted when it is used. So the SPIRE server cannot distinguish a used token from an invented one."

step "A token that expired before it was used"
run docker compose exec spire-server /opt/spire/bin/spire-server token generate -ttl 1
late=$(captured '^Token: (.*)$' <<<"$output")
expect "the SPIRE server has generated a token" test -n "$late"
run docker compose exec host-b sleep 2
run docker compose exec --detach host-b spire-agent run -config /etc/spire/host-b/agent.conf -joinToken "$late" -dataDir /scratch/late -socketPath /scratch/late.sock -logFile /scratch/late.log
expect_log spire-server 'msg="Invalid argument: join token expired"' "the SPIRE server refuses the token, and logs that it has expired"
gone() { inside host-b '' cat /scratch/late.log | grep -E 'failed to attest: join token does not exist or has already been used"'; }
eventually 60 "the agent's next attempt finds no token, because the expired token is deleted too" gone
run docker compose exec host-b cat /scratch/late.log '|' grep -E 'join token'
expect_output 'rpc error: code = InvalidArgument desc = join token expired' "at its first attempt the agent learned that the token had expired"

step "The agent that joined with the token continues"
run docker compose exec --user client-workload host-b client -url https://server:8443/join-token
expect_success "the program on host-b is still served"

step "That agent is evicted, and cannot join again, because its token is used up"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID "spiffe://example.org/spire/agent/join_token/$token"
expect_success "the agent of host-b is evicted"
expect_log host-b 'Agent failed re-attestation; removing SVID and shutting down" error="attestation method is not re-attestable"' "the agent exits"
expect_log spire-server 'Cascade-deleted registration entry.*spiffe_id="spiffe://example\.org/host-b"' "the agent's alias is deleted too"
explain "After an eviction, the agent of the first host could join again. It can prove as often as needed that it has the host's key (see the scenario evict)."

step "Account for every request of the first host"
traffic_ends
expect_lossless "no request of the first host failed"
