# scripts/lab break clean-up
# since the clean-up of last night nobody is served any more
level 1
category "entry: deleted"
doctor LAB063

ticket() {
	cat <<'END'
  From: the team of the client
  Since last night our client gets nothing done: not one request is answered. We have changed
  nothing. Somebody tidied up in SPIRE last night, "only what was old".

  Please see that the client is served again, as it was: this client, and nobody else.
  Other teams use this SPIRE server. What it knows must not be lost.
END
}

setup() { others; }
teardown() { others_go; }

right() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong restart 'the client is not served' 'a restart asks the same question again, and gets the same answer'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong broad 'so is everybody else' 'every process of client-workload gets the identity of the client, and so does every process of guest-workload'
wrong_broad() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:uid:1112
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:uid:1113
}

wrong any_user 'so is everybody else' 'an entry for the program file is an entry for every user who can start it'
wrong_any_user() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/host
	right
}

wrong as_root 'client runs as root' 'the client is served, but it runs as root, and every process of root can get its identity'
wrong_as_root() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:uid:0
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

wrong new_lab 'what the SPIRE server knew is lost' 'a new lab works, and the entries of the other teams are gone with its CA'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint '! client_served' 'Ask the client itself what it waits for: docker compose logs --tail 3 client. Then see what the agent says about it: docker compose logs --tail 3 spire-agent'
hint '! entry_has "spiffe://example.org/client$"' 'The agent says "No identity issued", and names the selectors that it saw. An entry has to ask for some of these, and name spiffe://example.org/client. Compare: make entries'
hint true 'There is no registration entry for spiffe://example.org/client any more: it was deleted. spire-server entry create makes it again, with the parent spiffe://example.org/host and the selector unix:user:client-workload: nothing less.'

debrief() {
	cat <<'END'
  What it was: the registration entry of the client had been deleted. The running client kept its SVID
    for as long as it lived; it was only after a restart that it got none.
  How to see it: the client says "no identity issued", the agent's log names the selectors of the process
    that got none, and `spire-server entry show -spiffeID spiffe://example.org/client` finds nothing.
  In life: "no identity issued" is a common error message, and it does not say why
    (https://github.com/spiffe/spire/issues/1108).
  Which scenarios show it: make scenario-unregistered, make scenario-revocation
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	cli entry delete -entryID client
	wait_until 30 "the agent has heard of it" nobody client-workload
	restarted client
}
