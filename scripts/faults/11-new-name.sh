# scripts/lab break new-name
# a new entry was made for the client, by the book, and the server still does not know it
level 1
category "entry: typing error"
doctor LAB064

ticket() {
	cat <<'END'
  From: the team of the client
  Our entry was made anew yesterday, by hand and with great care. The client has an identity, we see it
  in its log. The server turns it away all the same. The server's team shows us its configuration:
  it serves spiffe://example.org/client, as agreed.

  Please see that our client is served. Its name was agreed on, and stays; the server stays as it is.
END
}

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong restart 'the client is not served' 'nobody reads the name again for being started again'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong server_learns_it 'under another name than its own' 'the mistake is law now: the next one who reads what was agreed on is refused'
wrong_server_learns_it() {
	remake server <<-'END'
		services: {server: {command: ["server", "-health", "127.0.0.1:8080", "-client-id", "spiffe://example.org/cleint"]}}
	END
}

wrong anybody 'so is everybody else of the trust domain' 'AuthorizeAny: with it every name will do'
wrong_anybody() { any_client; }

wrong beside_it 'and yet the lab is not as it was before' 'the wrong entry is still there, so the client has two SVIDs; it shows the right one only because the entry ID 0-client sorts before client'
wrong_beside_it() {
	cli entry create -entryID 0-client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
	restarted client
}

hint '! client_served' 'Who refuses knows why: docker compose logs --tail 3 server. It names the ID that it met. Read it aloud.'
hint 'entry_has "spiffe://example.org/cleint"' 'The SPIFFE ID of an SVID is that of the entry, letter by letter, and is compared letter by letter. make entries'
hint true 'The entry says spiffe://example.org/cleint. Correct it with spire-server entry update -entryID client. Give it the parent and the selector again, because an update replaces the whole entry.'

debrief() {
	cat <<'END'
  What it was: the SPIFFE ID of the entry had a typing error, /cleint. To SPIRE every path is a name like
    another: there is nothing that it could be compared with.
  How to see it: the server names the ID that it refused. The path of a SPIFFE ID is case-sensitive; the scheme and the
    trust domain are not (SPIFFE-ID, section 2.4). go-spiffe accepts both in lower case only, so it compares
    IDs letter by letter.
  In life: whoever writes IDs by hand. What is a SPIFFE ID, and when two are the same:
    https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
  Which scenarios show it: make scenario-bad-id, and make scenario-two-identities for the rule by which a program
    gets its SPIFFE ID
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/cleint -selector unix:user:client-workload
	wait_until 30 "the agent has heard of it" has_identity client-workload spiffe://example.org/cleint
	restarted client
}
