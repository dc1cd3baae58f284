# scripts/lab break moved-house
# since the move the client cannot reach the server, which runs well
level 1
category "program: another URL; between: wrong port"
doctor LAB094

ticket() {
	cat <<'END'
  From: the team of the client
  Our client has been moved to another place, and somebody "put the new address in by hand" on the
  way. Since then it reaches nobody. The operators of the server say that their server runs well
  and has not heard of us, and they are right.

  Please see that our client is served again. Leave the server as it is: others will come to use it.
END
}

right() { lab up --detach --no-deps client; }

wrong restart 'one that runs is not' 'a restarted container has the command that it had'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong server_moves 'the client that runs is served still, but one that starts now is not' 'the server has moved to where the client asks by mistake: everybody else still asks where it was'
wrong_server_moves() {
	remake server <<-'END'
		services: {server: {command: ["server", "-health", "127.0.0.1:8080", "-listen", ":8843"]}}
	END
}

wrong anywhere 'one that runs is not' 'the port is right now and the host is wrong: the bundle endpoint of the SPIRE server answers there, and the client refuses its SPIFFE ID'
wrong_anywhere() {
	remake client <<-'END'
		services: {client: {command: ["client", "-interval", "5s", "-health", "127.0.0.1:8080", "-url", "https://spire-server:8443/"]}}
	END
}

wrong as_root 'client runs as root' 'a process that asks at the wrong door is not helped by a master key'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

hint '! client_served' 'The client says where it asks, and what became of it: docker compose logs --tail 3 client. Where does the server listen? docker compose logs server'
hint '! client_served' 'Who started the client told it what to ask: docker inspect shows the command of a container (.Config.Cmd), docker compose config the one that it should have.'
hint true 'The client was started with -url https://server:8843/, and the server listens on 8443. The command is the container'"'"'s own: docker compose up --detach client makes it anew, as compose.yaml has it.'

debrief() {
	cat <<'END'
  What it was: the client's container had been made with another URL: port 8843 instead of 8443. No identity and
    no check was wrong: nobody listens there.
  How to see it: "connection refused" is an error of TCP, before any TLS handshake. A SPIFFE ID is refused during the
    handshake: the side that refuses says "unexpected ID", the other side "bad certificate". `docker inspect` shows
    with which command a container was made.
  In life: an address was changed by hand, and not in the file that everybody reads. `docker compose up` recreates a
    container whose configuration differs from that file (https://docs.docker.com/reference/cli/docker/compose/up/).
  Which scenario shows it: make scenario-happy-path, with each step of a connection that works
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	remake client <<-'END'
		services: {client: {command: ["client", "-interval", "5s", "-health", "127.0.0.1:8080", "-url", "https://server:8843/"]}}
	END
}
