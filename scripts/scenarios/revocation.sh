# scripts/lab scenario revocation
# a deleted entry must end the identity: no new SVID at once, and the old one is good only until it expires

ttl=$(quick 10 20)

step "The client's SVIDs live $ttl seconds; requests are sent all the while"
short_lived "$ttl" client
traffic_begins
see_processes client steady
run docker compose exec --user client-workload client svid
expect_success "a new process of client-workload gets the identity too"

step "Delete the client's registration entry"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID client
expect_success "the entry is gone"
deleted=$(engine_time)
no_identity() { ! inside client client-workload svid; }
eventually 60 "a new process of client-workload gets no identity any more" no_identity
expect_log_within 2 "$deleted" spire-agent 'msg="No identity issued" method=FetchX509SVID ' "the agent has refused client-workload within 2 s of the deletion"

step "The programs that run still have the old SVID: wait until it expires"
expired=$(held_until steady)
expect_log steady '^Success!!!$' "the running client is served as before"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/steady"' "the server knows it by the name that was deleted"
run docker compose exec --user client-workload client svid
expect_exit 1 "while a new process of the same user gets none"
expect_output "rpc error: code = PermissionDenied desc = no identity issued" "it is told why"
countdown steady

step "Now it is refused"
expect_log steady 'Get "https://server:8443/steady": remote error: tls: bad certificate$' "the client is told that its certificate is bad"
expect_log server 'TLS handshake error from .*: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "the server refused it, and says why"
explain "Nobody told the server of the deletion. It refuses an SVID that is too old, and the client has no newer one to show."

step "Create the entry again, and restart nothing"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL "$ttl"
expect_success "the entry is back"
eventually 60 "the running client is served again" logged steady '^Success!!!$'
expect_same_processes "the programs are those that they were: nothing was restarted"
traffic_ends
expect_outage 'remote error: tls: bad certificate$' "served until the SVID expired, then refused, then served" "$expired"

usual_lives client
