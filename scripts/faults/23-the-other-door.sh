# scripts/lab break the-other-door
# the client waits for an identity forever, while the server on the same host has no trouble
level 1
category "program: another socket"
doctor LAB092

ticket() {
	cat <<'END'
  From: the team of the client
  Somebody set up our client by a page on the web, which was about SPIFFE as well. It waits for an identity. After a
  minute it exits, is started again, and waits. On the same host the server has no trouble.

  Please see that it is served. The server, the agent and the agent's socket are right as they are.
  The variable DASHBOARD of our client must stay: our dashboard reads it.
END
}
states 'It waits for an identity' 'log_of client | grep -E "waiting for an identity"'
states 'On the same host the server has no trouble' 'inside server server-workload svid'

cause different-path "The client looks for the socket at the wrong path."
answer agent-down "The agent is not running, so there is no socket." \
	"The agent's health check succeeds, and server-workload gets its SVID." 'docker compose exec spire-agent /opt/spire/bin/spire-agent healthcheck'
answer different-user "The client runs as a user that no entry names." \
	"The client runs as client-workload, during the fault and after it. A user without an entry gets \"no identity issued\"." 'docker compose config client'
answer missing-entry "The client's registration entry was deleted." \
	"The entry for spiffe://example.org/client exists, during the fault and after it." 'make entries'
answer missing-volume "The client has no volume with the agent's socket." \
	"The client has the volume workload-api at /tmp/spire-agent/public, during the fault and after it." 'docker compose config client'

setup() {
	override client <<-'END'
		# By the team of the client.
		services:
		  client:
		    environment:
		      DASHBOARD: client-team
	END
	wait_until 60 "the client is served" client_served
}

right() { edited compose.override.yaml '^ *SPIFFE_ENDPOINT_SOCKET: .*' '' | override client; }

also written_out
right_written_out() { edited compose.override.yaml 'unix:///tmp/agent.sock' 'unix:///tmp/spire-agent/public/api.sock' | override client; }

also recreated
right_recreated() {
	edited compose.override.yaml '^ *SPIFFE_ENDPOINT_SOCKET: .*' '' | override
	lab rm --stop --force client
	lab up --detach
}

wrong agent_moves 'spire-agent has something different mounted at' 'The agent now mounts the volume workload-api at /tmp/agent, too. But this does not change the container of the client, which still has no socket at /tmp/agent.sock.'
wrong_agent_moves() {
	remake spire-agent <<-'END'
		services: {spire-agent: {volumes: ["workload-api:/tmp/agent"]}}
	END
}

wrong second_client 'the client is not served' 'A second process in the container of the client is served. The client itself still waits, and nothing restarts the second process when it exits.' \
	'docker top "$(container_of client)" | grep -E "client -interval 7s"'
wrong_second_client() {
	docker exec --detach --user client-workload --env SPIFFE_ENDPOINT_SOCKET=unix:///tmp/spire-agent/public/api.sock "$(container_of client)" client -interval 7s
}

wrong as_root 'client runs as root' 'The client still looks for the socket at the wrong path. A process that runs as root does not find a socket there either.'
wrong_as_root() { client_as 0:0; }

wrong writable 'client has something different mounted at' 'The client may now write to the directory of the socket, so it could replace the socket.'
wrong_writable() {
	remake client <<-'END'
		services: {client: {volumes: ["workload-api:/tmp/spire-agent/public:rw"]}}
	END
}

wrong new_lab 'the SPIRE server has lost its data' 'The data of the SPIRE server was deleted, and the client still looks for the socket at the wrong path.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong whole_file 'DASHBOARD' 'The client is served, but the variable DASHBOARD was deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() { no_override client; }

hint true 'The client logs the path of the socket to which it connects: "docker compose logs --tail 5 client". The agent logs the path of the socket on which it listens: "docker compose logs spire-agent".'
hint true 'A program takes the path of the socket from the variable SPIFFE_ENDPOINT_SOCKET. The command "docker inspect" shows the variables of a container. Which files give the client its variables?'
hint true 'The fault: compose.override.yaml set SPIFFE_ENDPOINT_SOCKET of the client to unix:///tmp/agent.sock. Remove the line with SPIFFE_ENDPOINT_SOCKET from compose.override.yaml, keep the variable DASHBOARD, and run "docker compose up --detach client". The right path is in compose.yaml.'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml set SPIFFE_ENDPOINT_SOCKET to unix:///tmp/agent.sock, a path that was copied from an
    example. There is no socket at this path.
  How to see it: the client logs the path and "the socket does not exist". The agent logs "Starting agent APIs" with
    the path of its socket.
  What a restart or docker compose up changes: nothing. Compose reads compose.yaml and then the override, which takes
    precedence. So the client gets the same wrong value again.
  Seen in production: SPIRE's default path was /tmp/agent.sock in older versions, and many examples still had this
    path (https://github.com/spiffe/spire/issues/2064, https://github.com/spiffe/go-spiffe/pull/230).
  Which scenario shows it: make scenario-agent-outage, where the socket is missing for a different reason
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	override_adds client <<-'END'
		      SPIFFE_ENDPOINT_SOCKET: unix:///tmp/agent.sock
	END
}
