# scripts/lab break night-shift
# since the night shift the client has no identity, although it has an entry that names its user
level 2
category "entry: wrong parent"
doctor LAB065

ticket() {
	cat <<'END'
  From: the team of the client
  The night shift prepares the move to a second host. We were promised that we would notice nothing. This
  morning our client has no identity. We have looked: there is an entry for spiffe://example.org/client,
  and it names our user. "Then all is right in SPIRE", says the night shift.

  Please see that the client is served here, as it was. The second host is not here yet: nothing that
  is meant for that host may be on this one.
END
}
states 'our client has no identity' 'nobody client-workload'
states 'there is an entry for spiffe://example.org/client' 'entry_has "spiffe://example.org/client$"'
states 'it names our user' 'entry_has "unix:user:client-workload$"'

cause wrong-parent 'The entry for the client has a parent that is not this host.'
answer agent-behind 'The agent has not received the changes of last night.' \
	'The agent asks the SPIRE server for changes several times a second. A new entry takes effect within a second or two.' \
	'docker compose logs --tail 20 spire-agent'
answer alias-deleted 'The entry that gives this host its alias was deleted.' \
	'The entry for the alias is listed. The entry for the server has this alias as its parent, and works.' \
	'make entries'
answer two-entries 'A second entry for the client is in conflict with the first.' \
	'There was only one entry for the client. Two matching entries would give the client two SVIDs, but the client got none.' \
	'docker compose exec spire-server /opt/spire/bin/spire-server entry show -spiffeID spiffe://example.org/client'
answer wrong-user 'The entry for the client names a user that runs no process here.' \
	'The agent logged unix:user:client-workload among the selectors of the process. The entry has the same selector.' \
	'docker compose logs --tail 20 spire-agent'

setup() { others; }
teardown() { others_go; }

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

also recreated
right_recreated() {
	cli entry delete -entryID client
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

also agent_as_parent
right_agent_as_parent() {
	cli entry update -entryID client -parentID spiffe://example.org/spire/agent/x509pop/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload
}

wrong alias 'a SPIFFE ID that had none before the fault: spiffe://example.org/host-2' 'This host has the alias of the second host now. The agent of this host receives every entry that other teams have created for the second host.'
wrong_alias() {
	cli entry create -node -spiffeID spiffe://example.org/host-2 -selector spiffe_id:spiffe://example.org/spire/agent/x509pop/host
}

wrong beside_it 'still differs from before the fault' 'The client gets its SVID from a new entry. But the old entry for the second host still exists. A process on the second host will get the SVID of the client, too.' \
	'entry_has "spiffe://example.org/client$" && client_served'
wrong_beside_it() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong broad "guest-workload gets the client's SVID too" 'The new entry has the right parent. But the old entry now matches guest-workload, which gets the SVID of the client.' \
	'entry_has "unix:uid:1113"'
wrong_broad() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/host -selector unix:uid:1113
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong stand_in 'a second client process runs beside' 'A second client process, which runs as guest-workload, is served. The client of the lab still gets no SVID.'
wrong_stand_in() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
	docker exec --detach --user guest-workload "$(container_of client)" client -interval 5s
}

wrong new_lab 'the SPIRE server has lost its data' 'The new lab has only the entries that bootstrap creates. The old CA and the entries of the other teams were deleted.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'The night shift says that the entry for the client is right. Compare this entry, line by line, with the entry for spiffe://example.org/server, which works. Run: make entries'
hint true 'An entry has three parts: a SPIFFE ID, selectors, and a parent. The parent is the host whose agent receives the entry. What is the parent of an entry that works?'
hint true 'The night shift gave the entry for spiffe://example.org/client the parent spiffe://example.org/host-2, a host that does not exist yet. The parent must be spiffe://example.org/host. The command "spire-server entry update -entryID client" replaces the whole entry, so repeat the SPIFFE ID and the selector.'

debrief() {
	cat <<'END'
  What it was: somebody gave the client's entry the parent spiffe://example.org/host-2. An agent gets the entries whose
    parent is its own SPIFFE ID or its alias, here spiffe://example.org/host. It also gets the descendants of these
    entries. For example, an entry with the parent spiffe://example.org/client is a descendant of the client's entry.
  How to see it: the agent logs "No identity issued", with every selector of the entry. So the selectors are right, and
    you should look at the parent. The SPIRE server accepts any SPIFFE ID of its trust domain as the parent, even a
    SPIFFE ID that no agent has.
  What a restart or docker compose up changes: nothing. No restart changes an entry. Bootstrap finds the entry named
    client and does not change it. It only prints how this entry differs from the entry of a new lab.
  Seen in production: somebody created an entry with a parent that no agent has
    (https://github.com/spiffe/spire/issues/852).
  Which scenarios show it: make scenario-wrong-parent, make scenario-two-hosts
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host-2 -spiffeID spiffe://example.org/client -selector unix:user:client-workload
	wait_until 30 "the agent has heard of it" nobody client-workload
	restarted client
}
