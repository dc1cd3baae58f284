# scripts/lab break all-alike
# everything is green, but an intern says that the server also answers his program
level 3
category "success: trust domain"
doctor LAB113

ticket() {
	cat <<'END'
  From: the security officer
  The server was rolled out anew yesterday, with "a simplification of the configuration". The client is served,
  all is green. Now an intern who runs something else on the host, under another name, says that
  the server answers him as well. The team of the server says: "Only with an SVID of ours!"

  Please see that the server serves the client, and nobody else. The client must not notice.
END
}

right() { lab up --detach --no-deps server; }

wrong restart 'so is everybody else of the trust domain' 'the same program comes up again'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong no_svid_for_him 'does not get the identity' 'whoever asked is silenced, and it was the server that lost its name'
wrong_no_svid_for_him() {
	cli entry delete -entryID server
	wait_until 30 "the agent has heard of it" nobody server-workload
}

wrong narrow_entry 'so is everybody else of the trust domain' 'the client is described more exactly, and the server does not look'
wrong_narrow_entry() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector unix:uid:1112
}

wrong another_flag 'so is everybody else of the trust domain' 'the flag says for whom the server is, and this server does not heed it'
wrong_another_flag() {
	local image
	image=$(docker inspect --format '{{.Config.Image}}' "$(container_of server)")
	remake server <<-END
		services: {server: {image: "$image", command: ["server", "-health", "127.0.0.1:8080", "-client-id", "spiffe://example.org/client"]}}
	END
}

hint serves_all 'Do what should be refused: docker compose exec --user server-workload client client. The lesson of bad-id says what has to happen.'
hint serves_all 'Verified is not yet authorized. The server'"'"'s own log says for whom it serves, and whom it answered. Is it the program that it should be? docker inspect names the image of a container; compose.yaml that which it should have.'
hint true 'The image of the server'"'"'s container is not that of compose.yaml: its program authorizes every member of the trust domain (tlsconfig.AuthorizeMemberOf). docker compose up --detach server brings the right one back.'

debrief() {
	cat <<'END'
  What it was: a server built with tlsconfig.AuthorizeMemberOf(example.org) in place of AuthorizeID. It accepted
    every SVID of the trust domain: those of all workloads, but also those of the agent and the SPIRE server, and the
    host's credential. Its log still said "for spiffe://example.org/client only".
  How to see it: only by asking what must be refused. What a program says of itself is no evidence.
  In life: it is one word from AuthorizeID to AuthorizeMemberOf, and nothing fails
    (https://pkg.go.dev/github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig#AuthorizeMemberOf).
  Which scenario shows it: make scenario-bad-id
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() { wrong_server 'tlsconfig.AuthorizeID(cfg.clientID)' 'tlsconfig.AuthorizeMemberOf(cfg.clientID.TrustDomain())'; }
serves_all() { inside client server-workload client -wait 10s; }
shows() { serves_all && client_served; }
