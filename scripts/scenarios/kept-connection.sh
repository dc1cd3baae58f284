# scripts/lab scenario kept-connection
# a connection must stay open when the client's SVID expires, unless the server limits the age of connections; a new connection must be refused

ttl=$(quick 10 20)

# in_tools USER NAME COMMAND: starts a program in the container tools. The program writes to /scratch/NAME.log, and ends when the container stops.
in_tools() {
	run docker compose exec --detach --user "$1" tools sh -c "exec $3 >/scratch/$2.log 2>&1"
	expect_success "$2 is started"
}

# said NAME REGEX: prints the lines of /scratch/NAME.log that match.
said() { inside tools guest-workload cat "/scratch/$1.log" | grep -E "$2"; }

# expect_said NAME REGEX WHY: waits for a line that matches, and shows the last such line.
expect_said() {
	eventually 60 "$3" said "$1" "$2"
	say "    $1 logs: $(said "$1" "$2" | tail -n 1)"
}

# expect_all_served NAME: checks that no request of this client has failed so far.
expect_all_served() {
	local failed
	failed=$(said "$1" '^Error' || true)
	[ -z "$failed" ] || fail "a request of $1 failed: $(head -n 1 <<<"$failed")"
	passed "all requests of $1 so far were served, $(said "$1" '^Success!!!$' | count) of them"
}

step "SVIDs are valid for $ttl seconds, and steady opens a new connection for each request"
short_lived "$ttl"
traffic_begins
expect_log steady '^Success!!!$' "each new connection is served"

step "Two more clients, named kept and bounded, keep a connection open. The server of bounded closes connections after 3 seconds"
extras tools
in_tools client-workload kept 'client -interval 2s -keep-alive -url https://server:8443/kept'
in_tools server-workload bounded-server 'server -listen :9443 -max-connection-age 3s'
expect_said bounded-server 'serving on ' "the second server is ready"
in_tools client-workload bounded 'client -interval 1s -keep-alive -url https://tools:9443/bounded'
expect_log server 'Request received from "spiffe://example\.org/client": GET "/kept"' "kept is served over its one connection"
expect_said bounded-server 'closing the connection from .*: it is older than -max-connection-age, 3s' "the server closes the connection when it is 3 s old"
again() { [ "$(said bounded 'new connection' | count)" -ge 2 ]; }
eventually 60 "the client opens a new connection, and is verified again" again
expect_all_served bounded

step "Delete the client's registration entry, and wait until the SVID has expired"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID client
expect_success "the entry is deleted"
no_identity() { ! inside client client-workload svid; }
eventually 60 "client-workload gets no SVID any more" no_identity
expired=$(held_until steady)
countdown steady

step "Which of the three clients is still served?"
expect_log steady 'Get "https://server:8443/steady": remote error: tls: bad certificate$' "a new connection is refused"
expect_log server 'TLS handshake error from .*: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "the server refused steady, because steady's SVID has expired"
opened=$(said kept 'new connection')
say "    kept logs: $opened"
expect "kept has opened only this one connection" test "$(count <<<"$opened")" = 1
expect_past 0 "${opened##* }" "the SVID that the server showed on this connection has expired"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/kept"' "the server still serves kept, whose entry is deleted and whose SVID has expired"
expect_all_served kept
expect_said bounded 'Get "https://tools:9443/bounded": remote error: tls: bad certificate$' "bounded had to open a new connection, and is refused"
expect_said bounded-server 'TLS handshake error from .*: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "the second server refused bounded, because bounded's SVID has expired"
explain "Client and server verified each other only when the connection was opened. A connection stays open when an SVID expires or an entry is deleted. A server with -max-connection-age 3s closes each connection after 3 seconds. So an SVID is useful for at most 3 seconds after it has expired."

step "Create the entry again"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL "$ttl"
expect_success "the entry exists again"
eventually 60 "new connections are served again" logged steady '^Success!!!$'
traffic_ends
expect_outage 'remote error: tls: bad certificate$' "new connections were refused after the SVID had expired" "$expired"

usual_lives
