# scripts/lab break breathless
# everything works, but the logs of the client and the agent have become too long to read
level 3
category "SPIRE server: short SVIDs"
doctor LAB072

ticket() {
	cat <<'END'
  From: the operators of the host
  Somebody read that identities should be short-lived, and meant well. Since then the client's log is full of one line,
  several times a second, and the agent is never at rest. The client is served, most of the time. When the
  SPIRE server was down for a few seconds last night, everything stood still at once.

  Please see that an SVID of the client is valid as long as the other SVIDs of the lab, so that there is time to fix an
  outage.
END
}
states "the client's log is full of one line" 'test "$(log_of client | grep -E "rotated" | count)" -ge 4'
states 'the agent is never at rest' 'test "$(log_of spire-agent | grep -E "Renewing X509-SVID.*entry_id=client " | count)" -ge 4'
states 'The client is served' client_served

cause entry-lifetime "The client's entry sets a lifetime of a few seconds."
answer agent-attests "The agent attests again and again, and gets new SVIDs each time." \
	"The SPIRE server logs each attestation of the agent. The client has had far more SVIDs than there are attestations in this log." 'docker compose logs spire-server'
answer ca-lifetime "The CA of the SPIRE server is about to expire." \
	"A CA limits the lifetime of every SVID that it signs. The SVID of server-workload is valid for an hour, during the fault and after it." 'make svid'
answer client-restarts "The client keeps restarting, and asks for an SVID each time." \
	"The container of the client has been running for longer than the lifetime of a short-lived SVID. So it did not restart for each SVID." 'docker compose ps client'
answer server-lifetime "The SPIRE server's default lifetime was shortened." \
	"The SVID of server-workload has the default lifetime. It is valid for an hour, during the fault and after it." 'make svid'

right() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 0
	wait_until 30 "the client has an SVID with the usual lifetime" lives_longer client-workload 1800
}

also written_out
right_written_out() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 3600
	wait_until 30 "the client has an SVID with the usual lifetime" lives_longer client-workload 1800
}

also recreated
right_recreated() {
	cli entry delete -entryID client
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
	wait_until 30 "the client has an SVID with the usual lifetime" lives_longer client-workload 1800
}

wrong a_little_longer 'a different X.509-SVID TTL' 'With a TTL of 30 s the log is quiet. But if the SPIRE server is down for more than 30 s, the client is no longer served.' 'entry_has "X509-SVID TTL +: 30$"'
wrong_a_little_longer() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 30
}

wrong for_ever 'a different X.509-SVID TTL' 'This lifetime is too long. A key that is stolen today can be used for 100 days.' 'entry_has "X509-SVID TTL +: 8640000$"'
wrong_for_ever() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 8640000
}

wrong second_entry 'an entry for spiffe://example.org/client lacks a selector' 'The new entry has the default lifetime, but its selector matches every process of a group. The entry with the short lifetime still exists.'
wrong_second_entry() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:gid:1112
}

wrong no_entry 'the client is not served' 'The log is quiet, because the client gets no SVID any more.' '! entry_has "spiffe://example.org/client$"'
wrong_no_entry() {
	cli entry delete -entryID client
	wait_until 30 "the client has lost its identity" nobody client-workload
	wait_until 60 "its SVID has expired" not_served
}

wrong second_client 'a second client process runs beside' 'The second process has a quiet log, but its SVID has the same short lifetime. And nothing restarts this process when it exits.'
wrong_second_client() { docker exec --detach --user client-workload "$(container_of client)" client -interval 7s; }

hint true 'Which line fills the log of the client, and what does this line say about each SVID? See "docker compose logs --tail 5 client". The command "make svid" shows for how long the SVIDs of the lab are valid.'
hint true 'Two settings decide the lifetime of an SVID: the TTL of its entry, and the setting default_x509_svid_ttl of the SPIRE server. The default applies to each entry that has no TTL. The command "make entries" shows the TTL of each entry.'
hint true 'The fault: the entry named client got an X509-SVID TTL of 2 s. The command "spire-server entry update" with -x509SVIDTTL 0 gives this entry the default TTL again. Repeat every other field of the entry, because an update replaces the whole entry.'

debrief() {
	cat <<'END'
  What it was: somebody set -x509SVIDTTL 2 in the entry named client. An agent renews an SVID when about half of its
    lifetime is left. SPIRE sets "valid from" to 10 s in the past, so the lifetime of these SVIDs was 12 s. A new SVID
    expired after 2 s, which is less than half of 12 s. So the agent renewed the SVID each time that it synchronized
    with the SPIRE server. Two seconds after the SPIRE server had stopped, the client had no valid SVID.
  How to see it: the log of the client has many lines with "rotated". `make svid` shows "valid from" and "valid
    until".
  What a restart or docker compose up changes: nothing. Bootstrap creates missing entries. If an existing entry
    differs from the lab's entry, bootstrap only prints the difference. So a restarted client gets its SVID from the
    changed entry again.
  Seen in production: an SVID expires while the SPIRE server cannot be reached. The linked report is about an agent's
    SVID (https://github.com/spiffe/spire/issues/1562).
  Which scenarios show it: make scenario-rotation, make scenario-server-outage
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -x509SVIDTTL 2
	wait_until 30 "the client has an SVID that does not live long" hurried
}
hurried() { ! lives_longer client-workload 1800; }
not_served() { ! client_served; }
shows() { hurried; }
