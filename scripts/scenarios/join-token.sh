# scripts/lab scenario join-token
# a join token must admit one agent, once

step "Requests on the first host, all the while"
traffic_begins

step "A second host joins, with a token that an operator has made for it"
join host-b spire-server spiffe://example.org/host-b
explain "The token is a secret that is good for one agent. The first agent that shows it becomes spiffe://example.org/spire/agent/join_token/TOKEN. With -spiffeID the operator gave that agent a second name, spiffe://example.org/host-b, to be the parent of entries. The name ends with this agent."

step "A program there has no identity yet, for no entry names its host"
run docker compose exec --user client-workload host-b svid
expect_exit 1 "client-workload of host-b gets none"
expect_output "no identity issued" "the agent of host-b answers, and says so"

step "An entry under the second host, and the program is served"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-join-token -parentID spiffe://example.org/host-b -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the entry is made"
run docker compose exec --user client-workload host-b client -wait 15s -url https://server:8443/join-token
expect_success "the program is served, by the server on the first host"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/join-token"' "the server knows it by its SPIFFE ID, and not by its host"

step "The same token, used by another agent"
run docker compose exec spire-server /opt/spire/bin/spire-server agent count
agents=$output
run docker compose exec --detach host-b spire-agent run -config /etc/spire/host-b/agent.conf -joinToken "$token" -dataDir /scratch/another -socketPath /scratch/another.sock -logFile /proc/1/fd/1
expect_log spire-server 'failed to attest: join token does not exist or has already been used"' "the SPIRE server refuses it"
expect_log host-b 'Failed to retrieve attestation result.*join token does not exist or has already been used"' "the agent is told why"
run docker compose exec spire-server /opt/spire/bin/spire-server agent count
expect "no agent has come in" test "$output" = "$agents"
explain "A token that has been used is deleted: to the SPIRE server it is the same as an invented one."

step "A token that has expired before it was used"
run docker compose exec spire-server /opt/spire/bin/spire-server token generate -ttl 1
late=$(captured '^Token: (.*)$' <<<"$output")
expect "it is a token that nobody has used" test -n "$late"
run docker compose exec host-b sleep 2
run docker compose exec --detach host-b spire-agent run -config /etc/spire/host-b/agent.conf -joinToken "$late" -dataDir /scratch/late -socketPath /scratch/late.sock -logFile /scratch/late.log
expect_log spire-server 'msg="Invalid argument: join token expired"' "the SPIRE server refuses it, and says that it has expired"
gone() { inside host-b '' cat /scratch/late.log | grep -E 'failed to attest: join token does not exist or has already been used"'; }
eventually 60 "the agent's next attempt finds no token: this one is deleted too" gone
run docker compose exec host-b cat /scratch/late.log '|' grep -E 'join token'
expect_output 'rpc error: code = InvalidArgument desc = join token expired' "the agent was told so the first time"

step "The first agent goes on"
run docker compose exec --user client-workload host-b client -url https://server:8443/join-token
expect_success "the program on host-b is still served"

step "Evicted, it cannot come back: what it joined with is used up"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID "spiffe://example.org/spire/agent/join_token/$token"
expect_success "the agent of host-b is evicted"
expect_log host-b 'Agent failed re-attestation; removing SVID and shutting down" error="attestation method is not re-attestable"' "it ends"
expect_log spire-server 'Cascade-deleted registration entry.*spiffe_id="spiffe://example\.org/host-b"' "its name is gone with it"
explain "The lab's own host is another matter: it proves that it holds a key, which it can do again and again (make scenario-evict)."

step "Account for every request of the first host"
traffic_ends
expect_lossless "what came and went beside it cost the first host nothing"
