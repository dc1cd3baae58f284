# scripts/lab break faster-now
# the server is faster since last week, but it served a client that it should have refused
level 3
category "success: session tickets"
doctor LAB115

ticket() {
	cat <<'END'
  From: the security officer
  The server was "tuned" last week: a client that comes back is served faster. Everything is green, the client is served,
  and server-workload is refused: I have tried that. But in our exercise we revoked the CA that had signed a tester's
  SVID, and ten minutes later his tool still opened a new connection and was served. It had been served before.

  Please see that each new connection is verified. The client must not notice.
  The server's variable INVENTORY must stay: our inventory reads it.
END
}
states 'the client is served' client_served
states 'server-workload is refused' '! inside client server-workload client -wait 10s'

cause session-tickets "The server resumes sessions, and does not verify the client again."
answer any-id "The server authorizes every SPIFFE ID of its trust domain." \
	"A client with the SVID of server-workload is refused, during the fault and after it." 'docker compose exec --user server-workload client client'
answer kept-connection "The tester's connection was kept open, and nobody closed it." \
	"The security officer writes that the tester's tool opened a new connection. A kept connection does not need a new handshake, so the server does not verify the client again." 'make ticket'
answer no-certificate "The server no longer asks its clients for a certificate." \
	"A client without a certificate is refused with \"certificate required\", during the fault and after it." 'make handshake AS=nobody'
answer old-bundle "The server's trust bundle still has a CA that was revoked." \
	"The server gets its bundle from the Workload API. That bundle has only the CA of the SPIRE server, during the fault and after it." 'docker compose exec --user server-workload server observer server'

setup() {
	override server <<-'END'
		# By the team of the server.
		services:
		  server:
		    environment: {INVENTORY: server-team}
	END
	wait_until 60 "the client is served" client_served
}
teardown() { docker rm --force "${project}-second-server"; }

right() { edited compose.override.yaml '^ *image: .*' '' | override server; }

also written_out
right_written_out() { edited compose.override.yaml 'image: .*' "image: $(image_of workload)" | override server; }

also tagged
right_tagged() {
	docker tag "$(image_of workload)" "$(docker inspect --format '{{.Config.Image}}' "$(container_of server)")"
	lab up --detach --no-deps server
}

wrong younger_connections 'the server issues session tickets' 'The server now closes connections sooner than before, but the next connection of a client resumes the session with a session ticket.' 'docker inspect "$(container_of server)" | grep -E "\"-max-connection-age\""'
wrong_younger_connections() {
	remake server <<-'END'
		services: {server: {command: ["server", "-health", "127.0.0.1:8080", "-max-connection-age", "10s"]}}
	END
}

wrong short_svids 'the server issues session tickets' 'Go resumes a session until the SVID that the client sent in its last full handshake has expired. With a shorter lifetime the client can resume sessions for less time, but it can still resume them.' 'entry_has "X509-SVID TTL +: 60$"'
wrong_short_svids() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 60
}

wrong blind 'cannot check whether the server issues session tickets' 'The entry for the client now has more selectors, so a test client gets no SVID. The server still issues session tickets.' 'entry_has "unix:path:/opt/spiffe-lab/bin/client$"'
wrong_blind() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -selector unix:path:/opt/spiffe-lab/bin/client
	wait_until 30 "the agent has received the change" nobody client-workload
}

wrong anybody 'serves every other workload of the trust domain' 'This server does not issue session tickets, but it authorizes every SPIFFE ID of the trust domain.'
wrong_anybody() { any_client; }

wrong second_server 'a container that is not part of the lab runs beside it' 'A second server serves the client, but the server of the lab still issues session tickets to every client.' 'docker inspect "${project}-second-server"'
wrong_second_server() {
	run_beside second-server server-workload server
	client_asks https://second-server:8443/
}

wrong no_client_entry 'the client is not served' 'Nobody can resume a session as the client any more, because nobody gets the SVID of the client.' '! entry_has "spiffe://example.org/client$"'
wrong_no_client_entry() {
	cli entry delete -entryID client
	wait_until 30 "the agent has received the change" nobody client-workload
	restarted client
}

wrong whole_file 'INVENTORY' 'The server verifies each connection, but the variable INVENTORY was deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() { no_override server; }

hint true 'What can a TLS server give a client, so that the next connection is faster? The lesson "resumption" explains this. To see what the server gives its clients, run: docker compose exec --user client-workload client observer client'
hint true 'TLS has session tickets. A client that resumes a session with a ticket does not send its certificate again, and go-spiffe does not verify the client again. The command "docker compose images server" shows the image of the server. Compare this image with the image in compose.yaml.'
hint true 'The fault: compose.override.yaml gave the server an image whose program does not set SessionTicketsDisabled. Remove the line with "image" from compose.override.yaml, keep the variable INVENTORY, and run "docker compose up --detach server".'

debrief() {
	cat <<'END'
  What it was: the program of the server did not set SessionTicketsDisabled = true. A client that comes back with a
    session ticket resumes its session, and sends no certificate. go-spiffe 2.9.0 verifies and authorizes a client in
    the function VerifyPeerCertificate. Go does not call this function for a resumed session, so the server does not
    notice that a CA was revoked. Go refuses a session ticket after 7 days, or earlier if the SVID that the client
    sent in its last full handshake has expired. A restarted server refuses all older session tickets, because it has
    new keys for session tickets.
  How to see it: only the session ticket shows this fault. `openssl s_client` prints "Post-Handshake New Session Ticket
    arrived".
  What a restart or docker compose up changes: a restart makes older session tickets useless, but the server then
    issues new session tickets. The override names the image, so each start runs the same program.
  Seen in production: Go's documentation says that VerifyPeerCertificate is "not invoked on resumed connections". It
    names two fixes: VerifyConnection, which Go also calls on resumed connections, or SessionTicketsDisabled
    (https://pkg.go.dev/crypto/tls#Config).
  Which scenario shows it: make scenario-resumption
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	wrong_server '	tlsConfig.SessionTicketsDisabled = true
' ''
	override_adds server <<-END
		    image: $(last_image)
	END
}
gives_tickets() { inside client client-workload observer -limit 5s client | grep -E '"tickets":[1-9]'; }
shows() { gives_tickets && client_served; }
