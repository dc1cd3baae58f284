# scripts/lab break all-is-green
# everything is green, and an apprentice says that he got the identity of the client
level 3
category "success: broad entry"
doctor LAB111

ticket() {
	cat <<'END'
  From: the security officer
  An apprentice logged in on the client's host as guest-workload, and says that he "asked for an identity,
  for fun, and got the client's". Nobody believes him: every light is green, the client is served, and
  the server refuses everybody who is not the client. He tried that himself, as server-workload.

  Please find out whether he is right, and see that it cannot happen again. The client must not
  notice: it is served, and has to go on being served.
END
}
states 'the client is served' 'client_served'
states 'the server refuses everybody who is not the client' '! inside client server-workload client -wait 5s'
states "got the client's" 'guest_is_client'

cause second-entry 'A second entry gives the SPIFFE ID of the client to the guest.'
answer entry-wide 'The entry for the client has a selector that matches other users too.' \
	'The entry named client has the selector unix:user:client-workload, which no process of the guest has.' \
	'make entries'
answer key-copied 'The guest has a copy of the private key of the client.' \
	'The guest did not need a copy of the key, because the agent issued an SVID of the client to guest-workload during the fault.' \
	'make svid'
answer same-uid 'The user database gives the client and the guest the same number.' \
	'The client has the uid 1112, and the guest has the uid 1113. The command below runs as the guest, gets no SVID, and prints the uid of the guest.' \
	'docker compose exec --user guest-workload client client -wait 5s'
answer server-open 'The server authorizes every workload of the trust domain.' \
	'The server logged at its start that it serves spiffe://example.org/client only. It refuses spiffe://example.org/server.' \
	'docker compose logs server'

right() { cli entry delete -entryID staging; }

also one_remains
right_one_remains() {
	cli entry update -entryID staging -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
	cli entry delete -entryID client
}

also recreated
right_recreated() {
	cli entry delete -entryID staging
	cli entry delete -entryID client
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong both_entries 'the running client is served, but a client that starts now is not' 'The right entry was deleted too. The running client keeps its SVID until the SVID expires, and a client that starts now gets none.' \
	'! entry_has "spiffe://example.org/client$"'
wrong_both_entries() {
	cli entry delete -entryID staging
	cli entry delete -entryID client
}

wrong narrower "root gets the client's SVID too" 'The second entry names root now, not the guest. So every process that runs as root gets the SVID of the client.' \
	'entry_has "unix:user:root"'
wrong_narrower() {
	cli entry update -entryID staging -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:root
}

wrong by_program "guest-workload gets the client's SVID too" 'The entry for the guest now names a program file. The guest can start that file too, and still gets the SVID of the client.' \
	'entry_has "unix:path:"'
wrong_by_program() {
	cli entry update -entryID staging -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/host
}

wrong guest_is_gone "the host's user database" 'The guest was removed from the user database, but the entry that names the guest still exists. If somebody restores the user, the guest gets the SVID again.'
wrong_guest_is_gone() {
	edited spire/host/passwd '^guest-workload:.*' '' | other_image spire-agent /etc/passwd
}

wrong client_as_guest 'client runs as guest-workload' 'The client runs as guest-workload now. It is served, but everybody who may log in as guest-workload can get the SVID of the client.'
wrong_client_as_guest() {
	cli entry delete -entryID client
	client_as guest-workload
}

wrong new_lab 'the SPIRE server has lost its data' 'The new lab has only the entries that bootstrap creates. But it also has a new CA, so every copy of the old trust bundle outside of this lab is out of date now.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'Try what the apprentice did. The command "make svid" asks for an SVID as each user of the host. Which users should get none?'
hint true 'The agent issues an SVID only if an entry matches the process. Which entries name spiffe://example.org/client? Run: docker compose exec spire-server /opt/spire/bin/spire-server entry show -spiffeID spiffe://example.org/client'
hint true 'The fault: a test left a second entry for spiffe://example.org/client, with the selector unix:user:guest-workload. This second entry is named staging. Delete the entry named staging, and keep the entry named client.'

debrief() {
	cat <<'END'
  What it was: a test left a second entry for spiffe://example.org/client, with the selector unix:user:guest-workload.
    The client got its SVID from its own entry and was served, so every check of the client was green.
  How to see it: test the users that must not get an SVID. `make svid` asks for an SVID as every user, and
    guest-workload got one.
  What a restart or docker compose up changes: nothing. Bootstrap creates missing entries, and does not delete
    additional entries. A restarted agent gets all entries again.
  Seen in production: the widest entry for a SPIFFE ID decides which processes can get this SPIFFE ID. This page
    explains how entries and selectors work together: https://spiffe.io/docs/latest/deploying/registering/
  Which scenarios show it: make scenario-unregistered, make scenario-stolen-user
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	cli entry create -entryID staging -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
}
guest_is_client() { has_identity guest-workload spiffe://example.org/client; }
shows() { guest_is_client && client_served; }
