# scripts/lab break all-alike
# everything is green, but a client that was started under the wrong account was served
level 3
category "success: trust domain"
doctor LAB113

ticket() {
	cat <<'END'
  From: the security officer
  The server was rolled out again yesterday, with "a simplification of the code". The client is served, and everything
  is green. Now an intern says that he started the client under the account server-workload, by mistake, and was served
  as well. The server's team points to the log of the server, which says "for spiffe://example.org/client only".

  Please see that the server serves the client, and nobody else. The client must not notice.
  The server's variable INVENTORY must stay: our inventory reads it.
END
}
states 'The client is served' client_served
states 'was served as well' serves_all
states 'for spiffe://example.org/client only' 'log_of server | grep -E "for spiffe://example.org/client only"'

cause program "The server's program authorizes every SPIFFE ID of the trust domain."
answer client-entry "The client's registration entry matches the processes of other users, too." \
	"The client's entry has only the selector unix:user:client-workload, during the fault and after it." 'make entries'
answer client-id-flag "The server was started with a flag that names the wrong client." \
	"The server logs the SPIFFE ID from its flag -client-id. During the fault and after it, this log line has the right SPIFFE ID: \"for spiffe://example.org/client only\"." 'docker compose logs server'
answer no-certificate "The server no longer asks its clients for a certificate." \
	"A client without a certificate is refused with \"certificate required\", during the fault and after it." 'make handshake AS=nobody'
answer second-ca "The trust bundle has a second CA, which signed the intern's certificate." \
	"The trust bundle has only one CA certificate, during the fault and after it." 'docker compose exec spire-server /opt/spire/bin/spire-server bundle show'

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

wrong second_server 'a container that is not part of the lab runs beside it' 'A second server serves the client, but the server of the lab still serves every client with an SVID of the trust domain.' 'docker inspect "${project}-second-server"'
wrong_second_server() {
	run_beside second-server server-workload server
	client_asks https://second-server:8443/
}

wrong anybody 'serves every other workload of the trust domain' 'AuthorizeAny authorizes every client whose SVID can be verified. So the server still serves every workload of the trust domain.' 'docker inspect "$(container_of server)" | grep -E "$(last_image)" && ! override_has "$(last_image)"'
wrong_anybody() { any_client; }

wrong no_server_entry 'server-workload gets no SVID' 'Now neither the intern nor the server gets an SVID. The server stops serving when its SVID expires.' '! entry_has "spiffe://example.org/server$"'
wrong_no_server_entry() {
	cli entry delete -entryID server
	wait_until 30 "the agent has received the change" nobody server-workload
}

wrong narrow_entry 'serves every other workload of the trust domain' 'The entry for the client decides which processes get the SPIFFE ID of the client. The entry does not decide which SPIFFE IDs the server serves.' 'entry_has "unix:uid:1112"'
wrong_narrow_entry() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector unix:uid:1112
}

wrong flag 'serves every other workload of the trust domain' 'The flag -client-id names the only client that the server should serve. But the program in the image of the server does not use this flag.' 'docker inspect "$(container_of server)" | grep -E "\"-client-id\""'
wrong_flag() {
	remake server <<-'END'
		services: {server: {command: ["server", "-health", "127.0.0.1:8080", "-client-id", "spiffe://example.org/client"]}}
	END
}

wrong whole_file 'INVENTORY' 'The server refuses the intern, but the variable INVENTORY was deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() { no_override server; }

hint true 'Send a request that the server must refuse, and compare the answer with the lesson bad-id. In this lesson the server authorizes only one SPIFFE ID. To send the request, run: docker compose exec --user server-workload client client'
hint true 'A client is authenticated if its SVID can be verified. To authorize the client, the server must then check the SPIFFE ID of the client. The command "docker compose images server" shows the image of the server. Compare this image with the image in compose.yaml.'
hint true 'The fault: compose.override.yaml gave the server an image whose program authorizes every member of the trust domain (tlsconfig.AuthorizeMemberOf). Remove the line with "image" from compose.override.yaml, keep the variable INVENTORY, and run "docker compose up --detach server".'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml named an image whose server was built with tlsconfig.AuthorizeMemberOf in place of
    tlsconfig.AuthorizeID. This server served every client with an SVID of the trust domain: each workload, the agent,
    the SPIRE server, and a client with the host's x509pop certificate. The log line "for spiffe://example.org/client
    only" shows the value of the flag -client-id, but the program in the wrong image did not use the flag.
  How to see it: as server-workload, send a request that must be refused. The right server and the wrong server both
    serve the client, so the client's requests do not show the fault.
  What a restart or docker compose up changes: nothing. The override names an image that is on this machine, so each
    start uses this image again. `lab up` builds an image only if its sources have changed.
  Seen in production: AuthorizeID and AuthorizeMemberOf are called in the same way, with one argument. A test that only
    checks that the client is served succeeds with both functions
    (https://pkg.go.dev/github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig#AuthorizeMemberOf).
  Which scenario shows it: make scenario-bad-id
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	wrong_server 'tlsconfig.AuthorizeID(cfg.clientID)' 'tlsconfig.AuthorizeMemberOf(cfg.clientID.TrustDomain())'
	override_adds server <<-END
		    image: $(last_image)
	END
}
serves_all() { inside client server-workload client -wait 10s; }
shows() { serves_all && client_served; }
