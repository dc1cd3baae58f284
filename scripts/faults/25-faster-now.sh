# shellcheck shell=bash
# the server is faster since last week, and a dismissed client is said to come in still
level 3
category "success: session tickets"
doctor LAB115

ticket() {
	cat <<'END'
  From: the security officer
  The server was "tuned" last week: whoever comes back is let in faster. Everything is green, the client is served, and
  whoever is nobody is refused: I have tried that. But a visitor told me that he got in with the certificate
  of a client that had been dismissed the day before. He had been here before, he said.

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

wrong short_svids 'with a ticket for next time' 'an SVID that lives for a minute is no help where nobody looks at it'
wrong_short_svids() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 60
}

wrong blind 'cannot be seen any more' 'the entry is so narrow now that whoever looked cannot look any more; the server gives tickets as before'
wrong_blind() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -selector unix:path:/opt/spiffe-lab/bin/client
	wait_until 30 "the agent has heard of it" nobody client-workload
}

hint gives_tickets 'Somebody who has been here before: what does a server give to a client, by which it knows it again? the lesson of resumption tells; docker compose exec --user client-workload client witness client says what the server gives.'
hint gives_tickets 'TLS has session tickets: with one, the certificate is not sent again and not verified again. Is the server the program of compose.yaml? docker inspect names its image.'
hint true 'The server runs a program without SessionTicketsDisabled. docker compose up --detach server brings the one of compose.yaml back.'

debrief() {
	cat <<'END'
  What it was: a server without SessionTicketsDisabled = true. A client that comes back with a ticket resumes its session,
    and go-spiffe's verification, which hangs on the certificate, is not called.
  How to see it: only by looking for the ticket: openssl s_client says "Post-Handshake New Session Ticket arrived".
  In life: Go's documentation of VerifyPeerCertificate: "not invoked on resumed connections"
    (https://pkg.go.dev/crypto/tls#Config).
  Which scenario shows it: make scenario-resumption
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() { wrong_server '	tlsConfig.SessionTicketsDisabled = true
' ''; }
gives_tickets() { inside client client-workload witness -limit 5s client | grep '"tickets":[1-9]'; }
shows() { gives_tickets && client_served; }
