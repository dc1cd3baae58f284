# scripts/lab break the-empty-chair
# whoever is restarted on the host waits in vain, and everything else is fine
level 1
category "SPIRE server: gone"
doctor LAB041

ticket() {
	cat <<'END'
  From: the operators of the host
  There was maintenance at night. What was not restarted works as ever. But the agent and the client, which were, do not come
  back: the client waits for an identity, the agent for something else. On this host everything is in place.

  Please see that the client is served. Other teams use the same SPIRE server: what it knows must not be lost.
END
}

setup() { others; }
teardown() { others_go; }

right() {
	lab up --detach --no-deps spire-server
	wait_until 60 "the SPIRE server answers" cli healthcheck
	restarted spire-agent
}

wrong restart 'the client is not served' 'the agent asks again, and nobody is there to answer'
wrong_restart() { restarted spire-agent server client; }

wrong new_lab 'what the SPIRE server knew is lost' 'a new SPIRE server is there, with a new CA, and knows none of the other teams'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong empty_disk 'what the SPIRE server knew is lost' 'it runs again, on an empty disk'
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
	lab up --detach --no-deps spire-server
	docker volume rm "${project}_spire-server-empty-disk" || true
}

wrong as_root 'client runs as root' 'root waits as well'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

hint '! client_served' 'The client waits for the agent. And the agent? docker compose logs --tail 5 spire-agent says with whom it cannot speak.'
hint '! container_running spire-server' 'The agent looks for spire-server and does not find it. docker compose ps --all'
hint true 'The SPIRE server is stopped: docker compose up --detach spire-server. It finds its data on its disk, and everything recovers by itself. The agent tries again after growing pauses of up to two minutes; docker compose restart spire-agent makes it try at once.'

debrief() {
	cat <<'END'
  What it was: the SPIRE server's container was stopped. Whoever held an SVID went on; an agent that was started meanwhile
    could not attest, and offered no socket.
  How to see it: the agent's log says "Failed to retrieve attestation result", why, and when it tries again
    (retry_interval); `docker compose ps --all` shows that the SPIRE server does not run. An agent that has attested
    before serves what it has cached, and looks healthy.
  In life: one SPIRE server is a single point of failure; how to have several:
    https://spiffe.io/docs/latest/planning/scaling_spire/
  Which scenario shows it: make scenario-server-outage
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	docker stop "$(container_of spire-server)"
	restarted spire-agent client
}
