# scripts/lab scenario agent-outage
# without an agent, workloads must go on until their SVID expires, fail then with the reason, and recover by themselves

# The client's ends first, whenever each was last renewed: so that either end can be seen.
client_ttl=$(quick 10 20)
server_ttl=$(quick 17 40)

step "The client's SVIDs live $client_ttl seconds, the server's $server_ttl; requests are sent all the while"
short_lived "$client_ttl" client
short_lived "$server_ttl" server
traffic_begins
expect_log steady '^Success!!!$' "the client is served"
see_processes server client steady

step "Stop the agent"
run docker compose stop spire-agent
expect_success "the agent is gone"

step "The programs that run have what they need, until the client's SVID expires"
expired=$(held_until steady)
expect_log steady '^Success!!!$' "the running client is served as before"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/steady"' "the server serves it"
countdown steady
expect_log server 'TLS handshake error from .*: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "the server, whose SVID is still valid, refuses the client and says why"
expect_log steady 'Get "https://server:8443/steady": remote error: tls: bad certificate$' "the client is told that its certificate is bad"

step "Wait until the server's SVID has expired too"
countdown server
expect_log steady 'Get "https://server:8443/steady": x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "the client refuses the server, and says why"
expect_log server 'TLS handshake error from .*: remote error: tls: bad certificate$' "the server is told that its certificate is bad"
run docker compose exec --user client-workload client client -wait 2s
expect_exit 3 "a new process gets no identity at all"
expect_output "likely cause: is the agent running, and its socket mounted here?" "it says what to look at"
explain "In a TLS 1.3 handshake the server shows its certificate first: so with both of them expired it is the client that refuses."

step "Start the agent again, and nothing else"
run docker compose start spire-agent
eventually 60 "the running client is served again" logged steady '^Success!!!$'
run docker compose exec --user client-workload client svid
expect_success "a new process gets its identity"
expect_same_processes "the workloads are the processes that they were"
traffic_ends
expect_outage '(: remote error: tls: bad certificate|: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: current time .*)$' "served until an SVID expired, and again when the agent was back" "$expired"

usual_lives
