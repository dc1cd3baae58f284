# scripts/lab scenario resumption
# a server must verify the client on every connection, also when the client offers an old session

# knock ADDRESS OPTION...: makes a handshake and sends no request. If a server closes a connection before it reads the
# request, openssl may miss the server's alert.
knock() {
	run docker compose exec --user client-workload tools sh -c "openssl s_client -ign_eof -connect $* 2>&1" '|' grep -E '^(New|Reused)|SSL alert'
}

# ask REGEX ADDRESS OPTION...: sends one request, and shows the lines of the output that match. openssl reads to the
# end (-ign_eof), because in TLS 1.3 a session ticket or a refusal comes after the handshake.
ask() {
	run docker compose exec --user client-workload tools sh -c "printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | openssl s_client -ign_eof -connect ${*:2} 2>&1" '|' grep -E "$1"
}

# refused_by ADDRESS: asks whether this server refuses a request with the old SVID, which is in the file svid.0.pem.
refused_by() {
	! inside tools client-workload curl -sS -k --cert svid.0.pem --key svid.0.key "https://$1/"
}

# serves HOST: asks whether this server serves the lab's client, which has the current SVID.
serves() { inside client client-workload client -url "https://$1:8443/"; }

step "Start go-spiffe's own example server, which has the library's defaults"
extras tools
run docker compose exec --detach --user server-workload tools sh -c 'exec example-server >/scratch/example-server.log 2>&1'
eventually 60 "the example server serves the client" serves tools

step "With the SVID of client-workload, ask both servers for a session to resume later"
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
for version in tls1_3 tls1_2; do
	ask '^(New|Success|Post-Handshake)' server:8443 "-$version" -cert svid.0.pem -key svid.0.key -sess_out lab-session
	expect_output "Success!!!" "the lab's server serves the request"
	expect "the lab's server sends no session to resume" inside tools client-workload sh -c 'test ! -e lab-session'
done
ask '^(New|Success|Post-Handshake)' tools:8443 -tls1_3 -cert svid.0.pem -key svid.0.key -sess_out session
expect_output "Success!!!" "the example server serves the request"
expect_output "Post-Handshake New Session Ticket arrived" "the example server sends a session ticket with the answer"

step "Replace the CA that signed this SVID, as if the key of the CA had been stolen"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
old=$(authority Active <<<"$output")
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 prepare
new=$(captured '^ *Authority ID: (.*)$' <<<"$output")
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 activate -authorityID "$new"
expect_success "the new CA signs from now on"
run docker compose run --rm --no-deps bootstrap
expect_success "the host has a credential from the new CA"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 taint -authorityID "$old"
expect_success "the agents must replace the SVIDs that the old CA has signed"
expect_log server 'X.509-SVID of spiffe://example.org/server rotated' "the server has an SVID from the new CA"
eventually 60 "the agent has re-attested" logged spire-agent 'Successfully reattested node'

step "Revoke the old CA: it is removed from the trust bundle, and no certificate that it signed verifies any more"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 revoke -authorityID "$old"
expect_success "the old CA is revoked"
for host in server tools; do
	eventually 60 "$host:8443 refuses the SVID from the old CA" refused_by "$host:8443"
	eventually 60 "$host:8443 serves the client with its new SVID" serves "$host"
done

step "Both servers refuse the old SVID in a full handshake"
knock server:8443 -cert svid.0.pem -key svid.0.key
expect_exit 1 "there is no connection to the lab's server"
expect_output "alert bad certificate" "the client learns that its certificate is bad"
expect_log server 'TLS handshake error from [^ ]+: x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority' "the lab's server refused, and logs why"
knock tools:8443 -cert svid.0.pem -key svid.0.key
expect_exit 1 "there is no connection to the example server"
expect_output "alert bad certificate" "the client learns that its certificate is bad"
run docker compose exec tools cat example-server.log
expect_output "x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority" "the example server refused for the same reason"

step "Offer the old session to both servers, without a certificate"
ask '^(New|Reused|Success|Post-Handshake)' tools:8443 -tls1_3 -sess_in session
expect_output "Reused, TLSv1.3" "the example server resumes the old session"
expect_output "Success!!!" "the example server serves the client that it refused a moment ago"
expect_output "Post-Handshake New Session Ticket arrived" "the example server sends a new ticket for the next time"
knock server:8443 -tls1_3 -sess_in session
expect_exit 1 "there is no connection to the lab's server"
expect_no_output "Reused" "the lab's server does not resume the session"
expect_output "alert certificate required" "the lab's server requires a certificate"
expect_log server "TLS handshake error from [^ ]+: tls: client didn't provide a certificate" "the lab's server logs that the client sent no certificate"
explain "A resumed session proves only that the client took part in the earlier handshake. The certificate is not sent again, and go-spiffe's verification is not called. The lab's server sets SessionTicketsDisabled, so it sends no ticket and accepts none."

step "The lab continues with the new CA"
eventually 60 "the lab's own client is served" client_served
run docker compose run --rm --no-deps bootstrap
expect_success "the bundle with which the agent starts has only the new CA"
