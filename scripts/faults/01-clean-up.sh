# scripts/lab break clean-up
# since last night's clean-up in SPIRE the client is not served any more
level 1
category "entry: deleted"
doctor LAB063

ticket() {
	cat <<'END'
  From: the team of the client
  Since last night our client gets nothing done: not one request is answered. We have changed
  nothing. Somebody tidied up in SPIRE last night, "only what was old".

  Please see that the client is served again, as it was: this client, and nobody else.
  Other teams use this SPIRE server, and what it knows must not be lost.
END
}
states 'not one request is answered' '! client_served'
states 'Other teams use this SPIRE server' 'entry_has "spiffe://example.org/billing$"'

cause entry-deleted 'Somebody deleted the registration entry for the client.'
answer agent-stopped 'Somebody stopped the agent on the host of the client.' \
	'The agent answered the client. The log of the agent has the line "No identity issued" with the selectors of the client.' \
	'docker compose logs --tail 20 spire-agent'
answer entry-changed 'Somebody changed the selector in the entry for the client.' \
	'The command below finds an entry by its SPIFFE ID, even if the selector was changed. During the fault the command found no entry.' \
	'docker compose exec spire-server /opt/spire/bin/spire-server entry show -spiffeID spiffe://example.org/client'
answer server-refuses 'The server no longer authorizes the SPIFFE ID of the client.' \
	'The server logs "unexpected ID" with each SPIFFE ID that it refuses. The log of the server has no line "unexpected ID" about the client. A client without an SVID does not connect to the server.' \
	'docker compose logs --tail 20 server'
answer svid-expired 'The SVID of the client expired and was not renewed.' \
	'The client had no SVID that could expire. It waited for its first SVID, and its log says "no identity issued".' \
	'docker compose logs --tail 20 client'

reflex "up recreate restart down-up bootstrap lab-up" 'each of these commands runs bootstrap, which creates the missing entries of the lab'

setup() { others; }
teardown() { others_go; }

right() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

also bootstrap
right_bootstrap() { provision; }

also written_out
right_written_out() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -x509SVIDTTL 3600 \
		-selector unix:user:client-workload -selector unix:uid:1112
}

wrong broad "guest-workload gets the client's SVID too" 'The entry with unix:uid:1113 gives the SPIFFE ID of the client to guest-workload too. Only client-workload may have this SPIFFE ID.' \
	'entry_has "unix:uid:1113"'
wrong_broad() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:uid:1112
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:uid:1113
}

wrong any_user "guest-workload gets the client's SVID too" 'The new entry names a program file, but no user. Every user who can start that file gets the SVID of the client.' \
	'entry_has "unix:path:"'
wrong_any_user() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:path:/opt/spiffe-lab/bin/host
	right
}

wrong as_root 'client runs as root' 'The client is served, but it runs as root. Now every process that runs as root on this host can get the SVID of the client.'
wrong_as_root() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:uid:0
	client_as 0:0
}

wrong stand_in 'a second client process runs beside' 'A second client process, which runs as guest-workload, is served. The client of the lab still gets no SVID.'
wrong_stand_in() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
	docker exec --detach --user guest-workload "$(container_of client)" client -interval 5s
}

wrong new_lab 'the SPIRE server has lost its data' 'The new lab works. But the volumes with the old CA and the entries of the other teams were deleted.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'The client logs what it is waiting for: "docker compose logs --tail 3 client". The agent logs the requests that it refuses: "docker compose logs --tail 5 spire-agent".'
hint true 'The agent issues an SVID only if an entry matches the selectors of the process. Which entry names the SPIFFE ID spiffe://example.org/client? To list the entries, run: make entries'
hint true 'Somebody deleted the registration entry for spiffe://example.org/client. Create it again with the command "spire-server entry create". The entry needs the parent spiffe://example.org/host and the selector unix:user:client-workload.'

debrief() {
	cat <<'END'
  What it was: the registration entry for spiffe://example.org/client had been deleted. A running client keeps its SVID
    until the SVID expires. This client was restarted, and got no SVID.
  How to see it: the client logs "no identity issued", and the agent logs the selectors of the process that it
    refused. `spire-server entry show -spiffeID spiffe://example.org/client` lists no entry.
  What a restart or docker compose up changes: both run bootstrap again. Bootstrap creates the missing entries of the
    lab, so each of these commands helps. These commands help only because the deleted entry is an entry of the lab.
    Bootstrap does not know the entries of other teams, and does not create them.
  Seen in production: "no identity issued" is a common error message that does not name the cause
    (https://github.com/spiffe/spire/issues/1108).
  Which scenarios show it: make scenario-unregistered, make scenario-revocation
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	cli entry delete -entryID client
	wait_until 30 "the agent has heard of it" nobody client-workload
	restarted client
}
