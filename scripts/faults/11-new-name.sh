# scripts/lab break new-name
# the client has a new entry, made with great care, and the server still refuses the client
level 1
category "entry: typing error"
doctor LAB064

ticket() {
	cat <<'END'
  From: the team of the client
  Our entry was created again yesterday, by hand and with great care. The client has an identity, we see it
  in its log. The server refuses it all the same. The server's team shows us its configuration:
  it serves spiffe://example.org/client, as agreed.

  Please see that our client is served. Its name was agreed on, and stays; the server stays as it is.
END
}
states 'The client has an identity, we see it in its log' 'log_of client | tail -n 30 | grep -E " identity spiffe://example.org/"'
states 'The server refuses it all the same' 'log_of client | tail -n 5 | grep -E "bad certificate"'
states 'it serves spiffe://example.org/client, as agreed' 'log_of server | grep -E "for spiffe://example.org/client only"'

cause typing-error 'The SPIFFE ID in the entry for the client has a typing error.'
answer case-differs 'The SPIFFE ID in the entry has a letter in upper case.' \
	'The server logged the SPIFFE ID that it refused, as "unexpected ID". All letters of this SPIFFE ID are in lower case.' \
	'docker compose logs --tail 30 server'
answer server-changed 'The server authorizes a SPIFFE ID that was not agreed on.' \
	'The server logged at its start that it serves spiffe://example.org/client only.' \
	'docker compose logs server'
answer two-entries 'The old entry for the client still exists beside the new entry.' \
	'Two entries would give the client two SVIDs. The client got one SVID, and only one entry names the user client-workload.' \
	'make entries'
answer wrong-trust-domain 'The SPIFFE ID in the entry belongs to a different trust domain.' \
	'The SPIFFE ID that the server refused begins with spiffe://example.org/, like the SPIFFE ID of the server.' \
	'docker compose logs --tail 30 server'

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

also recreated
right_recreated() {
	cli entry delete -entryID client
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

also written_out
right_written_out() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload \
		-x509SVIDTTL 3600
}

wrong server_learns_it 'with the wrong SPIFFE ID' 'The server now authorizes the SPIFFE ID with the typing error. It refuses a client with the SPIFFE ID that was agreed on.' \
	'log_of server | grep -E "for spiffe://example.org/cleint only"'
wrong_server_learns_it() {
	remake server <<-'END'
		services: {server: {command: ["server", "-health", "127.0.0.1:8080", "-client-id", "spiffe://example.org/cleint"]}}
	END
}

wrong second_server 'a second server process runs beside' 'A second server process authorizes the SPIFFE ID with the typing error. The server of the lab still refuses this SPIFFE ID.'
wrong_second_server() {
	docker exec --detach --user server-workload "$(container_of server)" server -listen :8444 -client-id spiffe://example.org/cleint
	client_asks https://server:8444/
}

wrong anybody 'serves every other workload of the trust domain' 'With AuthorizeAny the server authorizes every SPIFFE ID, so it serves every workload of the trust domain.'
wrong_anybody() { any_client; }

wrong beside_it 'still differs from before the fault' 'The wrong entry still exists, so the client has two SVIDs. The client presents the right SVID only because the entry ID 0-client sorts before the entry ID client.' \
	'entry_has "spiffe://example.org/client$" && entry_has "spiffe://example.org/cleint$"'
wrong_beside_it() {
	cli entry create -entryID 0-client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
	wait_until 30 "the client has its own name" has_identity client-workload spiffe://example.org/client
	restarted client
}

wrong new_lab 'the SPIRE server has lost its data' 'The new lab has the entries that bootstrap creates. But it also has a new CA, so every copy of the old trust bundle outside of this lab is out of date now.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'The server logs which SPIFFE ID it refuses: "docker compose logs --tail 5 server". Read that SPIFFE ID aloud, character by character.'
hint true 'An SVID has the SPIFFE ID of its entry. The server compares the SPIFFE ID in the SVID, character by character, with the SPIFFE ID that the server expects. Look at the SPIFFE ID of each entry: make entries'
hint true 'The fault: the SPIFFE ID in the entry named client had a typing error: spiffe://example.org/cleint. Correct the SPIFFE ID with "spire-server entry update -entryID client". This command replaces the whole entry, so repeat the parent and the selector.'

debrief() {
	cat <<'END'
  What it was: the SPIFFE ID of the client's entry ended in /cleint, which is a typing error. SPIRE accepts every SPIFFE
    ID whose path is valid. SPIRE has no list of expected paths.
  How to see it: the server logs the SPIFFE ID that it refused. The path of a SPIFFE ID is case-sensitive; the scheme
    and the trust domain are not (SPIFFE-ID, section 2.4). go-spiffe accepts the scheme and the trust domain in lower
    case only, so it compares SPIFFE IDs character by character.
  What a restart or docker compose up changes: nothing. A restarted client gets the same SPIFFE ID again. Bootstrap
    finds the entry named client and does not change it. It only prints how this entry differs from the entry of a new
    lab.
  Seen in production: somebody writes a SPIFFE ID by hand. The standard says what a SPIFFE ID is, and when two SPIFFE
    IDs are the same: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
  Which scenarios show it: make scenario-bad-id, and make scenario-two-identities, which shows which SVID a program
    presents
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/cleint -selector unix:user:client-workload
	wait_until 30 "the agent has heard of it" has_identity client-workload spiffe://example.org/cleint
	restarted client
}
