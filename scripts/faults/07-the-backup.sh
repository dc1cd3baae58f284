# scripts/lab break the-backup
# since the disk of the SPIRE server was looked after, it knows nobody
level 2
category "SPIRE server: new data"
doctor LAB045

ticket() {
	cat <<'END'
  From: the operators of the SPIRE server
  Last night we took a backup, for which somebody set the SPIRE server up on a spare disk "for ten minutes".
  It runs, it answers, and it is in perfect health. But it seems to know nobody any more, and the
  programs on the host get no identities when they are restarted.

  Please see that everything is as it was before the backup. The entries of the other teams must be
  there again, and whoever has the old trust bundle must still be right.
END
}

setup() { others; }
teardown() {
	others_go
	docker volume rm "${project}_spire-server-empty-disk"
}

right() {
	lab up --detach --no-deps spire-server
	wait_until 60 "the SPIRE server answers" cli healthcheck
	restarted spire-agent client
}

wrong restart 'the client is not served' 'all of them come back with the disk that they had'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong provision 'what the SPIRE server knew is lost' 'the host gets a credential of the new CA, and entries on the spare disk: the client is served, and the entries of the other teams are still missing'
wrong_provision() {
	provision
	restarted spire-agent server client
}

wrong no_check "the agent's configuration is not what it was" 'an agent that trusts any SPIRE server at its start also trusts an impostor; and it does not help, because the CA of this SPIRE server did not sign the credential of the host'
wrong_no_check() {
	edited spire/agent/agent.conf '^.*trust_bundle_path.*' '    insecure_bootstrap = true' | other_image spire-agent /etc/spire/agent/agent.conf
}

wrong new_lab 'what the SPIRE server knew is lost' 'with the spare disk the right one is thrown away'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint '! entry_has "spiffe://example.org/backup$"' 'Ask the SPIRE server what it knows: make entries. Has it forgotten, or is this another one? docker compose logs spire-server shows how it began.'
hint on_spare_disk 'It has a new CA, as on its first day. Where does it keep its data? docker inspect shows the mounts of its container, docker volume ls what there is; docker compose config what it should have.'
hint true 'Its container was made with another volume, spire-server-empty-disk, at /var/lib/spire/server. The old data are where they were: docker compose up --detach spire-server gives it its own disk back. Then restart what has given up.'

debrief() {
	cat <<'END'
  What it was: the SPIRE server ran on an empty volume. On an empty disk it makes itself a new CA and has no entries;
    the agent, which knows the old CA, refuses it, and it does not know the agent.
  How to see it: no entries, "X509 CA prepared" in its log, and the mounts in `docker inspect`. Nothing is lost while the
    old volume exists. To run bootstrap again is right after a real loss; here it makes the host trust the new CA.
  In life: agents after a SPIRE server came back with other data (https://github.com/spiffe/spire/issues/5442).
  Which scenario shows it: make scenario-server-wiped
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

on_spare_disk() { docker inspect "$(container_of spire-server)" | grep -E spire-server-empty-disk; }
inject() {
	remake spire-server <<-'END'
		services: {spire-server: {volumes: ["spire-server-empty-disk:/var/lib/spire/server"]}}
	END
	wait_until 60 "the SPIRE server answers" cli healthcheck
	restarted spire-agent
	wait_until 60 "the agent is without it" nobody client-workload
	restarted client
}
