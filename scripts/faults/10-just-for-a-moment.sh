# scripts/lab break just-for-a-moment
# the client is refused, and its certificate is said to be bad; it is not
level 2
category "program: another ID"
doctor LAB096

ticket() {
	cat <<'END'
  From: the team of the client
  Since yesterday our client is told "bad certificate". We have looked at the certificate: it is ours, it is
  valid, the CA is right. The team of the server tried something out yesterday with a client of theirs,
  "just for a moment", and says that the server is strict and that it shall stay so.

  Please see that the client is served again, with the name that it has, and that nobody else is.
END
}

right() { lab up --detach --no-deps server; }

wrong restart 'the client is not served' 'the server expects after a restart whom it expected before'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong anybody 'so is everybody else of the trust domain' 'AuthorizeAny: the server verifies that the peer has an SVID, and does not care whose'
wrong_anybody() { any_client; }

wrong other_name 'under another name than its own' 'the client has been given the name of the try: it is served, and is not itself any more'
wrong_other_name() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client-try -selector unix:user:client-workload
	wait_until 30 "the client has the other name" has_identity client-workload spiffe://example.org/client-try
	restarted client
}

wrong second_name 'is somebody else too: spiffe://example.org/client-try' 'the client has two SVIDs now, and shows the one whose entry ID sorts first; the ID of the new entry is random'
wrong_second_name() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client-try -selector unix:user:client-workload
	restarted client
}

hint '! client_served' 'The client only gets the number of a TLS alert, 42, which means "bad certificate". The server refused, and logs the reason: docker compose logs --tail 3 server'
hint wants_another 'At its start the server logs which client it serves: docker compose logs server, its first lines. Who set that?'
hint true 'The server was made with -client-id spiffe://example.org/client-try, and serves that one only. docker compose up --detach server makes it as compose.yaml has it: for spiffe://example.org/client.'

debrief() {
	cat <<'END'
  What it was: the server's container had been made with -client-id spiffe://example.org/client-try. It refused the
    client rightly: unexpected ID "spiffe://example.org/client".
  How to see it: Go sends "bad certificate" for every error of go-spiffe's verification: a wrong SPIFFE ID, an unknown
    CA, an expired SVID. TLS has more exact alerts: for the last two, a Go server that leaves the verification
    to crypto/tls sends "unknown certificate authority" and "expired certificate". The reason is in the server's log: the ID was not the expected one. Then ask
    which ID the server expects.
  In life: a quick cure is AuthorizeAny, which "allows any SPIFFE ID"
    (https://pkg.go.dev/github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig#AuthorizeAny).
  Which scenario shows it: make scenario-bad-id
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

wants_another() { docker inspect "$(container_of server)" | grep -E client-try; }
inject() {
	remake server <<-'END'
		services: {server: {command: ["server", "-health", "127.0.0.1:8080", "-client-id", "spiffe://example.org/client-try"]}}
	END
}
