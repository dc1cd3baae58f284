# scripts/lab break the-other-door
# the client waits at a door at which nobody ever was
level 1
category "program: another socket"
doctor LAB092

ticket() {
	cat <<'END'
  From: the team of the client
  Our client was set up after a page in the net, which was about SPIFFE as well. It waits for an identity, and ends, and
  waits. On the same host the server has no trouble.

  Please see that it is served. The server, the agent and their socket are right as they are.
END
}

right() { lab up --detach --no-deps client; }

wrong restart 'the client is not served' 'what a container has been told it is told again'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong agent_moves 'spire-agent has other files than before' 'for one client the agent has got a second door'
wrong_agent_moves() {
	remake spire-agent <<-'END'
		services: {spire-agent: {volumes: ["workload-api:/tmp/agent"]}}
	END
}

wrong as_root 'client runs as root' 'root waits at the same door'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0", environment: {SPIFFE_ENDPOINT_SOCKET: "unix:///tmp/agent.sock"}}}
	END
}

wrong whole_directory 'client has other files than before' 'the client has the directory with the socket, and more than it needs: it can write there'
wrong_whole_directory() {
	remake client <<-'END'
		services: {client: {volumes: ["workload-api:/tmp/spire-agent/public:rw"]}}
	END
}

hint '! client_served' 'The client says where it waits: docker compose logs --tail 2 client. Where does the agent offer its socket? docker compose logs spire-agent'
hint elsewhere 'The path comes from the variable SPIFFE_ENDPOINT_SOCKET. docker inspect shows the environment of a container, docker compose config the one that it should have.'
hint true 'The client was made with SPIFFE_ENDPOINT_SOCKET=unix:///tmp/agent.sock. docker compose up --detach client gives it the path of compose.yaml: unix:///tmp/spire-agent/public/api.sock.'

debrief() {
	cat <<'END'
  What it was: SPIFFE_ENDPOINT_SOCKET named a path at which there is no socket: that of an example.
  How to see it: the client says "the socket does not exist" and the path; the agent logs the path at which it listens.
  In life: SPIRE's default path was /tmp/agent.sock in older versions, and many examples still had it
    (https://github.com/spiffe/spire/issues/2064, https://github.com/spiffe/go-spiffe/pull/230).
  Which scenario shows it: make scenario-agent-outage, where there is no socket for another reason
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

elsewhere() { docker inspect "$(container_of client)" | grep -E agent.sock; }
inject() {
	remake client <<-'END'
		services: {client: {environment: {SPIFFE_ENDPOINT_SOCKET: "unix:///tmp/agent.sock"}}}
	END
}
