# scripts/lab break breathless
# everything works, and the logs of the client and the agent have become too long to read
level 3
category "SPIRE server: short SVIDs"
doctor LAB072

ticket() {
	cat <<'END'
  From: the operators of the host
  Somebody read that identities should live short, and meant it well. Since then the client's log is full of one line,
  several times a second, and the agent is never at rest. The client is served, most of the time. When the
  SPIRE server was away for two seconds last night, everything stood still at once.

  Please see that an SVID of the client lives as long as the lab's others, so that an outage has a chance to be mended.
END
}

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 0
	wait_until 30 "the client has an SVID that lives" lives_longer client-workload 1800
}

wrong restart 'and yet the lab is not as it was before' 'each restart gets an SVID of the same short life'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong a_little_longer 'do not live as long as before' 'half a minute is enough for the log, and not for an outage'
wrong_a_little_longer() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 30
}

wrong too_broad 'more can be spiffe://example.org/client than before' 'a second entry lives for an hour, and is everybody of the group'
wrong_too_broad() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:gid:1112
}

wrong for_ever 'do not live as long as before' 'the other extreme: an SVID that is stolen today stays valid for 100 days'
wrong_for_ever() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 8640000
}

hint '! lives_longer client-workload 1800' 'What is the line that fills the log? docker compose logs --tail 5 client. How long does each of these SVIDs live? make svid'
hint 'entry_has "X509-SVID TTL +: 2"' 'Who says how long an SVID lives: the SPIRE server for all, or an entry for one. The server program has a long one; compare the two entries.'
hint true 'The entry client has an X509-SVID TTL of 2 s. spire-server entry update with -x509SVIDTTL 0 sets the default again. Give it every other field as it is, because an update replaces the whole entry.'

debrief() {
	cat <<'END'
  What it was: the entry had -x509SVIDTTL 2. An agent renews an SVID when about half of its lifetime is left. "valid
    from" is set 10 s back, so this lifetime is 12 s, and the 2 s that are left are always less than half. So the agent
    renewed at every synchronization. Two seconds after the SPIRE server had stopped, the client had no valid SVID.
  How to see it: "rotated" in each line of the log; `make svid` shows valid from and valid until.
  In life: an SVID that expires while the SPIRE server cannot be reached; here it is the agent's own
    (https://github.com/spiffe/spire/issues/1562).
  Which scenarios show it: make scenario-rotation, make scenario-server-outage
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 2
	wait_until 30 "the client has an SVID that does not" hurried
}
hurried() { ! lives_longer client-workload 1800; }
shows() { hurried; }
