# scripts/lab break second-shift
# the client has an identity, but the server refuses the client
level 1
category "entry: two for one user"
doctor LAB068

ticket() {
	cat <<'END'
  From: the operators of the server
  A team tested a program for the night shift on the client's host yesterday evening. They say that
  the test is over, and was a success. Since this morning our server refuses the client.
  Our server is as it was: please leave it alone, it is right to be strict.

  Please see that the client is served again, and that the host is as it was before the test.
END
}
states 'our server refuses the client' 'log_of server | grep -E "unexpected ID .spiffe://example.org/night-shift"'
states 'Our server is as it was' 'log_of server | grep -E "for spiffe://example.org/client only"'

cause second-entry 'A second registration entry matches the process of the client.'
answer entry-renamed 'The SPIFFE ID in the registration entry for the client was changed.' \
	'The entry named client has the SPIFFE ID spiffe://example.org/client and the selector unix:user:client-workload.' \
	'make entries'
answer server-changed 'The test has changed which client the server authorizes.' \
	'At its start the server logged which client it serves: spiffe://example.org/client only.' \
	'docker compose logs server'
answer unknown-ca 'The SVID of the client was signed by a CA that the server does not trust.' \
	'The server logged "unexpected ID". It checks the SPIFFE ID of a client only after it has verified the signature of the SVID.' \
	'docker compose logs --tail 20 server'
answer wrong-user 'The client has run as the user of the night shift since the test.' \
	'The container of the client is configured with the user client-workload.' \
	'docker compose config client'

right() { cli entry delete -entryID 0-night-shift; }

also recreated
right_recreated() {
	cli entry delete -entryID 0-night-shift
	cli entry delete -entryID client
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

also one_remains
right_one_remains() {
	cli entry delete -entryID client
	cli entry update -entryID 0-night-shift -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong server_takes_it 'with the wrong SPIFFE ID' 'The server was right to refuse the client. Now it authorizes the wrong SPIFFE ID.'
wrong_server_takes_it() {
	remake server <<-'END'
		services: {server: {command: ["server", "-health", "127.0.0.1:8080", "-client-id", "spiffe://example.org/night-shift"]}}
	END
}

wrong second_server 'a second server process runs beside' 'A second server process serves the client, because this process accepts spiffe://example.org/night-shift. The server of the lab still refuses the client.'
wrong_second_server() {
	docker exec --detach --user server-workload "$(container_of server)" server -listen :8444 -client-id spiffe://example.org/night-shift
	client_asks https://server:8444/
}

wrong other_user "guest-workload gets the client's SVID too" 'The client gets its own SVID again. But the new entry gives the SPIFFE ID of the client to guest-workload too.' \
	'entry_has "unix:user:guest-workload"'
wrong_other_user() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
	cli entry delete -entryID 0-night-shift
}

wrong rename 'an entry for spiffe://example.org/client lacks a selector' 'The entry 0-night-shift is now a second entry for the client. Every process with the group ID 1112 matches this entry.' \
	'entry_has "unix:gid:1112"'
wrong_rename() {
	cli entry update -entryID 0-night-shift -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:gid:1112
}

wrong both_deleted 'client-workload gets no SVID for spiffe://example.org/client' 'Both entries were deleted, but only the entry 0-night-shift was wrong. The client needs the entry named client.' \
	'! entry_has "spiffe://example.org/client$"'
wrong_both_deleted() {
	cli entry delete -entryID 0-night-shift
	cli entry delete -entryID client
}

wrong new_lab 'the SPIRE server has lost its data' 'The new lab does not have the entry 0-night-shift. But it has a new CA, so every copy of the old trust bundle outside of this lab is out of date now.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'The server logs the SPIFFE ID that it refuses: "docker compose logs --tail 3 server". Should the client have this SPIFFE ID?'
hint true 'The agent issues one SVID for each entry that matches a process. A program that gets several SVIDs, and does not choose between them, takes the first one. To see what each user of the host gets, run: make svid'
hint true 'The fault: the test left a second entry with the selector unix:user:client-workload. This entry is named 0-night-shift. Because of this entry, client-workload got two SVIDs, and the first SVID had the SPIFFE ID spiffe://example.org/night-shift. Delete the entry 0-night-shift.'

debrief() {
	cat <<'END'
  What it was: a test left a second registration entry with the selector unix:user:client-workload. A process that
    matches two entries gets two SVIDs. The agent sorts the SVIDs by entry ID, and the entry ID 0-night-shift sorts
    before the entry ID client. go-spiffe's X509Source takes the first SVID, unless the program chooses one
    (WithDefaultX509SVIDPicker).
  How to see it: the server logs the SPIFFE ID that it refused, and `make svid` shows both SVIDs.
  What a restart or docker compose up changes: nothing. A restarted agent issues the same two SVIDs in the same order.
    `docker compose up` runs bootstrap, which creates missing entries and does not delete any. `docker compose down`
    keeps the volume with the entries.
  Seen in production: when somebody created a second key for a service, a second registration entry was created, too. So
    a program could present the wrong identity (https://github.com/SAP/cloud-sdk-java/issues/1243). An entry has a field
    named hint, by which a program can choose an SVID.
  Which scenario shows it: make scenario-two-identities
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	cli entry create -entryID 0-night-shift -parentID spiffe://example.org/host -spiffeID spiffe://example.org/night-shift -selector unix:user:client-workload
	wait_until 30 "the second SVID arrives" has_identity client-workload spiffe://example.org/night-shift
	restarted client
}
