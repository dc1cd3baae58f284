# scripts/lab break the-substitute
# the client was started by a substitute, and is nobody
level 1
category "program: another user"
doctor LAB061

ticket() {
	cat <<'END'
  From: the team of the client
  While we were on holiday a substitute started our client anew, "exactly as always". It says that no entry matches it.
  Entries are not our business, but the one for the client is there, and right: security has confirmed it.

  Please see that the client is served again. The entry is right as it is.
END
}

right() { lab up --detach --no-deps client; }

wrong restart 'one that runs is not' 'a container keeps its user'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong entry_for_guest 'so is everybody else' 'the entry has followed the mistake: now each guest of the host is the client'
wrong_entry_for_guest() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
	restarted client
}

wrong by_program 'so is everybody else' 'the entry asks no more for a user: whoever starts the program is the client'
wrong_by_program() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/host
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/client
	restarted client
}

wrong as_root 'client runs as root' 'root is not the client either, and may far more'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

hint '! client_served' 'An entry that is right and a program that it does not fit: then look at the program. What did the agent see of it? docker compose logs --tail 3 spire-agent'
hint as_guest 'The agent saw another user than the entry wants. Who says as whom a container runs? docker inspect, docker compose config'
hint true 'The container of the client was made with the user guest-workload. docker compose up --detach client makes it as compose.yaml has it: client-workload.'

debrief() {
	cat <<'END'
  What it was: the client ran as guest-workload. The kernel tells the agent which process has called, and the agent reads
    that process's effective user ID from /proc. The program is not asked. The name of the user comes from /etc/passwd
    in the agent's container, not from the client's.
  How to see it: the client says "uid 1113", the agent's line "No identity issued" has unix:user:guest-workload.
  In life: a USER in an image, a securityContext, a unit file. An agent whose image has no /etc/passwd finds no
    unix:user at all (https://github.com/spiffe/spire/issues/3702). With user namespaces the agent sees other user IDs
    than the container.
  Which scenarios show it: make scenario-unregistered, make scenario-bad-id
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

as_guest() { [ "$(docker inspect --format '{{.Config.User}}' "$(container_of client)")" = guest-workload ]; }
inject() {
	remake client <<-'END'
		services: {client: {user: guest-workload}}
	END
}
