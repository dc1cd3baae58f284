# scripts/lab break side-by-side
# the agent offers its socket at a path, but the client finds no socket at the same path
level 2
category "agent: socket not shared"
doctor LAB093

ticket() {
	cat <<'END'
  From: the operators of the host
  Last night the agent got "a folder of its own", because somebody had read that one should separate things. It is
  healthy, and it offers its socket at /tmp/spire-agent/public/api.sock. The client looks at
  /tmp/spire-agent/public/api.sock, and finds nothing. We are at a loss.

  Please see that the programs get their identities again. They must not be able to write where the socket is.
  The containers of the programs are right as they are, and the agent's variable INVENTORY must stay.
END
}
states 'It is healthy' 'inside spire-agent "" /opt/spire/bin/spire-agent healthcheck'
states 'it offers its socket at /tmp/spire-agent/public/api.sock' 'log_of spire-agent | grep -E "Starting agent APIs.*/tmp/spire-agent/public/api.sock"'
states 'The client looks at /tmp/spire-agent/public/api.sock, and finds nothing' 'log_of client | grep -E "unix:///tmp/spire-agent/public/api.sock: the socket does not exist"'

cause different-volume "The agent has the wrong volume at the socket's directory."
answer agent-without-socket "The agent could not attest, so it did not open its socket." \
	"The SPIRE server logs that each attestation of the agent was completed." 'docker compose logs spire-server'
answer client-without-volume "The client's container was created without a volume." \
	"The client has the volume workload-api at the socket's directory, during the fault and after it." 'docker compose config client'
answer different-path "The client and the agent are configured with different paths." \
	"SPIFFE_ENDPOINT_SOCKET of the client is the path at which the agent listens, during the fault and after it." 'docker compose config client'
answer no-permission "The client's user may not open the agent's socket." \
	"The client logged \"the socket does not exist\". It logs \"permission denied\" for a socket that it may not open." 'docker compose logs client'

setup() {
	override spire-agent <<-'END'
		# Host operators: the agent has a folder of its own.
		services:
		  spire-agent:
		    environment: {INVENTORY: host-operators}
	END
	wait_until 60 "the programs get their identities" has_identity client-workload spiffe://example.org/client
}
teardown() {
	docker rm --force "${project}-second-client"
	docker volume rm "${project}_agent-folder"
}

right() {
	edited compose.override.yaml '^ *volumes: \[.*' '' '^volumes:.*' '' '^  agent-folder: .*' '' | override spire-agent
}

also written_out
right_written_out() {
	edited compose.override.yaml 'volumes: \[.*' 'volumes: ["workload-api:/tmp/spire-agent/public"]' '^volumes:.*' '' '^  agent-folder: .*' '' | override spire-agent
}

also recreated
right_recreated() {
	edited compose.override.yaml '^ *volumes: \[.*' '' | override
	lab rm --stop --force spire-agent
	lab up --detach
}

wrong move_client 'client has something different mounted at' 'The client now mounts the volume of the agent, and may write to this volume. The server still mounts the volume workload-api, in which there is no socket.'
wrong_move_client() {
	remake client <<-'END'
		services: {client: {volumes: ["agent-folder:/tmp/spire-agent/public"]}}
	END
}

wrong second_client 'the client is not served' 'A second client is served. But the client of the lab still waits for an identity.' 'docker inspect "${project}-second-client"'
wrong_second_client() {
	docker run --detach --name "${project}-second-client" --network "${project}_default" --pid "container:$(container_of node)" --user client-workload \
		--volume "${project}_agent-folder:/tmp/spire-agent/public:ro" --env SPIFFE_ENDPOINT_SOCKET=unix:///tmp/spire-agent/public/api.sock \
		"$(image_of workload)" client -interval 5s
}

wrong another_path 'the client is not served' 'The path of the socket was right in the client and in the agent. But the client and the agent mount different volumes at this path.' \
	'docker inspect "$(container_of client)" | grep -E "SPIFFE_ENDPOINT_SOCKET=unix:///tmp/agent.sock"'
wrong_another_path() {
	remake client <<-'END'
		services: {client: {environment: {SPIFFE_ENDPOINT_SOCKET: "unix:///tmp/agent.sock"}}}
	END
}

wrong as_root 'client runs as root' 'The volume that the client mounts has no socket. A process that runs as root cannot open a socket that does not exist.'
wrong_as_root() { client_as 0:0; }

wrong new_lab 'the SPIRE server has lost its data' 'The data of the SPIRE server was deleted, and the agent still mounts the wrong volume.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong whole_file 'INVENTORY' 'The programs get their identities, but the variable INVENTORY was deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() { no_override spire-agent; }

hint true 'A path names the same file in two containers only if both containers mount the same volume at this path. The command "docker inspect" shows the mounts of each container.'
hint true 'Compare the mounts of the client and of the agent at /tmp/spire-agent/public. Which of these two mounts differs from compose.yaml, and which file sets this mount?'
hint true 'The fault: compose.override.yaml mounted the volume agent-folder at /tmp/spire-agent/public in the container of the agent. The programs mount the volume workload-api at this path. Remove the three lines for agent-folder from compose.override.yaml, keep the variable INVENTORY, and run "docker compose up --detach spire-agent".'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml mounted the volume agent-folder in the agent's container, at the path where the
    programs mount the volume workload-api. So the agent listened on the right path, but in the wrong volume.
  How to see it: the client logs a path and "the socket does not exist". The agent logs "Starting agent APIs" and the
    same path. So compare the mounts (`docker inspect`), not the paths.
  What a restart or docker compose up changes: nothing. `docker compose up` reads the override, and mounts agent-folder
    again. A restart keeps the mounts of a container.
  Seen in production: in Kubernetes, a workload finds no socket if the workload's pod and the agent's pod mount
    different hostPath volumes. Instead of a hostPath volume, a CSI driver can mount the directory with the socket into
    the workload's pod (https://github.com/spiffe/spiffe-csi).
  Which scenario shows it: make scenario-agent-outage, where the socket disappears and comes back
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	override_adds spire-agent <<-'END'
		    volumes: ["agent-folder:/tmp/spire-agent/public"]
		volumes:
		  agent-folder: {}
	END
	wait_until 60 "the agent is healthy" inside spire-agent '' /opt/spire/bin/spire-agent healthcheck
	restarted client
}
