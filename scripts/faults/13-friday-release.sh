# scripts/lab break friday-release
# Friday's release is the same program, rebuilt, and it no longer gets an identity
level 2
category "program: another hash"
doctor LAB066

ticket() {
	cat <<'END'
  From: the team of the client
  On Friday we rolled out a release: the same program, built anew. Since then the client has no identity. The
  entry has not been touched by anybody, it is as security made it: for this program and no other.

  Please see that the release is served. Security insists: the entry must go on naming the program by its
  content. "By its user" alone will not do.
END
}

# As security made it: the user, and the content of the program.
setup() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector "unix:sha256:$(sum_of "$(image_of workload)")"
}
teardown() {
	own_entries
}

right() {
	local image
	image=$(docker inspect --format '{{.Config.Image}}' "$(container_of client)")
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector "unix:sha256:$(sum_of "$image")"
	restarted client
}

wrong restart 'the client is not served' 'the program is the same after a restart, and so is its hash'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong user_only 'more can be spiffe://example.org/client than before' 'without the hash nobody notices a changed program: security wants the file named beside the user'
wrong_user_only() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
	restarted client
}

wrong by_path 'more can be spiffe://example.org/client than before' 'the path is that of the next release, too, and of whatever else is put there'
wrong_by_path() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector unix:path:/opt/spiffe-lab/bin/client
	restarted client
}

wrong sum_only 'more can be spiffe://example.org/client than before' 'the program is named, and whoever starts it is the client'
wrong_sum_only() {
	local image
	image=$(docker inspect --format '{{.Config.Image}}' "$(container_of client)")
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector "unix:sha256:$(sum_of "$image")"
	restarted client
}

hint '! client_served' 'The agent says what it saw of the program, and the entry what it wants. Put the two lines under each other: docker compose logs --tail 3 spire-agent, make entries'
hint old_sum 'One selector of the entry is the SHA-256 hash of the program file. What is the hash of the new file? The agent has computed and logged it.'
hint true 'The entry pins the program by unix:sha256, and the release has a different hash. Take the hash from the line "No identity issued" of the agent, and put it into the entry in place of the old one. Give spire-server entry update the user, the parent and the SPIFFE ID again, because it replaces the whole entry.'

debrief() {
	cat <<'END'
  What it was: the entry names the program by unix:sha256, and the file of the release has a different hash. One byte is
    enough for that, as here. A reproducible build of the same source has the same hash.
  How to see it: the agent's line "No identity issued" has the hash that it computed; the entry has the hash of the last
    release. Register each release before it is rolled out, with two entries for a while: the selectors of one entry
    must all match. Take the hash from the build, not from a log that shows whatever has asked.
  What the hash is worth: it tells honest programs apart, and shows that a file has changed. It is no border between two
    programs of one user. One of them can connect to the Workload API, replace itself with the pinned program (exec),
    and let a child process use the connection. Programs that must not be each other need two users. For a script,
    SPIRE hashes the interpreter.
  In life: SPIRE's documentation of the unix attestor names these selectors, and what the agent needs to compute them
    (https://github.com/spiffe/spire/blob/v1.15.3/doc/plugin_agent_workloadattestor_unix.md).
  Which scenario shows it: make scenario-stolen-user
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

# sum_of IMAGE: of its client.
sum_of() {
	docker run --rm --network none --label com.docker.compose.project= --label com.docker.compose.service= "$1" observer -limit 1s |
		captured '"/opt/spiffe-lab/bin/client":"([0-9a-f]{64})"'
}

old_sum() { entry_has "unix:sha256:$(sum_of "$(image_of workload)")"; }
# A program with a byte more at its end does the same, and has another hash.
inject() {
	{
		file_of client /opt/spiffe-lab/bin/client
		printf '\n'
	} | other_image client /opt/spiffe-lab/bin/client 755
}
