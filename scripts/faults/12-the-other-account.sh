# scripts/lab break the-other-account
# the client has no identity, and somebody who should have none was surprised to get one
level 1
category "entry: wrong user"
doctor LAB067

ticket() {
	cat <<'END'
  From: the team of the client, and a guest of the host
  The client gets no identity since the accounts of the host were "gone through". And the user guest-workload,
  who only wanted to look whether the Workload API answers, got an SVID, and is frightened.

  Please see that the client is served again, and that the guest gets nothing.
END
}

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong restart 'the client is not served' 'the entry is asked again, and says the same'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong one_more 'so is everybody else: guest-workload' 'one entry more mends the half that was seen: the guest is the client still'
wrong_one_more() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
}

wrong client_as_guest 'client runs as guest-workload' 'the client has moved to the account of the entry: now it shares its name with every guest'
wrong_client_as_guest() {
	remake client <<-'END'
		services: {client: {user: guest-workload}}
	END
}

wrong deleted 'the client is not served' 'the guest is out, and so is the client'
wrong_deleted() { cli entry delete -entryID client; }

hint 'nobody client-workload' 'Ask as each user of the host: make svid. Who gets what, and who should?'
hint '! nobody guest-workload' 'Which user does the selector of the entry client name? make entries'
hint true 'The selector of the entry client is unix:user:guest-workload. Correct it to unix:user:client-workload with spire-server entry update -entryID client. Give it the parent and the SPIFFE ID again, because an update replaces the whole entry.'

debrief() {
	cat <<'END'
  What it was: the client's entry had the selector unix:user:guest-workload. One mistake, two faces: the right
    user gets nothing, and a wrong one gets everything. The second face complains to nobody.
  How to see it: `make svid` asks as every user. After each "no identity" ask who has it instead.
  In life: "no identity issued" in the middle of a tutorial (https://github.com/spiffe/spire-tutorials/issues/75).
  Which scenarios show it: make scenario-wrong-selector, make scenario-unregistered
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:guest-workload
	wait_until 30 "the agent has heard of it" nobody client-workload
	restarted client
}
