# scripts/lab scenario resumption
# every connection must be verified anew, also one that offers an old session

# knock ADDRESS OPTION...: a handshake and no request, so that nothing overtakes the server's refusal.
knock() {
	run docker compose exec --user client-workload tools sh -c "openssl s_client -ign_eof -connect $* 2>&1" '|' grep -E '^(New|Reused)|SSL alert'
}

# ask REGEX ADDRESS OPTION...: one request, of whose output the matching lines are shown. In TLS 1.3 a
# session ticket, and a refusal too, comes after the handshake: so it reads on.
ask() {
	run docker compose exec --user client-workload tools sh -c "printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | openssl s_client -ign_eof -connect ${*:2} 2>&1" '|' grep -E "$1"
}

# refused_by ADDRESS: is the SVID that was fetched first no longer good for a request?
refused_by() {
	! inside tools client-workload curl -sS -k --cert svid.0.pem --key svid.0.key "https://$1/"
}

# serves HOST: the lab's client, with the SVID of today.
serves() { inside client client-workload client -url "https://$1:8443/"; }

step "Beside the lab's server, start one with the library's default: go-spiffe's own example"
extras tools
run docker compose exec --detach --user server-workload tools sh -c 'exec example-server >/scratch/example-server.log 2>&1'
eventually 60 "the example server serves the client" serves tools

step "Ask both for a session to resume later, with the SVID of client-workload"
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
for version in tls1_3 tls1_2; do
	ask '^(New|Success|Post-Handshake)' server:8443 "-$version" -cert svid.0.pem -key svid.0.key -sess_out lab-session
	expect_output "Success!!!" "the lab's server serves the request"
	expect "the lab's server gives no session to resume" inside tools client-workload sh -c 'test ! -e lab-session'
done
ask '^(New|Success|Post-Handshake)' tools:8443 -tls1_3 -cert svid.0.pem -key svid.0.key -sess_out session
expect_output "Success!!!" "the example server serves the request"
expect_output "Post-Handshake New Session Ticket arrived" "it gives a session ticket with the answer"

step "Replace the CA that has issued this SVID by a new one, as if its key had been stolen"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
old=$(authority Active <<<"$output")
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 prepare
new=$(captured '^ *Authority ID: (.*)$' <<<"$output")
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 activate -authorityID "$new"
expect_success "the new CA issues from now on"
run docker compose run --rm --no-deps bootstrap
expect_success "the host has a credential of the new CA"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 taint -authorityID "$old"
expect_success "the agents are told to replace what the old CA has issued"
expect_log server 'X.509-SVID of spiffe://example.org/server rotated' "the server has an SVID of the new CA"
eventually 60 "the agent has attested anew" logged spire-agent 'Successfully reattested node'

step "Revoke the old CA: it leaves the trust bundle, and all that it has issued is worthless"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 revoke -authorityID "$old"
expect_success "the old CA is revoked"
for host in server tools; do
	eventually 60 "$host:8443 refuses the SVID of the old CA" refused_by "$host:8443"
	eventually 60 "$host:8443 serves the client with its new SVID" serves "$host"
done

step "In whole handshakes the old SVID is refused by both"
knock server:8443 -cert svid.0.pem -key svid.0.key
expect_exit 1 "there is no connection to the lab's server"
expect_output "alert bad certificate" "the client is told that its certificate is bad"
expect_log server 'TLS handshake error from [^ ]+: x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority' "the lab's server refused, and says why"
knock tools:8443 -cert svid.0.pem -key svid.0.key
expect_exit 1 "there is no connection to the example server"
expect_output "alert bad certificate" "the client is told that its certificate is bad"
run docker compose exec tools cat example-server.log
expect_output "x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority" "the example server refused for the same reason"

step "Offer both the old session, and no certificate at all"
ask '^(New|Reused|Success|Post-Handshake)' tools:8443 -tls1_3 -sess_in session
expect_output "Reused, TLSv1.3" "the example server takes the old session up again"
expect_output "Success!!!" "the example server serves whom it refused a moment ago"
expect_output "Post-Handshake New Session Ticket arrived" "it gives a new ticket for the next time"
knock server:8443 -tls1_3 -sess_in session
expect_exit 1 "there is no connection to the lab's server"
expect_no_output "Reused" "the lab's server does not take up the session"
expect_output "alert certificate required" "it tells the client to show a certificate"
expect_log server "TLS handshake error from [^ ]+: tls: client didn't provide a certificate" "its log says the same"
explain "A resumed session proves only that a session was once agreed on. The certificate is not sent again, and go-spiffe's verification is not called. The lab's server sets SessionTicketsDisabled, so that there is nothing to resume."

step "The lab goes on with the new CA"
eventually 60 "the lab's own client is served" client_served
run docker compose run --rm --no-deps bootstrap
expect_success "the bundle with which the agent starts has the new CA alone"
