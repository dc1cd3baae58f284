# scripts/lab break all-is-green
# everything is green, and an apprentice says that he was the client for a while
level 3
category "success: broad entry"
doctor LAB111

ticket() {
	cat <<'END'
  From: the security officer
  An apprentice logged in on the client's host as guest-workload, and says that he "asked for an identity,
  for fun, and got the client's". Nobody believes him: every light is green, the client is served, and
  the server turns away whoever is not the client, he himself tried it as server-workload.

  Please find out whether he is right, and see that it cannot happen again. The client must not
  notice: it is served, and has to go on being served.
END
}

right() { cli entry delete -entryID staging; }

wrong restart 'guest-workload gets the client' 'the entry is where it was'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong both_entries 'the client that runs is served still' 'the right entry is gone too: the client that runs keeps its SVID until it expires, and one that starts gets none'
wrong_both_entries() {
	cli entry delete -entryID staging
	cli entry delete -entryID client
}

wrong narrower 'root gets the client' 'the guest gets nothing now, but every process of root gets the identity of the client'
wrong_narrower() {
	cli entry update -entryID staging -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:root
}

wrong guest_is_gone 'users are not those that it had' 'the user is still there, and whoever brings the list in order again has the fault back: the entry is what is wrong'
wrong_guest_is_gone() {
	edited spire/host/passwd '^guest-workload:.*' '' | other_image spire-agent /etc/passwd
}

hint 'guest_is_client' 'Do what the apprentice did. make svid asks for each user of the host: who gets what, and who should get nothing?'
hint 'entry_has "^Entry ID +: staging"' 'An identity comes from an entry. Which entries name spiffe://example.org/client, and what does each of them ask for? docker compose exec spire-server /opt/spire/bin/spire-server entry show -spiffeID spiffe://example.org/client'
hint true 'There are two entries for the client. The one called staging has the selector unix:user:guest-workload. Delete it; the other one is the client'"'"'s own.'

debrief() {
	cat <<'END'
  What it was: a second entry for spiffe://example.org/client, with the selector unix:user:guest-workload, left
    over from a trial. The client was served by its own entry all the while; no light shows an entry too many.
  How to see it: ask for what should be refused. `make svid` asks as every user; the guest got an SVID.
  In life: an identity is only as narrow as the widest entry that gives it. How entries and selectors work
    together: https://spiffe.io/docs/latest/deploying/registering/
  Which scenarios show it: make scenario-unregistered, make scenario-stolen-user
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	cli entry create -entryID staging -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
}
guest_is_client() { has_identity guest-workload spiffe://example.org/client; }
shows() { guest_is_client && client_served; }
