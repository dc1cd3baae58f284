# scripts/lab break strangers
# since a clean-up the partner's client is refused, although the partner has changed nothing
level 2
category "between: not federated"
doctor LAB084

ticket() {
	cat <<'END'
  From: the friends at partner.test
  Until yesterday your server-for-partner served our client. Today it refuses it, with nothing but "bad certificate".
  You can try it in our container:
    $ docker compose exec --user client-workload partner-host client -url https://server-for-partner:8443/
  Our client has its SVID, and it trusts you as before. The people of example.org say that in the spring-cleaning they deleted
  "only what no entry of ours needs". Our SPIRE server is here, in the container partner-server, and can be asked for our
  trust bundle.

  Please see that your server can verify our SVIDs again, and no other workload of example.org: no other workload needs it.
END
}
states 'Today it refuses it, with nothing but "bad certificate"' refused
states 'Our client has its SVID' 'inside partner-host client-workload svid | grep -E "spiffe://partner.test/client"'
states 'can be asked for our trust bundle' 'partner_cli bundle show -format spiffe | grep -E "x509-svid"'

cause no-bundle "The server has no trust bundle of partner.test any more."
answer client-not-authorized "The server does not authorize the SPIFFE ID of the partner's client." \
	"If a server has verified a client, but does not authorize it, the server logs \"unexpected ID\". This server logged \"no X.509 bundle\"." 'docker compose logs server-for-partner'
answer partner-ca-replaced "The partner's SPIRE server signs with a new CA." \
	"With an old bundle of partner.test the server logs \"certificate signed by unknown authority\". This server logged \"no X.509 bundle\"." 'docker compose logs server-for-partner'
answer partner-entry-gone "The registration entry for the partner's client was deleted." \
	"The client of partner.test gets its SVID, during the fault and after it." 'docker compose exec --user client-workload partner-host svid'
answer svid-expired "The SVID of the partner's client has expired." \
	"The SVID of the partner's client is valid, during the fault and after it." 'docker compose exec --user client-workload partner-host svid'

