# scripts/lab break nobody-home
# after the host's maintenance two programs wait and wait, and nothing is in anybody's log
level 1
category "agent: stopped"
doctor LAB051

ticket() {
	cat <<'END'
  From: the team of the client
  The host was maintained last night, "and everything was started again". Our client has been waiting
  since then. It is not refused by anybody: it does not even get so far. The server's log has nothing.

  Please see that it is served again. The host may not get more rights on its machine than it had.
END
}

right() { lab up --detach --no-deps spire-agent; }

wrong restart 'the client is not served' 'what does not run is not restarted: docker restart was told of the programs only'
wrong_restart() { restarted spire-server server client; }

wrong whole_machine 'spire-agent sees every process of the machine' 'an agent that sees every process of the learner'"'"'s machine works, and can attest anybody there'
wrong_whole_machine() {
	remake spire-agent <<-'END'
		services: {spire-agent: {pid: host}}
	END
}

wrong as_root 'client runs as root' 'there is nobody whom root could ask, either'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

wrong more_rights 'spire-agent may do more on its machine than before' 'it runs again because it was started; the right that it got on the way, to try whether that helps, stays'
wrong_more_rights() {
	remake spire-agent <<-'END'
		services: {spire-agent: {cap_add: [NET_RAW]}}
	END
}

hint '! client_served' 'The client says what it waits for, and asks a question: docker compose logs --tail 2 client'
hint '! container_running spire-agent' 'Who offers the socket that the client looks for? Is it there? docker compose ps --all shows also what does not run.'
hint true 'The agent is stopped. A container that somebody has stopped by hand is not started again by the engine: docker compose up --detach spire-agent starts it.'

debrief() {
	cat <<'END'
  What it was: the agent's container had been stopped. The server went on with the SVID that it held; the client, which
    was restarted, found no socket.
  How to see it: `docker compose ps --all`; the client says "the socket does not exist; likely cause: is the agent
    running". The policy "unless-stopped" means what it says.
  In life: "cannot create X.509 source: context deadline exceeded". It does not say whether the agent or the entry is
    missing (https://github.com/spiffe/go-spiffe/issues/207).
  Which scenarios show it: make scenario-agent-outage, make scenario-agent-restart
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	docker stop "$(container_of spire-agent)"
	restarted client
}
