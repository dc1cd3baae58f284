# scripts/lab scenario revocation
# a deleted entry must end the identity: there is no new SVID, and the old one is valid only until it expires

ttl=$(quick 10 20)

step "The client's SVIDs are valid for $ttl seconds, and requests are sent all the time"
short_lived "$ttl" client
traffic_begins
see_processes client steady
run docker compose exec --user client-workload client svid
expect_success "a new process of client-workload gets the identity too"

step "Delete the client's registration entry"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID client
expect_success "the entry is deleted"
deleted=$(engine_time)
no_identity() { ! inside client client-workload svid; }
eventually 60 "a new process of client-workload gets no identity any more" no_identity
expect_log_within 2 "$deleted" spire-agent 'msg="No identity issued" method=FetchX509SVID ' "the agent has refused client-workload within 2 s of the deletion"

step "The running programs still have the old SVID: wait until it expires"
expired=$(held_until steady)
expect_log steady '^Success!!!$' "the running client is still served"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/steady"' "the server accepts the SPIFFE ID whose entry was deleted"
run docker compose exec --user client-workload client svid
expect_exit 1 "a new process of the same user gets no SVID"
expect_output "rpc error: code = PermissionDenied desc = no identity issued" "the agent has issued no identity"
countdown steady

step "After the SVID has expired, the server refuses the running client"
expect_log steady 'Get "https://server:8443/steady": remote error: tls: bad certificate$' "the client learns that its certificate is bad"
expect_log server 'TLS handshake error from .*: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "the server refused the client, and logs why"
explain "The server does not know about the deletion. It refuses the client because the client's SVID has expired. The client has no newer SVID."

step "Create the entry again, and restart nothing"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL "$ttl"
expect_success "the entry exists again"
eventually 60 "the running client is served again" logged steady '^Success!!!$'
expect_same_processes "the programs are still the same processes: nothing was restarted"
traffic_ends
expect_outage 'remote error: tls: bad certificate$' "served until the SVID expired, then refused, then served" "$expired"

usual_lives client