setup() {
	local token
	need_tools
	lab up --detach --no-deps partner-server partner-host server-for-partner
	wait_until 60 "the SPIRE server of partner.test answers" partner_cli healthcheck
	partner_cli bundle show | docker exec --interactive "$(container_of partner-host)" sh -c 'cat >/scratch/bundle.pem'
	token=$(partner_cli token generate -spiffeID spiffe://partner.test/host | captured '^Token: (.*)')
	docker exec --detach "$(container_of partner-host)" spire-agent run -config /etc/spire/partner-host/agent.conf -joinToken "$token" -logFile /proc/1/fd/1
	cli bundle show -format spiffe | docker exec --interactive "$(container_of partner-server)" /opt/spire/bin/spire-server bundle set -format spiffe -id spiffe://example.org
	partner_cli entry create -entryID client -parentID spiffe://partner.test/host -spiffeID spiffe://partner.test/client -selector unix:user:client-workload -federatesWith spiffe://example.org
	federated
	wait_until 60 "the client of partner.test is served" partner_served
}
teardown() {
	lab rm --stop --force partner-server partner-host server-for-partner
	cli federation delete -id spiffe://partner.test
	cli bundle delete -id spiffe://partner.test -mode dissociate
	own_entries
}

right() {
	federated
	wait_until 30 "the server has the bundle of partner.test" knows_partner
}

also federation
right_federation() {
	partner_bundle
	cli federation create -trustDomain partner.test -bundleEndpointURL https://partner-server:8443 -bundleEndpointProfile https_spiffe -endpointSpiffeID spiffe://partner.test/spire/server
	right
}

also recreated
right_recreated() {
	partner_bundle
	cli entry delete -entryID server
	cli entry create -entryID server -parentID spiffe://example.org/host -spiffeID spiffe://example.org/server -selector unix:user:server-workload -federatesWith spiffe://partner.test
	wait_until 30 "the server has the bundle of partner.test" knows_partner
}

wrong half 'can no longer verify SVIDs of partner.test' 'The SPIRE server has the bundle of partner.test again. But it gives this bundle only to workloads whose entry federates with partner.test.' 'cli bundle list | grep -E "partner.test" && ! entry_has "FederatesWith +: partner.test"'
wrong_half() { partner_bundle; }

wrong everybody 'client-workload can now also verify SVIDs of partner.test' 'The client of example.org now has the bundle of partner.test as well. That client does not need this bundle.'
wrong_everybody() {
	federated
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -federatesWith spiffe://partner.test
}

wrong anybody 'serves every other workload of the trust domain' 'With AuthorizeAny the server authorizes every client whose SVID it can verify. The server still cannot verify any SVID of partner.test.'
wrong_anybody() { any_client; }

wrong second_server 'can no longer verify SVIDs of partner.test' 'A server of the partner serves the client of the partner. The server of example.org still cannot verify any SVID of partner.test.' 'docker top "$(container_of partner-host)" | grep -E "server -listen"'
wrong_second_server() {
	docker exec --detach --user client-workload "$(container_of partner-host)" server -listen :8443 -client-id spiffe://partner.test/client
}

wrong no_server_entry 'server-workload gets no SVID' 'The entry named server was deleted, and nobody created it again. Now server-workload gets no SVID at all.' '! entry_has "spiffe://example.org/server$"'
wrong_no_server_entry() {
	cli entry delete -entryID server
	wait_until 30 "the agent has received the change" nobody server-workload
}

wrong restarts 'server-for-partner is not running' 'The restart ended the PID namespace of the container node. So server-for-partner stopped, because it runs in that namespace. Start server-for-partner with "docker compose up --detach server-for-partner".'
wrong_restarts() { lab restart; }

hint true 'The server refuses the client, and logs the reason. See "docker compose logs --tail 5 server-for-partner". For which trust domain does the server need a trust bundle? The command "spire-server bundle list" shows the bundles that the SPIRE server has.'
hint true 'It is not enough that the SPIRE server has the bundle of a trust domain. A workload gets this bundle only if the entry for the workload names the trust domain in FederatesWith. The command "spire-server entry update" has a flag for FederatesWith, and replaces the whole entry.'
hint true 'The fault: somebody deleted the bundle of partner.test. The deletion also removed FederatesWith from the entry named server. In the container partner-server, print the bundle with "bundle show -format spiffe". In the container spire-server, set the bundle with "bundle set -format spiffe -id spiffe://partner.test". Then use "entry update -entryID server" with -federatesWith spiffe://partner.test. This command replaces the whole entry, so repeat the parent, the SPIFFE ID and the selector.'

debrief() {
	cat <<'END'
  What it was: somebody deleted the bundle of partner.test with -mode dissociate. This mode also removes the trust
    domain from every entry. Without the bundle of partner.test, the server cannot verify an SVID of partner.test.
  How to see it: the client gets "bad certificate", and the server logs: no X.509 bundle for trust domain
    "partner.test". Then look at `spire-server bundle list`, and at FederatesWith in the entries.
  What a restart or docker compose up changes: nothing that helps. Bundles and entries are in the SPIRE server's
    database, which a restart does not change. Bootstrap finds an entry named server, and does not change existing
    entries. `docker compose restart` also stops server-for-partner, which runs in the PID namespace of the container
    node.
  Seen in production: if a bundle was set by hand, without a federation relationship, SPIRE does not update this
    bundle. So a deleted bundle does not come back, and an old bundle does not get the partner's next CA
    (https://spiffe.io/docs/latest/architecture/federation/readme/).
  Which scenario shows it: make scenario-federation
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

partner_bundle() { partner_cli bundle show -format spiffe | docker exec --interactive "$(container_of spire-server)" /opt/spire/bin/spire-server bundle set -format spiffe -id spiffe://partner.test; }
federated() {
	partner_bundle
	cli entry update -entryID server -parentID spiffe://example.org/host -spiffeID spiffe://example.org/server -selector unix:user:server-workload -federatesWith spiffe://partner.test
}
knows_partner() { inside server server-workload observer -limit 3s server -health 127.0.0.1:8080 | grep -E '"trustDomain":"partner.test"'; }
asks() { inside partner-host client-workload client -wait 10s -url https://server-for-partner:8443/ 2>&1; }
partner_served() { asks | grep -E "Success!!!"; }
refused() {
	local said
	said=$(asks || true)
	say "$said" | grep -E "remote error: tls: bad certificate"
}
inject() {
	cli bundle delete -id spiffe://partner.test -mode dissociate
	wait_until 30 "the partner's client is refused" refused
}
shows() { ! knows_partner && client_served; }
