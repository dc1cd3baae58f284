# scripts/lab break moved-house
# since the move the client cannot reach the server, which runs well
level 1
category "program: another URL; between: wrong port"
doctor LAB094

ticket() {
	cat <<'END'
  From: the team of the client
  Our client has been moved to another place, and somebody "put the new address in by hand" on the
  way. Since then it reaches nobody. The operators of the server say that their server runs well, and
  we could not prove them wrong. The operations team monitors our client since the move.

  Please see that our client is served again. Leave the server as it is: others will come to use it.
  Leave the monitoring as it is, too: it has to stay.
END
}
states 'it reaches nobody' '! client_served'
states 'their server runs well' 'inside client client-workload client -wait 5s'
states 'The operations team monitors our client' 'override_has "MONITORED_BY"'

cause wrong-port 'The client connects to a port on which the server does not listen.'
answer name-unresolved 'The name of the server does not resolve to its address any more.' \
	'A name that does not resolve gives the error "no such host". The client logged "connection refused", so the name resolved to an address.' \
	'docker compose exec client client -url https://server:8843/'
answer no-svid 'The client got no SVID at the new place, so it cannot connect.' \
	'The agent issues an SVID to client-workload. The client gets this SVID, and logs the serial number of the SVID at each start.' \
	'make svid'
answer server-down 'The server was not running when the client sent its requests.' \
	'The server logged "serving on" before the move, and has not logged "shutting down" since.' \
	'docker compose logs server'
answer server-refuses 'The server does not authorize the client at the new place.' \
	'The server logs each SPIFFE ID that it refuses, as "unexpected ID". The log of the server has no line "unexpected ID" about the client.' \
	'docker compose logs server'

# A correct fix keeps the setting of the operations team.
setup() {
	override client <<-'END'
		# By the operations team.
		services:
		  client:
		    environment:
		      MONITORED_BY: operations
	END
	wait_until 30 "the client is served" client_served
}

right() { edited compose.override.yaml '^ *command:.*' '' | override client; }

also written_out
right_written_out() { edited compose.override.yaml 'server:8843' 'server:8443' | override client; }

also no_url
right_no_url() {
	edited compose.override.yaml ', "-url", "https://server:8843/"' '' | override
	lab up --detach
}

wrong server_moves 'the running client is served, but a client that starts now is not' 'The server now listens on the wrong port, 8843. All other clients still connect to port 8443, and get no answer.' \
	'log_of server | grep -E "serving on .*:8843"'
wrong_server_moves() {
	remake server <<-'END'
		services: {server: {command: ["server", "-health", "127.0.0.1:8080", "-listen", ":8843"]}}
	END
}

wrong second_server 'a second server process runs beside' 'A second server process listens on the wrong port. Nothing restarts that process when it exits.'
wrong_second_server() {
	docker exec --detach --user server-workload "$(container_of server)" server -listen :8843
}

wrong anywhere 'but the running client is not' 'The name in the URL is wrong now. The client connects to the bundle endpoint of the SPIRE server, and refuses the SPIFFE ID of the SPIRE server.' \
	'override_has "spire-server:8443"'
wrong_anywhere() { edited compose.override.yaml 'server:8843' 'spire-server:8443' | override client; }

wrong as_root 'client runs as root' 'The client still connects to the wrong port, and it runs as root now.'
wrong_as_root() { client_as 0:0; }

wrong file_gone 'client lacks the environment variable MONITORED_BY' 'The whole file compose.override.yaml was deleted, and with it the setting of the operations team. Only one line of the file was wrong.'
wrong_file_gone() { no_override client; }

hint true 'The client logs the URL that it requests, and the result: "docker compose logs --tail 3 client". At its start the server logs the port on which it listens: "docker compose logs server".'
hint true 'The output of "docker inspect" has the command line of a container, in .Config.Cmd. The command "docker compose config" merges all files that Compose reads, and shows the command of each container.'
hint true 'The fault: compose.override.yaml gave the client a command with -url https://server:8843/, but the server listens on port 8443. Remove that command from the file, keep the rest, and run "docker compose up --detach client".'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml gave the client a command with port 8843 in place of 8443. Compose reads that file
    after compose.yaml. The SVIDs and the authorization were right. No process listens on port 8843.
  How to see it: "connection refused" is an error of TCP, before any TLS handshake. A SPIFFE ID is refused later, during
    the handshake. In that case, the side that refuses the SPIFFE ID logs "unexpected ID", and the other side logs "bad
    certificate". `docker compose config` prints the configuration that Compose merges from all its files.
  What a restart or docker compose up changes: nothing. `docker compose up` recreates each container whose configuration
    differs from the Compose files. But here the mistake is in one of the Compose files.
  Seen in production: an address is changed in a file that only some people read. This page explains how Compose merges
    its files: https://docs.docker.com/compose/how-tos/multiple-compose-files/merge/
  Which scenario shows it: make scenario-happy-path, which shows each step of a connection that works
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	override_adds client <<-'END'
		    # Moved on Thursday.
		    command: ["client", "-interval", "5s", "-health", "127.0.0.1:8080", "-url", "https://server:8843/"]
	END
}
