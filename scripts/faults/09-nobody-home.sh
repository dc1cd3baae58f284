# scripts/lab break nobody-home
# since the maintenance of the host the client waits, and no log shows a refusal
level 1
category "agent: stopped"
doctor LAB051

ticket() {
	cat <<'END'
  From: the team of the client
  The host was maintained last night, "and everything was started again". Our client has been waiting
  since then. It is not refused by anybody: it does not even get so far. The server's log has no
  refusal of it.

  Please see that it is served again. The host may not get more rights on its machine than it had.
END
}
states 'Our client has been waiting' '! client_served && log_of client | grep -E "waiting for an identity"'
states 'It is not refused by anybody' '! log_of client | tail -n 3 | grep -E "PermissionDenied|bad certificate"'
states "The server's log has no refusal of it" '! log_of server | grep -E "unexpected ID .spiffe://example.org/client"'

cause agent-stopped 'The agent was stopped, and nobody started it again.'
answer entry-deleted 'The entry for the client was deleted during the maintenance.' \
	'A client without an entry logs "no identity issued". This client logged "the socket does not exist".' \
	'docker compose logs client'
answer socket-moved 'The client looks for the socket at a path that the agent does not use.' \
	'The client and the server have the same SPIFFE_ENDPOINT_SOCKET. The server got its SVID from that socket before the maintenance.' \
	'docker compose config server client'
answer spire-server-down 'The SPIRE server was stopped, so the agent issues no SVIDs.' \
	'The SPIRE server was healthy during the whole fault. Besides, when the SPIRE server is down, a running agent keeps its socket and its cached SVIDs.' \
	'docker compose ps --all'
answer server-stopped 'The server of the lab was stopped, so no request is answered.' \
	'The server ran during the whole fault. The client had not sent a request, because it did not have an SVID yet.' \
	'docker compose logs --tail 30 server'

reflex "up recreate restart down-up lab-up" 'each of these commands starts a container that is stopped'

revert() { docker rm --force "$project-agent-2" || true; }

right() { lab up --detach --no-deps spire-agent; }

also start
right_start() { docker start "$(container_of spire-agent)"; }

also recreated
right_recreated() { lab up --detach --no-deps --force-recreate spire-agent; }

wrong whole_machine 'spire-agent sees every process of the machine' 'An agent in the PID namespace of the machine works. But an agent must not be able to attest every process of your computer.'
wrong_whole_machine() {
	remake spire-agent <<-'END'
		services: {spire-agent: {pid: host}}
	END
}

wrong second_agent 'a container that is not part of the lab runs beside it' 'A second container does the work of the agent. The agent of the lab is still stopped, and the lab does not manage the second container.'
wrong_second_agent() { lab run --detach --no-deps --name "$project-agent-2" spire-agent; }

wrong as_root 'client runs as root' 'The user of the client is not the cause. A process that runs as root does not find the Workload API either.'
wrong_as_root() { client_as 0:0; }

wrong more_rights 'spire-agent has more privileges than before' 'The agent runs again because it was started. But the agent now has a capability that it does not need.'
wrong_more_rights() {
	remake spire-agent <<-'END'
		services: {spire-agent: {cap_add: [NET_RAW]}}
	END
}

wrong new_lab 'the SPIRE server has lost its data' 'The new lab has an agent that runs. But the new lab also has a new CA, so every copy of the old trust bundle outside of this lab is out of date now.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'The client logs what it is waiting for, and a likely cause: docker compose logs --tail 5 client'
hint true 'The agent opens the socket of the Workload API. The command "docker compose ps" lists the containers that run, and "docker compose ps --all" also lists the stopped containers.'
hint true 'The fault: somebody stopped the container of the agent. Docker does not restart a container that somebody has stopped by hand. To start the agent, run: docker compose up --detach spire-agent'

debrief() {
	cat <<'END'
  What it was: the agent's container had been stopped. The server kept its SVID and continued to run. The client was
    restarted, and did not find a socket.
  How to see it: `docker compose ps --all` shows the stopped container. The client logs "the socket does not exist;
    likely cause: the agent is not running or has not attested, or its socket is not mounted here". The restart policy
    of the container is "unless-stopped", so Docker does not restart a container that somebody has stopped.
  What a restart or docker compose up changes: both start a stopped container, so both help. `make up` helps, too. But
    none of these commands shows who stopped the container, and why. `docker compose run --rm bootstrap` does not help,
    because this command does not start the agent.
  Seen in production: the error message "cannot create X.509 source: context deadline exceeded" does not say whether the
    agent or the entry is missing (https://github.com/spiffe/go-spiffe/issues/207).
  Which scenarios show it: make scenario-agent-outage, make scenario-agent-restart
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	docker stop "$(container_of spire-agent)"
	restarted client
}
