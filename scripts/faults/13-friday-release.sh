# scripts/lab break friday-release
# Friday's release is the same program, rebuilt, and it gets no identity
level 2
category "program: another hash"
doctor LAB066

ticket() {
	cat <<'END'
  From: the team of the client
  On Friday we rolled out a release: the same program, rebuilt. Since then the client has no identity. The
  entry is as security made it: for our user, and for the content of one program.

  Please see that the release is served. It has a correction that we need, so the old program may not
  come back. Security insists: the entry must go on naming the program by its content. "By its user"
  alone will not do.
END
}
states 'On Friday we rolled out a release' 'override_has "RELEASE: friday"'
states 'the client has no identity' '! client_served && log_of client | tail -n 10 | grep -E "no identity issued"'
states 'for our user, and for the content of one program' 'entry_has "unix:user:client-workload$" && entry_has "unix:sha256:"'

cause old-hash 'The entry has the SHA-256 hash of an older program file.'
answer entry-deleted 'The entry for the old release was deleted with the old files.' \
	'The entry is listed, with a selector unix:user and a selector unix:sha256.' \
	'make entries'
answer file-unreadable 'The agent cannot read the new program file, so it computes no hash.' \
	'The agent computed the hash. Its line "No identity issued" has unix:sha256 among the selectors of the process.' \
	'docker compose logs --tail 50 spire-agent'
answer other-path 'The release has its program at a path that the entry does not name.' \
	'The entry does not have a selector unix:path, so a path cannot be the cause.' \
	'make entries'
answer other-user 'The release runs as a user that the entry does not name.' \
	'The agent logged unix:user:client-workload among the selectors of the process, and the entry names that user.' \
	'docker compose logs --tail 50 spire-agent'

# setup rolls out the release. The entry for the client then has the user and the hash, as security requires.
setup() {
	{
		file_of client /opt/spiffe-lab/bin/client
		printf '\n'
	} | other_image client /opt/spiffe-lab/bin/client 755
	override client <<-END
		# By the team of the client.
		services:
		  client:
		    image: "$(last_image)"
		    environment:
		      RELEASE: friday
	END
	right
	wait_until 30 "the release is served" client_served
}
teardown() { own_entries; }
revert() { docker rm --force "$project-old-client" || true; }

# entry_for SELECTOR gives the entry for the client two selectors: the user of the client, and SELECTOR.
entry_for() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector "$1"
}

right() {
	entry_for "unix:sha256:$(sum_of "$(release)")"
	restarted client
}

also recreated
right_recreated() {
	cli entry delete -entryID client
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -x509SVIDTTL 3600 \
		-selector unix:user:client-workload -selector "unix:sha256:$(sum_of "$(release)")"
	restarted client
}

also user_and_uid
right_user_and_uid() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector unix:uid:1112 -selector "unix:sha256:$(sum_of "$(release)")"
	restarted client
}

wrong user_only 'an entry for spiffe://example.org/client lacks a selector' 'The entry no longer has a hash, so nobody notices a changed program. Security requires the hash and the user.' \
	'! entry_has "unix:sha256:" && ! entry_has "unix:path:"'
wrong_user_only() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
	restarted client
}

wrong by_path 'an entry for spiffe://example.org/client lacks a selector' 'The entry names a path now. A path does not identify the content of the file: any program at that path matches.' \
	'entry_has "unix:path:"'
wrong_by_path() {
	entry_for unix:path:/opt/spiffe-lab/bin/client
	restarted client
}

wrong sum_only 'an entry for spiffe://example.org/client lacks a selector' 'The entry names the program, but not the user. Every user who starts that program gets the SVID of the client.' \
	'entry_has "unix:sha256:" && ! entry_has "unix:user:client-workload$"'
wrong_sum_only() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector "unix:sha256:$(sum_of "$(release)")"
	restarted client
}

wrong roll_back 'client does not run the program file from before the fault' 'The old program runs again. Its hash is in the entry, but the team needs the release.'
wrong_roll_back() { edited compose.override.yaml '^ *image:.*' '' | override client; }

wrong old_beside_new 'a container that is not part of the lab runs beside it' 'A second container runs the old program and is served. The release still gets no SVID.'
wrong_old_beside_new() { run_beside old-client client-workload client -interval 5s; }

wrong new_lab 'the SPIRE server has lost its data' 'In the new lab, the entry for the client does not have the hash that security requires. The CA of the new lab is new, too.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'The agent logs the selectors of a process to which it issues no SVID: "docker compose logs --tail 5 spire-agent". Compare these selectors with the selectors of the entry for the client: "make entries".'
hint true 'One selector of the entry is a SHA-256 hash of the program file. What is the hash of the new file? The agent computes the hash for each process that asks for an SVID. If the agent issues no SVID, it logs the hash.'
hint true 'The fault: the release has a new program file, but nobody changed the hash in the entry. Take the new hash from the line "No identity issued" in the log of the agent. The command "spire-server entry update" replaces the whole entry, so repeat the user, the parent and the SPIFFE ID.'

debrief() {
	cat <<'END'
  What it was: the entry names the program by unix:sha256, and the file of the release has a different hash. One changed
    byte is enough to change the hash. A reproducible build of the same source has the same hash.
  How to see it: the agent's line "No identity issued" has the hash of the new file. The entry has the hash of the
    previous release. Register each release before it is rolled out. For a while you need two entries, one for each
    hash. One entry with both hashes matches no process, because a process must have all selectors of an entry. In
    production, take the hash from the build. A hash in a log can be the hash of any program that asked for an SVID.
  What the hash is worth: with the hash, the agent can distinguish programs that do not attack each other, and recognize
    a changed file. The hash does not separate two programs of one user. One of the two programs can connect to the
    Workload API and start a child process. Then this program replaces itself with the program that the entry names
    (exec). The agent attests the program that the entry names, but the child process uses the connection. If two
    programs must not get each other's SVID, they need different users. For a script, SPIRE computes the hash of the
    interpreter, not of the script.
  What a restart or docker compose up changes: nothing. Each start runs the same file, which has the same hash.
    Bootstrap finds the entry named client and does not change it. It only prints how this entry differs from the entry
    of a new lab. The entry of a new lab has no hash.
  Seen in production: SPIRE's documentation of the unix attestor names the selectors unix:path and unix:sha256, and says
    what the agent needs in order to compute them
    (https://github.com/spiffe/spire/blob/v1.15.3/doc/plugin_agent_workloadattestor_unix.md).
  Which scenario shows it: make scenario-stolen-user
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

# sum_of IMAGE prints the SHA-256 hash of the client program in this image.
sum_of() {
	docker run --rm --network none --label com.docker.compose.project= --label com.docker.compose.service= "$1" observer -limit 1s |
		captured '"/opt/spiffe-lab/bin/client":"([0-9a-f]{64})"'
}

release() { docker inspect --format '{{.Config.Image}}' "$(container_of client)"; }
refused() { ! inside client client-workload client -wait 1s; }

# The program file of the release is the file of the lab with one more byte at its end (see setup). inject gives the entry the hash of the
# file without that byte.
inject() {
	entry_for "unix:sha256:$(sum_of "$(image_of workload)")"
	wait_until 30 "the agent has heard of it" refused
	restarted client
}
