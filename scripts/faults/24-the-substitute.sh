# scripts/lab break the-substitute
# the client was started by a substitute, and gets no identity
level 1
category "program: another user"
doctor LAB061

ticket() {
	cat <<'END'
  From: the team of the client
  While we were on holiday a substitute set up our client again, "exactly as always". It says that no entry matches it.
  Entries are not our business, but the one for the client is there, and it is right: security has confirmed it.

  Please see that the client is served again. The entry is right as it is. The new stop time of 8 s is agreed, and
  the variable DASHBOARD must stay: our dashboard reads it.
END
}
states 'It says that no entry matches it' 'log_of client | grep -E "no registration entry matches this process"'
states 'the one for the client is there' 'entry_has "spiffe://example.org/client$" && entry_has "unix:user:client-workload$"'

cause different-user "The client runs as a user that its entry does not name."
answer different-host "The client's entry names a different host as its parent." \
	"The parent of the client's entry is spiffe://example.org/host, as in the entry for spiffe://example.org/server." 'make entries'
answer different-program "The hash of the client's program differs from the hash in the client's entry." \
	"No entry has a selector unix:sha256 or unix:path, so the program file does not matter." 'make entries'
answer different-selector "Somebody changed the selector in the client's entry." \
	"The selector of the client's entry is unix:user:client-workload, during the fault and after it." 'make entries'
answer stale-agent "The agent of this host has not received the client's entry." \
	"A process of client-workload gets the SVID spiffe://example.org/client from this agent." 'docker compose exec --user client-workload client svid'

setup() {
	override client <<-'END'
		# By the team of the client.
		services:
		  client:
		    environment: {DASHBOARD: client-team}
		    stop_grace_period: 8s
	END
	wait_until 60 "the client is served" client_served
}

right() { edited compose.override.yaml '^ *user: .*' '' | override client; }

also written_out
right_written_out() { edited compose.override.yaml 'user: .*' 'user: client-workload' | override client; }

also recreated
right_recreated() {
	edited compose.override.yaml '^ *user: .*' '' | override
	lab rm --stop --force client
	lab up --detach
}

wrong second_client 'the running client is not' 'A second process in the container of the client is served. The client itself still runs as guest-workload.' \
	'docker top "$(container_of client)" | grep -E "client -interval 7s"'
wrong_second_client() { docker exec --detach --user client-workload "$(container_of client)" client -interval 7s; }

wrong entry_for_guest "gets the client's SVID too" 'An entry for the client now names guest-workload. Every process that runs as this user can get the SVID of the client.' 'entry_has "unix:user:guest-workload"'
wrong_entry_for_guest() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
	restarted client
}

wrong by_program "gets the client's SVID too" 'The entry for the client now names a program, and no user. Every process that runs this program can get the SVID of the client.' 'entry_has "unix:path:"'
wrong_by_program() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/host
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/client
	restarted client
}

wrong as_root 'client runs as root' 'The entry names client-workload, so a process that runs as root gets no identity either. And root has far more rights than client-workload.'
wrong_as_root() { edited compose.override.yaml 'user: .*' 'user: "0:0"' | override client; }

wrong new_lab 'the SPIRE server has lost its data' 'The data of the SPIRE server was deleted, and the client still runs as the wrong user.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong old_stop_time 'client has a different stop_grace_period' 'The client is served. But the new stop time, which is agreed, was deleted together with the wrong line.' 'override_has DASHBOARD'
wrong_old_stop_time() { edited compose.override.yaml '^ *user: .*' '' '^ *stop_grace_period: .*' '' | override client; }

wrong whole_file 'DASHBOARD' 'The client is served, but the variable DASHBOARD was deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() { no_override client; }

hint true 'The agent logs the selectors of each process that gets no identity: "docker compose logs --tail 20 spire-agent". Look for the lines "No identity issued".'
hint true 'In the lines "No identity issued" of the agent, find the selector unix:user. Compare it with the selector of the entry for spiffe://example.org/client. The command "docker inspect" shows as which user a container was started. Which files set the user of the client?'
hint true 'The fault: compose.override.yaml started the client as guest-workload. Remove the line with "user" from compose.override.yaml, keep the other lines, and run "docker compose up --detach client". The right user, client-workload, is in compose.yaml.'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml started the client as guest-workload. The kernel tells the agent which process has
    connected to the Workload API. The agent reads the effective user ID of this process from /proc. The agent does not
    ask the program for its user ID. The name of the user comes from /etc/passwd in the agent's container, not from
    /etc/passwd in the client's container.
  How to see it: the client logs "uid 1113", and the agent's line "No identity issued" has the selector
    unix:user:guest-workload.
  What a restart or docker compose up changes: nothing. The override names the user, and Compose reads the override at
    each `docker compose up`. Bootstrap finds the entry unchanged.
  Seen in production: the user of a program comes from USER in an image, from a securityContext or from a unit file.
    An agent whose image has no /etc/passwd finds no selector unix:user at all
    (https://github.com/spiffe/spire/issues/3702). With user namespaces the agent sees user IDs that differ from the
    user IDs in the container.
  Which scenarios show it: make scenario-unregistered, make scenario-bad-id
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	override_adds client <<-'END'
		    user: guest-workload
	END
}
