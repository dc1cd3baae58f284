# scripts/lab break faster-now
# the server is faster since last week, and it is said to have served a client that it should have refused
level 3
category "success: session tickets"
doctor LAB115

ticket() {
	cat <<'END'
  From: the security officer
  The server was "tuned" last week: whoever comes back is let in faster. Everything is green, the client is served, and
  whoever is nobody is refused: I have tried that. But yesterday we practised a stolen CA key, and revoked the old CA.
  A tester with an old SVID was still served ten minutes later. He had been served before, he said.

  Please see that everybody who comes in is looked at, each time. The client must not notice.
END
}

right() { lab up --detach --no-deps server; }

wrong restart 'with a ticket for next time' 'the keys of the tickets are new, and it goes on giving them'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong older_age 'with a ticket for next time' 'connections end sooner, and the next one begins with a ticket'
wrong_older_age() {
	local image
	image=$(docker inspect --format '{{.Config.Image}}' "$(container_of server)")
	remake server <<-END
		services: {server: {image: "$image", command: ["server", "-health", "127.0.0.1:8080", "-max-connection-age", "10s"]}}
	END
}

wrong short_svids 'with a ticket for next time' 'a shorter lifetime only shortens the window: until the SVID expires, Go resumes the session, and go-spiffe verifies nothing'
wrong_short_svids() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 60
}

wrong blind 'cannot be seen any more' 'the entry is so narrow now that whoever looked cannot look any more; the server gives tickets as before'
wrong_blind() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -selector unix:path:/opt/spiffe-lab/bin/client
	wait_until 30 "the agent has heard of it" nobody client-workload
}

hint gives_tickets 'What can a TLS server give a client, so that the next connection is faster? The lesson resumption tells. To see what this server gives: docker compose exec --user client-workload client observer client'
hint gives_tickets 'TLS has session tickets. A client that resumes a session with one does not send its certificate again, and go-spiffe does not verify it again. Is the server the program of compose.yaml? docker inspect names its image.'
hint true 'The server runs a program without SessionTicketsDisabled. docker compose up --detach server brings the one of compose.yaml back.'

debrief() {
	cat <<'END'
  What it was: a server without SessionTicketsDisabled = true. A client that comes back with a ticket resumes its session,
    and sends no certificate. go-spiffe 2.9.0 verifies and authorizes in VerifyPeerCertificate, which Go does not call
    then: a revoked CA is not noticed. Go refuses a ticket when the SVID of the first handshake has expired, and after 7
    days. A restarted server refuses all older tickets, because it has new keys for them.
  How to see it: only by looking for the ticket: openssl s_client says "Post-Handshake New Session Ticket arrived".
  In life: Go's documentation says that VerifyPeerCertificate is "not invoked on resumed connections", and names two
    cures: VerifyConnection, which Go calls on these too, or SessionTicketsDisabled (https://pkg.go.dev/crypto/tls#Config).
  Which scenario shows it: make scenario-resumption
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() { wrong_server '	tlsConfig.SessionTicketsDisabled = true
' ''; }
gives_tickets() { inside client client-workload observer -limit 5s client | grep -E '"tickets":[1-9]'; }
shows() { gives_tickets && client_served; }
