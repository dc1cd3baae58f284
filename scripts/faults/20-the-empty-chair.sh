# scripts/lab break the-empty-chair
# every program that is restarted on the host waits, and everything else is fine
level 1
category "SPIRE server: gone"
doctor LAB041

ticket() {
	cat <<'END'
  From: the operators of the host
  There was maintenance at night. What was not restarted works as ever. But the agent and the client, which were, do
  not come back: the client waits for an identity, the agent for something else. On this host everything is in place.

  Please see that the client is served. Other teams use the same SPIRE server: what it knows must not be lost.
END
}
states 'What was not restarted works as ever' 'container_running server'
states 'the client waits for an identity' 'log_of client | grep -E "waiting for an identity"'
states 'the agent for something else' 'log_of spire-agent | grep -E "Failed to retrieve attestation result.*retry_interval"'

cause server-stopped "The SPIRE server's container is not running."
answer agent-banned "The SPIRE server has banned the agent." \
	"The agent logged that it could not connect to the SPIRE server. A banned agent can connect, and gets the answer \"agent is banned\"." 'docker compose logs spire-agent'
answer credential-gone "The private key of the host was deleted." \
	"The agent had loaded its key before it tried to connect to the SPIRE server. Without a key it logs \"unable to load keypair\"." 'docker compose logs spire-agent'
answer entries-gone "The registration entries were deleted." \
	"When the SPIRE server answers again, it has all entries, including the entries of the other teams. Nobody created these entries again." 'make entries'
answer wrong-bundle "The agent has the bundle of a different CA." \
	"The agent did not even get a certificate from the SPIRE server. With the wrong bundle it logs \"certificate signed by unknown authority\"." 'docker compose logs spire-agent'

setup() { others; }
teardown() {
	docker rm --force "${project}-second-spire-server"
	others_go
}

right() {
	lab up --detach --no-deps spire-server
	wait_until 60 "the SPIRE server answers" cli healthcheck
	restarted spire-agent
}

also started
right_started() {
	docker start "$(container_of spire-server)"
	wait_until 60 "the SPIRE server answers" cli healthcheck
	restarted spire-agent
}

also recreated
right_recreated() {
	lab rm --stop --force spire-server
	lab up --detach --no-deps spire-server
	wait_until 60 "the SPIRE server answers" cli healthcheck
	restarted spire-agent
}

reflex "up recreate restart down-up bootstrap lab-up" "each of these commands starts a stopped container. In this fault the learner sees that the reason is in the agent's log, not in the client's log."

wrong restart_others 'the client is not served' 'The agent tries to attest again, but the SPIRE server is still stopped.' 'was_restarted spire-agent && ! container_running spire-server'
wrong_restart_others() { restarted spire-agent server client; }

wrong new_lab 'the SPIRE server has lost its data' 'A new SPIRE server runs, with a new CA and without the entries of the other teams.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong empty_disk 'the SPIRE server has lost its data' 'The SPIRE server runs again, but with an empty volume. Its old data is still in the volume spire-server-data.' 'docker inspect "$(container_of spire-server)" | grep -E "spire-server-empty-disk"'
wrong_empty_disk() {
	lab rm --stop --force spire-server
	remake spire-server <<-'END'
		services: {spire-server: {tmpfs: ["/tmp"], volumes: ["spire-server-empty-disk:/var/lib/spire/server"]}}
	END
	wait_until 60 "the SPIRE server answers" cli healthcheck
	provision
	restarted spire-agent client
}
revert() {
	docker rm --force "${project}-second-spire-server" || true
	lab up --detach --no-deps spire-server
	docker volume rm "${project}_spire-server-empty-disk" || true
}

wrong second_server 'a container that is not part of the lab runs beside it' 'A second container does the work of the SPIRE server. The SPIRE server of the lab is still stopped, and nothing restarts the second container when it exits.' 'docker inspect "${project}-second-spire-server"'
wrong_second_server() {
	docker run --detach --name "${project}-second-spire-server" --network "${project}_default" --network-alias spire-server \
		--volume "${project}_spire-server-data:/var/lib/spire/server" --env CACHE_RELOAD_INTERVAL=500ms \
		"$(image_of spire-server)" -config /etc/spire/server/server.conf -expandEnv
	restarted spire-agent
	wait_until 90 "the client is served" client_served
}

wrong as_root 'client runs as root' 'A process that runs as root must wait for the agent, too. And root has far more rights than client-workload.'
wrong_as_root() { client_as 0:0; }

hint true 'The client waits for the agent. What did the agent fail to do after it was restarted? See: docker compose logs --tail 20 spire-agent'
hint true 'An agent that starts has to attest to the SPIRE server before it opens its socket. Is there a SPIRE server that answers? See: docker compose ps --all'
hint true 'The fault: somebody stopped the container of the SPIRE server. The command "docker compose up --detach spire-server" starts this container, and the SPIRE server has its data again. The agent waits longer after each failed attempt to attest. The command "docker compose restart spire-agent" makes the agent attest at once.'

debrief() {
	cat <<'END'
  What it was: somebody stopped the SPIRE server's container. Workloads that had an SVID continued to work. While the
    SPIRE server was stopped, the agent was restarted. The agent could not attest, so it did not open its socket.
  How to see it: the agent logs "Failed to retrieve attestation result" with the reason, and with the time until its
    next attempt (retry_interval). `docker compose ps --all` shows that the SPIRE server is not running. An agent that
    was not restarted serves its cached SVIDs, and looks healthy.
  What a restart or docker compose up changes: both start a stopped container. So does `docker compose run --rm
    bootstrap`, because bootstrap depends on the SPIRE server. The data is in a volume, so nothing is lost. `docker
    compose down --volumes` would have deleted this volume.
  Seen in production: one SPIRE server is a single point of failure. The linked page explains how to run several SPIRE
    servers: https://spiffe.io/docs/latest/planning/scaling_spire/
  Which scenario shows it: make scenario-server-outage
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	docker stop "$(container_of spire-server)"
	restarted spire-agent client
}
