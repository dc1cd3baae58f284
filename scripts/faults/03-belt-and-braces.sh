# scripts/lab break belt-and-braces
# after an audit made everything safer, the client gets nothing done
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

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector unix:path:/opt/spiffe-lab/bin/client
	restarted client
}

wrong restart 'the client is not served' 'the entry still asks for what no process of this host has'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong braces_only 'more can be spiffe://example.org/client than before' 'of the two selectors the one that named the user has gone: any user who starts the program is the client'
wrong_braces_only() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:path:/opt/spiffe-lab/bin/client
	restarted client
}

wrong second_entry 'more can be spiffe://example.org/client than before' 'beside the entry that fits nobody there is one that fits a whole group'
wrong_second_entry() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:gid:1112
	restarted client
}

wrong as_root 'client runs as root' 'the entry names root now, so every process of root gets the identity of the client'
wrong_as_root() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:root
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

hint '! client_served' 'The client gets no identity. What has the agent seen of it, and what does its entry want? docker compose logs --tail 3 spire-agent, and make entries'
hint 'entry_has "unix:path:/usr/local/bin/client"' 'Every selector of an entry must hold. Take them one by one, and look for each in the line of the agent that says "No identity issued".'
hint true 'The entry also asks for unix:path:/usr/local/bin/client, and the program is /opt/spiffe-lab/bin/client. Correct the path, or take that selector away; the user must stay. spire-server entry update replaces the whole entry: give it the parent, the SPIFFE ID and every selector that stays.'

debrief() {
	cat <<'END'
  What it was: the entry had got a second selector, unix:path:/usr/local/bin/client. The selectors of an entry
    must all hold, and the program is somewhere else.
  How to see it: the agent's line "No identity issued" has every selector of the process; of the entry's two one
    is not among them. make doctor compares them one by one.
  In life: "no identity issued", with an entry that looks right (https://github.com/spiffe/spire/issues/2351).
  Which scenarios show it: make scenario-wrong-selector, make scenario-stolen-user
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector unix:path:/usr/local/bin/client
	wait_until 30 "the agent has heard of it" nobody client-workload
	restarted client
}
