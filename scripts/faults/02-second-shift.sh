# scripts/lab break second-shift
# the client says it has an identity, and the server will not have it
level 1
category "entry: two for one user"
doctor LAB068

ticket() {
	cat <<'END'
  From: the operators of the server
  A team tried out a program for the night shift on the client's host yesterday evening. The try is
  over, and was a success, they say. This morning the client is turned away by our server.
  Our server is as it was: please leave it alone, it is right to be strict.

  Please see that the client is served again, and that the host is as it was before the try.
END
}

right() { cli entry delete -entryID 0-night-shift; }

wrong restart 'the client is not served' 'the agent gives the same SVIDs in the same order'
wrong_restart() { restarted spire-agent server client; }

wrong server_takes_it 'under another name than its own' 'the server was right: it serves one SPIFFE ID, and now that is the wrong one'
wrong_server_takes_it() {
	remake server <<-'END'
		services: {server: {command: ["server", "-health", "127.0.0.1:8080", "-client-id", "spiffe://example.org/night-shift"]}}
	END
}

wrong other_user 'so is everybody else' 'the client gets its SVID, and so does the guest, for whom an entry of the client was made'
wrong_other_user() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
	cli entry delete -entryID 0-night-shift
}

wrong rename 'more can be spiffe://example.org/client than before' 'the entry of the try has become a second, wider entry for the client'
wrong_rename() {
	cli entry update -entryID 0-night-shift -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:gid:1112
}

hint '! client_served' 'The server says whom it turned away: docker compose logs --tail 3 server. Is that who the client should be?'
hint 'entry_has "^Entry ID +: 0-night-shift"' 'Look at what the agent gives to the client'"'"'s user: make svid. A program that does not choose takes the first SVID.'
hint true 'Two registration entries have the selector unix:user:client-workload, so the user has two SVIDs, and the first is spiffe://example.org/night-shift. That entry is left from the try: delete it.'

debrief() {
	cat <<'END'
  What it was: a second registration entry for unix:user:client-workload. A workload that matches two entries
    gets two SVIDs. The agent sorts them by entry ID, and 0-night-shift sorts before client. go-spiffe's X509Source
    takes the first one, unless the program chooses another (WithDefaultX509SVIDPicker).
  How to see it: the server names the ID that it refused, `make svid` shows both.
  In life: a second key for the same service, and programs showed the wrong identity
    (https://github.com/SAP/cloud-sdk-java/issues/1243). Entries have a hint, by which a program can choose.
  Which scenario shows it: make scenario-two-identities
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	cli entry create -entryID 0-night-shift -parentID spiffe://example.org/host -spiffeID spiffe://example.org/night-shift -selector unix:user:client-workload
	wait_until 30 "the second SVID arrives" has_identity client-workload spiffe://example.org/night-shift
	restarted client
}
