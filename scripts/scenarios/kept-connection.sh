# scripts/lab scenario kept-connection
# an open connection must be seen for what it is: it outlives its peer's SVID and its entry, and a new one does not

ttl=$(quick 10 20)

# in_tools USER NAME COMMAND: starts a program there, which writes to /scratch/NAME.log and ends with
# the container.
in_tools() {
	run docker compose exec --detach --user "$1" tools sh -c "exec $3 >/scratch/$2.log 2>&1"
	expect_success "$2 is started"
}

# said NAME REGEX: the lines of /scratch/NAME.log that match.
said() { inside tools guest-workload cat "/scratch/$1.log" | grep -E "$2"; }

# expect_said NAME REGEX WHY: the last such line is shown.
expect_said() {
	eventually 60 "$3" said "$1" "$2"
	say "    $1 says: $(said "$1" "$2" | tail -n 1)"
}

# expect_all_served NAME
expect_all_served() {
	local failed
	failed=$(said "$1" '^Error' || true)
	[ -z "$failed" ] || fail "a request of $1 failed: $(head -n 1 <<<"$failed")"
	passed "all requests of $1 so far were served, $(said "$1" '^Success!!!$' | count) of them"
}

step "SVIDs that live $ttl seconds, and traffic over a new connection for each request"
short_lived "$ttl"
traffic_begins
expect_log steady '^Success!!!$' "each new connection is served"

step "Beside it a client that keeps its one connection, and asks over it every two seconds"
extras tools
in_tools client-workload kept 'client -interval 2s -keep-alive -url https://server:8443/kept'
expect_said kept 'new connection .*->.*:8443; ' "it has opened a connection"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/kept"' "it is served"

step "And the same client against a server that lets no connection grow older than 3 seconds"
in_tools server-workload bounded-server 'server -listen :9443 -max-connection-age 3s'
expect_said bounded-server 'serving on ' "it has its identity, and listens"
in_tools client-workload bounded 'client -interval 1s -keep-alive -url https://tools:9443/bounded'
expect_said bounded-server 'closing the connection from .*: it is older than -max-connection-age, 3s' "the server closes the connection when its time is over"
again() { [ "$(said bounded 'new connection' | count)" -ge 2 ]; }
eventually 60 "the client opens another, and is verified anew" again
expect_all_served bounded

step "Delete the client's registration entry"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID client
expect_success "the entry is gone"
no_identity() { ! inside client client-workload svid; }
eventually 60 "client-workload gets no SVID any more" no_identity
expired=$(held_until steady)
countdown steady

step "What a new connection is worth now"
expect_log steady 'Get "https://server:8443/steady": remote error: tls: bad certificate$' "the client with new connections is refused"
expect_log server 'TLS handshake error from .*: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "the server refused it, for its SVID has expired"

step "What the open connection is worth"
opened=$(said kept 'new connection')
say "    kept says: $opened"
expect "it has opened one connection in all its life" test "$(count <<<"$opened")" = 1
expect_past 0 "${opened##* }" "the server's SVID that it saw on this connection has expired"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/kept"' "and yet the server serves it, under the name that it has lost"
expect_all_served kept
explain "Both SVIDs were verified when the connection was opened, and never since. Nothing closes it: neither the end of an SVID, nor the end of the entry."

step "What the server with a bound has made of it"
expect_said bounded 'Get "https://tools:9443/bounded": remote error: tls: bad certificate$' "its client had to connect anew, and is refused"
expect_said bounded-server 'TLS handshake error from .*: x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ' "its server refused it, for its SVID has expired"
explain "The server closes each connection when it is 3 seconds old, whether or not a request comes. So at most 3 seconds after the SVID has expired there is no connection left that was opened with it."

step "Create the entry again"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL "$ttl"
expect_success "the entry is back"
eventually 60 "new connections are served again" logged steady '^Success!!!$'
traffic_ends
expect_outage 'remote error: tls: bad certificate$' "new connections were refused from the end of the SVID on" "$expired"

usual_lives
