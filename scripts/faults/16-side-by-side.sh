# scripts/lab break side-by-side
# the agent offers its socket, the client looks at the right path, and they do not find each other
level 2
category "agent: socket not shared"
doctor LAB093

ticket() {
	cat <<'END'
  From: the operators of the host
  The agent got "a folder of its own" last night, since somebody had read that one should separate things. It is
  healthy, and offers its socket at /tmp/spire-agent/public/api.sock. The client looks at
  /tmp/spire-agent/public/api.sock, and finds nothing. We are at a loss.

  Please see that the programs get their identities again. They may not write where the socket is.
END
}
teardown() { docker volume rm "${project}_spire-server-empty-disk"; }

right() { lab up --detach --no-deps spire-agent; }

wrong restart 'the client is not served' 'each is restarted in its own folder'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong move_client 'client has other files than before' 'the client has followed the agent, with the right to write there; the server is still where it was'
wrong_move_client() {
	remake client <<-'END'
		services: {client: {volumes: ["spire-server-empty-disk:/tmp/spire-agent/public"]}}
	END
}

wrong another_path 'the client is not served' 'the path was right; it is the folder that is another one'
wrong_another_path() {
	remake client <<-'END'
		services: {client: {environment: {SPIFFE_ENDPOINT_SOCKET: "unix:///tmp/agent.sock"}}}
	END
}

wrong as_root 'client runs as root' 'root does not find a file that is not there'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

hint '! client_served' 'The same path in two containers is the same file only if both have the same volume there. docker inspect shows the mounts of each.'
hint agent_apart 'Compare what the client and the agent have at /tmp/spire-agent/public: docker inspect, Mounts. Which of the two is as compose.yaml has it?'
hint true 'The agent'"'"'s container was made with the volume spire-server-empty-disk at /tmp/spire-agent/public, the programs have workload-api. docker compose up --detach spire-agent brings them together.'

debrief() {
	cat <<'END'
  What it was: the agent offered its socket in another volume than the one that the programs mount. The path was right
    on both sides.
  How to see it: the client says that the socket does not exist, and the agent is healthy. Then compare mounts, not paths.
  In life: in Kubernetes, the agent and a pod mount a different hostPath. A CSI driver can mount the directory with the
    socket into the pod (https://github.com/spiffe/spiffe-csi).
  Which scenario shows it: make scenario-agent-outage, where the socket goes and comes back
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

agent_apart() { docker inspect "$(container_of spire-agent)" | grep -E spire-server-empty-disk; }
inject() {
	remake spire-agent <<-'END'
		services: {spire-agent: {volumes: ["spire-server-empty-disk:/tmp/spire-agent/public"]}}
	END
	wait_until 60 "the agent is healthy" inside spire-agent '' /opt/spire/bin/spire-agent healthcheck
	restarted client
}
