# scripts/lab break the-backup
# since last night's backup the SPIRE server has no entries
level 2
category "SPIRE server: new data"
doctor LAB045

ticket() {
	cat <<'END'
  From: the operators of the SPIRE server
  Last night we took a backup, for which the SPIRE server had to run without its disk "for ten minutes".
  It runs, it answers, and it is in perfect health. But it seems to know nobody any more, and the
  programs on the host get no identities when they are restarted. The backup team has set a window
  for the next backups; that setting is right, and has to stay.

  Please see that everything is as it was before the backup. The entries of the other teams must be
  there again, and the old trust bundle must still be valid.
END
}
states 'It runs, it answers' 'cli healthcheck'
states 'it seems to know nobody any more' '! entry_has "^Entry ID"'
states 'programs on the host get no identities' 'nobody client-workload && nobody server-workload'
states 'The backup team has set a window' 'override_has "BACKUP_WINDOW"'

cause other-volume 'The SPIRE server uses a volume that does not have its data.'
answer agents-evicted 'The SPIRE server has evicted its agents and deleted all entries.' \
	'The CA stays the same when agents are evicted and entries are deleted. But during the fault the CA was new, so the agent logged "certificate signed by unknown authority".' \
	'docker compose logs spire-agent'
answer backup-restored 'The SPIRE server uses an old backup of its data.' \
	'A backup has entries and an old CA. During the fault the SPIRE server had no entries, and its volume was new.' \
	'docker volume ls'
answer bundle-expired 'The CA in the trust bundle of the host has expired.' \
	'The agent logged "certificate signed by unknown authority". For a CA that has expired it logs "certificate has expired".' \
	'docker compose logs spire-agent'

# A correct fix keeps the backup window of the backup team.
setup() {
	override spire-server <<-'END'
		# By the backup team.
		services:
		  spire-server:
		    environment:
		      BACKUP_WINDOW: "02:00"
	END
	wait_until 60 "the SPIRE server answers" cli healthcheck
	others
}
teardown() {
	others_go
	docker volume rm "${project}_spire-server-spare"
}
revert() { docker rm --force "$project-old-spire-server" || true; }

own_disk() { edited compose.override.yaml '^ *volumes: \[.*' '' '^volumes:.*' '' | override; }

right() {
	own_disk
	lab up --detach
	restarted spire-agent client
}

also written_out
right_written_out() {
	edited compose.override.yaml 'spire-server-spare' 'spire-server-data' | override
	lab up --detach
}

also down_and_up
right_down_and_up() {
	own_disk
	lab down
	lab up --detach
}

wrong by_hand 'the SPIRE server has lost its data' 'The entries were created again on the spare volume. But the SPIRE server still has the new CA, and SVIDs from this CA cannot be verified with the old trust bundle.' \
	'override_has "spire-server-spare" && entry_has "spiffe://example.org/billing$"'
wrong_by_hand() {
	provision
	others
	restarted spire-agent server client
}

wrong provision 'the SPIRE server has lost its data' 'Bootstrap gives the host a credential from the new CA and creates the entries of the lab. The entries of the other teams are still missing.' \
	'override_has "spire-server-spare" && ! entry_has "spiffe://example.org/billing$"'
wrong_provision() {
	provision
	restarted spire-agent server client
}

wrong second_server 'the name "spire-server" also resolves to' 'A second SPIRE server runs on the old volume, under the same name. An agent or an operator reaches one of the two SPIRE servers by chance.'
wrong_second_server() {
	docker run --detach --name "$project-old-spire-server" --network "${project}_default" --network-alias spire-server \
		--env AGENT_TTL= --env CACHE_RELOAD_INTERVAL=500ms --volume "${project}_spire-server-data:/var/lib/spire/server" \
		"$(image_of spire-server)" -config /etc/spire/server/server.conf -expandEnv
	restarted spire-agent client
}

wrong no_check "the agent's configuration" 'An agent that accepts any SPIRE server at its start also accepts an impostor. Besides, the SPIRE server refuses this agent, because the new CA did not sign the credential of the host.'
wrong_no_check() {
	edited spire/agent/agent.conf '^.*trust_bundle_path.*' '    insecure_bootstrap = true' | other_image spire-agent /etc/spire/agent/agent.conf
}

wrong file_gone 'spire-server lacks the environment variable BACKUP_WINDOW' 'The whole file compose.override.yaml was deleted, and with it the setting of the backup team. Only the volume in the file was wrong.'
wrong_file_gone() {
	no_override
	lab up --detach
	restarted spire-agent client
}

wrong new_lab 'the trust bundle of the SPIRE server has a CA certificate that it did not have before the fault' 'Both volumes of the SPIRE server were deleted. The CA and the entries were in the right volume, and there is no copy of them.' \
	'! override_has "spire-server-spare"'
wrong_new_lab() {
	own_disk
	lab down --volumes
	lab up --detach
}

hint true 'Which entries does the SPIRE server have? Run "make entries". Then read the first lines of the log of the SPIRE server: "docker compose logs spire-server". A SPIRE server that finds data in its volume does not prepare a new CA.'
hint true 'Where does the SPIRE server keep its data? The command "docker inspect" shows the mounts of the container spire-server, and "docker volume ls" lists the volumes. The command "docker compose config" shows the configuration that Compose merges from all its files.'
hint true 'The file compose.override.yaml mounted the volume spire-server-spare at /var/lib/spire/server. Remove both lines with "volumes:" from the file, keep the rest, and run "docker compose up --detach". The data is still in the volume spire-server-data.'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml mounted an empty volume for the data of the SPIRE server. On an empty volume the
    SPIRE server creates a new CA, and has no entries. The agent, which trusts the old CA, refuses the SPIRE server. The
    SPIRE server does not know the agent.
  How to see it: the SPIRE server has no entries, and its log has "X509 CA prepared". `docker inspect` shows the mounts
    of the SPIRE server. Nothing is lost while the old volume exists.
  What a restart or docker compose up changes: both seem to help, but do harm. `docker compose up` runs bootstrap on the
    empty volume. Bootstrap gives the host a credential from the new CA and creates the three entries of the lab, so the
    client is served. But the entries of the other teams are missing, and every copy of the old trust bundle outside of
    this lab is out of date. Run bootstrap on an empty volume only after a real loss of the data.
  Seen in production: agents connected to a SPIRE server that had come back with different data
    (https://github.com/spiffe/spire/issues/5442).
  Which scenario shows it: make scenario-server-wiped
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	override_adds spire-server <<-'END'
		    volumes: ["spire-server-spare:/var/lib/spire/server"]
		volumes: {spire-server-spare: }
	END
	wait_until 60 "the SPIRE server answers" cli healthcheck
	restarted spire-agent
	wait_until 60 "the agent is without it" nobody client-workload
	restarted client
}
