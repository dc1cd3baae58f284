# scripts/lab break just-for-a-moment
# the client is refused with "bad certificate", although its certificate is good
level 2
category "program: another ID"
doctor LAB096

ticket() {
	cat <<'END'
  From: the team of the client
  Since yesterday our client is told "bad certificate". We have looked at the certificate: it is ours, it is
  valid, the CA is right. The team of the server tried something out yesterday with a client of theirs,
  "just for a moment". They say that the server is strict, and must stay strict. They also say that their
  on-call settings came with it, and that these must stay.

  Please see that the client is served again, with the name that it has, and that nobody else is.
END
}
states 'our client is told "bad certificate"' 'log_of client | tail -n 5 | grep -E "bad certificate"'
states 'it is ours' 'has_identity client-workload spiffe://example.org/client'
states 'the server is strict' '! inside client server-workload client -wait 5s'
states 'their on-call settings' 'override_has "ON_CALL"'

cause other-client-id 'The command of the server names the SPIFFE ID of a different client.'
answer entry-renamed 'The entry for the client has a SPIFFE ID that the server does not expect.' \
	'The entry named client has the SPIFFE ID that was agreed on, spiffe://example.org/client.' \
	'make entries'
answer server-bundle 'The trust bundle of the server lacks the CA of the client.' \
	'A server whose trust bundle lacks the CA logs "certificate signed by unknown authority". This server logged "unexpected ID". It checks the SPIFFE ID of a client only after it has verified the signature of the SVID.' \
	'docker compose logs server'
answer svid-expired 'The SVID of the client has expired and was not renewed.' \
	'The SVID of the client is valid. The time after "valid until" is later than now.' \
	'make svid'
answer two-svids 'The client has two SVIDs and presents the wrong one.' \
	'The agent issues only one SVID to client-workload. The SPIFFE ID of this SVID is spiffe://example.org/client.' \
	'make svid'

# A correct fix keeps the on-call settings.
setup() {
	override server <<-'END'
		# By the team of the server.
		services:
		  server:
		    environment:
		      ON_CALL: team-server
	END
	wait_until 30 "the client is served" client_served
}

right() { edited compose.override.yaml '^ *command:.*' '' | override server; }

also written_out
right_written_out() { edited compose.override.yaml 'client-try' 'client' | override server; }

also no_flag
right_no_flag() {
	edited compose.override.yaml ', "-client-id", "spiffe://example.org/client-try"' '' | override
	lab up --detach
}

wrong anybody 'serves every other workload of the trust domain' 'With AuthorizeAny the server verifies the SVID of each client, but accepts every SPIFFE ID. So it serves every workload of the trust domain.'
wrong_anybody() { any_client; }

wrong other_name 'with the wrong SPIFFE ID' 'The client has the SPIFFE ID spiffe://example.org/client-try now. It is served, but with the wrong SPIFFE ID.' \
	'! entry_has "spiffe://example.org/client$"'
wrong_other_name() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client-try -selector unix:user:client-workload
	wait_until 30 "the client has the other name" has_identity client-workload spiffe://example.org/client-try
	restarted client
}

wrong second_name 'gets an SVID for spiffe://example.org/client-try' 'The client has two SVIDs now. It presents the SVID whose entry ID sorts first. The new entry has a random entry ID, so nobody can predict which SVID the client presents.' \
	'entry_has "spiffe://example.org/client$" && entry_has "spiffe://example.org/client-try$"'
wrong_second_name() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client-try -selector unix:user:client-workload
	restarted client
}

wrong second_server 'a second server process runs beside' 'A second server process serves the client on another port. The server of the lab still refuses the client.'
wrong_second_server() {
	docker exec --detach --user server-workload "$(container_of server)" server -listen :8444
	client_asks https://server:8444/
}

wrong file_gone 'server lacks the environment variable ON_CALL' 'The whole file compose.override.yaml was deleted, and with it the on-call settings. Only the command in the file was wrong.'
wrong_file_gone() { no_override server; }

hint true 'A refused client gets only the number of a TLS alert. The number 42 means "bad certificate". The server logs the reason for the refusal: docker compose logs --tail 5 server'
hint true 'At its start the server logs which client it serves: see the first lines of "docker compose logs server". The command "docker compose config" merges all files that Compose reads, and shows with which command Compose starts the server.'
hint true 'The fault: compose.override.yaml gave the server a command with -client-id spiffe://example.org/client-try. Remove that command from the file, keep the rest, and run "docker compose up --detach server". Without the flag the server serves spiffe://example.org/client.'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml gave the server a command with -client-id spiffe://example.org/client-try. So the
    server refused the client, and logged: unexpected ID "spiffe://example.org/client".
  How to see it: Go sends "bad certificate" for every error of go-spiffe's verification: a wrong SPIFFE ID, an unknown
    CA, an expired SVID. TLS has alerts that are more exact. A Go server that leaves the verification to crypto/tls
    sends "unknown certificate authority" for an unknown CA, and "expired certificate" for an expired SVID. In this
    fault the server's log has the reason: the server did not expect the client's SPIFFE ID. Then find out which SPIFFE
    ID the server expects.
  What a restart or docker compose up changes: nothing. A restarted or recreated server gets the same command, because
    Compose reads compose.override.yaml each time.
  Seen in production: a quick but wrong fix is AuthorizeAny, which "allows any SPIFFE ID"
    (https://pkg.go.dev/github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig#AuthorizeAny).
  Which scenario shows it: make scenario-bad-id
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	override_adds server <<-'END'
		    # For a moment.
		    command: ["server", "-health", "127.0.0.1:8080", "-client-id", "spiffe://example.org/client-try"]
	END
}
