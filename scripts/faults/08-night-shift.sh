# scripts/lab break night-shift
# the night shift put something in order, and the client has no identity; its entry is there, and is said to be correct
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
  is meant for it may be on this one.
END
}

setup() { others; }
teardown() { others_go; }

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong restart 'the client is not served' 'the entry is still for somebody else'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong alias 'there is an entry for an identity that there was not: spiffe://example.org/host-2' 'now this host is the second one as well: whatever the other teams have there is handed out here too'
wrong_alias() {
	cli entry create -node -spiffeID spiffe://example.org/host-2 -selector spiffe_id:spiffe://example.org/spire/agent/x509pop/host
}

wrong beside_it 'and yet the lab is not as it was before' 'the client is served, and whoever sets up the second host has a second client'
wrong_beside_it() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong broad 'so is everybody else' 'the parent is right, and the entry that was there names the guest now'
wrong_broad() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/host -selector unix:uid:1113
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

hint 'nobody client-workload' 'Who says that the entry is right? Compare it, line by line, with the entry of the server, which works: make entries'
hint 'entry_has "^Parent ID .*host-2"' 'An entry says three things: who, by which selectors, and on which host. Ask which host this is: the parent of an entry that works.'
hint true 'The client'"'"'s entry has the parent spiffe://example.org/host-2, so it is meant for the agent of another host, which does not exist yet. Set the parent spiffe://example.org/host with spire-server entry update -entryID client. Give it the SPIFFE ID and the selector again, because an update replaces the whole entry.'

debrief() {
	cat <<'END'
  What it was: the client's entry had the parent spiffe://example.org/host-2. An agent gets the entries below
    its own ID or below an alias of it: the children, and the children of those. Here the alias is
    spiffe://example.org/host. An entry with the parent spiffe://example.org/client would be delivered to this host too.
  How to see it: the agent's log says "No identity issued", and its line has every selector of the entry. Then look at
    the parent. The SPIRE server accepts any parent of its trust domain, also one that no agent has.
  In life: an entry under a parent that no agent has (https://github.com/spiffe/spire/issues/852).
  Which scenarios show it: make scenario-wrong-parent, make scenario-two-hosts
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host-2 -spiffeID spiffe://example.org/client -selector unix:user:client-workload
	wait_until 30 "the agent has heard of it" nobody client-workload
	restarted client
}
