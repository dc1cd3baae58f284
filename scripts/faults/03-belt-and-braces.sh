# scripts/lab break belt-and-braces
# since an audit made everything safer, the client gets nothing done
level 1
category "entry: one selector too many"
doctor LAB067

ticket() {
	cat <<'END'
  From: the team of the client
  An auditor came by yesterday and had "belt and braces" put on: an entry that named only our user was
  not enough for him. Since the client was restarted it gets nothing done.
  He is right about one thing: the entry may ask for more than the user. It may never ask for less.

  Please see that the client is served again. Nobody but our user may be the client.
END
}
states 'it gets nothing done' '! client_served'
states 'the entry may ask for more than the user' 'entry_has "unix:user:client-workload"'

cause wrong-path 'The entry requires a program path that is not the path of the client.'
answer entry-moved 'The entry has a parent that is not the host of the client.' \
	'The entries for the client and the server have the same parent, spiffe://example.org/host, and the server gets its SVID.' \
	'make entries'
answer no-path-selectors 'The agent is not configured to find the path of a program.' \
	'The agent logs unix:path and unix:sha256 among the selectors of the client, so it finds the path.' \
	'docker compose logs --tail 20 spire-agent'
answer user-gone 'The user of the client is missing in the user database of the agent.' \
	'The agent found the name of the user. It logged unix:user:client-workload among the selectors of the process.' \
	'docker compose logs --tail 20 spire-agent'
answer wrong-hash 'The entry requires the SHA-256 hash of an older release of the client.' \
	'No selector of the entry begins with unix:sha256.' \
	'make entries'

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector unix:path:/opt/spiffe-lab/bin/client
	restarted client
}

also user_only
right_user_only() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

also recreated
right_recreated() {
	cli entry delete -entryID client
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -x509SVIDTTL 3600 -selector unix:user:client-workload
}

wrong braces_only 'an entry for spiffe://example.org/client lacks a selector' 'The selector that named the user was removed. Now any user who starts the program gets the SVID of the client.' \
	'! entry_has "unix:user:(client-workload|root)$"'
wrong_braces_only() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:path:/opt/spiffe-lab/bin/client
	restarted client
}

wrong second_entry 'an entry for spiffe://example.org/client lacks a selector' 'The new entry names a whole group. Every process of that group gets the SVID of the client.' \
	'entry_has "unix:gid:1112"'
wrong_second_entry() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:gid:1112
	restarted client
}

wrong as_root 'client runs as root' 'The entry names root, so every process that runs as root on this host gets the SVID of the client.' \
	'entry_has "unix:user:root$"'
wrong_as_root() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:root
	client_as 0:0
}

wrong stand_in 'a second client process runs beside' 'A second client process, which runs as guest-workload, is served. The client of the lab still gets no SVID.'
wrong_stand_in() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
	docker exec --detach --user guest-workload "$(container_of client)" client -interval 5s
}

wrong new_lab 'the SPIRE server has lost its data' 'The new lab has the entries that bootstrap creates. But it also has a new CA, so every copy of the old trust bundle outside of this lab is out of date now.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'The agent logs the selectors of a process to which it issues no SVID: "docker compose logs --tail 5 spire-agent". Compare these selectors with the selectors of the entry for the client: "make entries".'
hint true 'A process gets the SVID only if it has every selector of the entry. Which selector of the entry is missing from the line "No identity issued" in the log of the agent?'
hint true 'The auditor added the selector unix:path:/usr/local/bin/client, but the program file is /opt/spiffe-lab/bin/client. Correct the path or remove that selector. Keep the selector unix:user:client-workload. The command "spire-server entry update" replaces the whole entry, so repeat the parent, the SPIFFE ID and every other selector.'

debrief() {
	cat <<'END'
  What it was: somebody had added the selector unix:path:/usr/local/bin/client to the client's entry. A process must
    have all selectors of an entry, and the program file of the client has a different path.
  How to see it: the agent's line "No identity issued" has every selector of the process. The process lacks one of the
    two selectors of the entry. `make doctor` compares the selectors of the entry with the selectors of the process.
  What a restart or docker compose up changes: nothing. The entry is in the SPIRE server's database. A restarted or
    recreated container does not change this entry. Bootstrap creates missing entries, and does not change existing
    entries. It only prints how the client's entry differs from the entry of a new lab.
  Seen in production: somebody got "no identity issued", although the entry looked right
    (https://github.com/spiffe/spire/issues/2351).
  Which scenarios show it: make scenario-wrong-selector, make scenario-stolen-user
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector unix:path:/usr/local/bin/client
	wait_until 30 "the agent has heard of it" nobody client-workload
	restarted client
}
