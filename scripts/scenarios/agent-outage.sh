# scripts/lab scenario agent-outage
# workloads must continue without an agent until an SVID expires, then log why requests fail, and recover automatically

# client_ttl is so much shorter than server_ttl that the client's SVID expires first, no matter when the two SVIDs were last renewed. So the
# scenario shows that the server refuses the client, and later that the client refuses the server.
client_ttl=$(quick 10 20)
server_ttl=$(quick 17 40)

step "The client's SVIDs are valid for $client_ttl seconds, the server's for $server_ttl, and requests are sent all the time"
short_lived "$client_ttl" client
short_lived "$server_ttl" server
traffic_begins
expect_log steady '^Success!!!$' "the client is served"
see_processes server client steady

step "Stop the agent"
run docker compose stop spire-agent
expect_success "the agent is stopped"

step "The running programs need no agent until the client's SVID expires"
expired=$(held_until steady)
expect_log steady '^Success!!!$' "the running client is still served"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/steady"' "the server accepts the client's SVID"
countdown steady
expect_log server 'TLS handshake error from .*: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "the server, whose SVID is still valid, refuses the client and logs why"
expect_log steady 'Get "https://server:8443/steady": remote error: tls: bad certificate$' "the client learns that its certificate is bad"

step "Wait until the server's SVID has expired too"
countdown server
expect_log steady 'Get "https://server:8443/steady": x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "the client refuses the server, and logs why"
expect_log server 'TLS handshake error from .*: remote error: tls: bad certificate$' "the server learns that its certificate is bad"
run docker compose exec --user client-workload client client -wait 2s
expect_exit 3 "a new process gets no identity at all"
expect_output "likely cause: the agent is not running or has not attested, or its socket is not mounted here" "its error message names the likely cause"
explain "In a TLS 1.3 handshake the server shows its certificate first. So the client refuses the server when both certificates have expired."

step "Start the agent again, and restart nothing else"
run docker compose start spire-agent
eventually 60 "the running client is served again" logged steady '^Success!!!$'
run docker compose exec --user client-workload client svid
expect_success "a new process gets its identity"
expect_same_processes "the workloads are still the same processes"
traffic_ends
expect_outage '(: remote error: tls: bad certificate|: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: current time .*)$' "requests were served until an SVID expired, and again after the agent had started" "$expired"

usual_lives
