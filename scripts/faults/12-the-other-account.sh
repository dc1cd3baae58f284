# scripts/lab break the-other-account
# the client has no identity, and a user who should have none was surprised to get one
level 1
category "entry: wrong user"
doctor LAB067

ticket() {
	cat <<'END'
  From: the team of the client, and a guest of the host
  The client gets no identity since somebody reviewed the accounts of the host. And the user guest-workload,
  who only wanted to look whether the Workload API answers, got an SVID, and is frightened.

  Please see that the client is served again, and that the guest gets nothing.
END
}
states 'The client gets no identity' 'nobody client-workload'
states 'got an SVID' '! nobody guest-workload'

cause wrong-user 'The entry for the client has the selector of a different user.'
answer accounts-swapped 'The client and the guest have exchanged their user numbers.' \
	'The agent logged unix:uid:1112 and unix:user:client-workload for the client. In the image of the programs, client-workload has the same number, 1112.' \
	'docker compose logs --tail 30 spire-agent'
answer client-as-guest 'The client has run as the user of the guest since the review.' \
	'The client runs as client-workload. The agent logged that user among the selectors of the process that it refused.' \
	'docker compose logs --tail 30 spire-agent'
answer entry-deleted 'The entry for the client was deleted during the review.' \
	'The guest got the SVID spiffe://example.org/client. The agent issues that SVID only if there is an entry with that SPIFFE ID.' \
	'docker compose exec spire-server /opt/spire/bin/spire-server entry show -spiffeID spiffe://example.org/client'
answer entry-for-guest 'The review added an entry for the guest, beside the entry for the client.' \
	'Only one entry had the SPIFFE ID of the client. With two such entries, client-workload and guest-workload would both have got the SVID.' \
	'make entries'

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

also recreated
right_recreated() {
	cli entry delete -entryID client
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

also both_names
right_both_names() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
		-selector unix:user:client-workload -selector unix:uid:1112
}

wrong one_more "guest-workload gets the client's SVID too" 'The new entry gives the client its SVID. The old entry still exists, and the guest still gets the SVID of the client.' \
	'entry_has "unix:user:client-workload$" && entry_has "unix:user:guest-workload$"'
wrong_one_more() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong client_as_guest 'client runs as guest-workload' 'The client runs as guest-workload, the user that the entry names. Now everybody who may log in as guest-workload can get the SVID of the client.'
wrong_client_as_guest() { client_as guest-workload; }

wrong stand_in 'a second client process runs beside' 'A second client process, which runs as guest-workload, is served. The client of the lab still gets no SVID.'
wrong_stand_in() { docker exec --detach --user guest-workload "$(container_of client)" client -interval 5s; }

wrong by_program 'an entry for spiffe://example.org/client lacks a selector' 'The entry names a program file in place of a user. Every user who starts that file gets the SVID of the client.' \
	'entry_has "unix:path:"'
wrong_by_program() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/client
}

wrong deleted 'a registration entry from before the fault is missing' 'The guest gets no SVID, and the client gets none either. Only the selector of the entry was wrong.' \
	'! entry_has "spiffe://example.org/client$"'
wrong_deleted() { cli entry delete -entryID client; }

wrong new_lab 'the SPIRE server has lost its data' 'The new lab has the entries that bootstrap creates. But it also has a new CA, so every copy of the old trust bundle outside of this lab is out of date now.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'The command "make svid" asks for an SVID as each user of the host. Which user should get which SPIFFE ID, and which user should get none?'
hint true 'The selectors of an entry decide which processes get its SVID. In each entry, which user does the selector name? To list the entries, run: make entries'
hint true 'The fault: somebody gave the entry named client the selector unix:user:guest-workload. Correct the selector to unix:user:client-workload with "spire-server entry update -entryID client". This command replaces the whole entry, so repeat the parent and the SPIFFE ID.'

debrief() {
	cat <<'END'
  What it was: somebody gave the client's entry the selector unix:user:guest-workload. The wrong selector has two
    effects. The right user gets no SVID, and a wrong user gets the client's SVID. Usually nobody complains about the
    second effect.
  How to see it: `make svid` asks for an SVID as every user. If it prints "no identity" for a user, check whether a
    wrong user gets the SVID that this user should get.
  What a restart or docker compose up changes: nothing. No restart changes an entry. Bootstrap finds the entry named
    client and does not change it. It only prints how this entry differs from the entry of a new lab.
  Seen in production: somebody got "no identity issued" in the middle of a tutorial
    (https://github.com/spiffe/spire-tutorials/issues/75).
  Which scenarios show it: make scenario-wrong-selector, make scenario-unregistered
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
	wait_until 30 "the agent has heard of it" nobody client-workload
	restarted client
}
