# scripts/lab break strangers
# the partners are strangers since the spring-cleaning
level 2
category "between: not federated"
doctor LAB084

ticket() {
	cat <<'END'
  From: the friends at partner.test
  Until yesterday the server of example.org knew us. Today our programs are strangers to it. They say at
  example.org that they have only taken away "what no entry of ours is about". Our SPIRE server is here, in the
  container partner-server, and can be asked for our trust bundle.

  Please see that the server can verify our SVIDs again, and nobody else of example.org: nobody else needs it.
END
}

setup() {
	lab up --detach --no-deps partner-server
	wait_until 60 "the SPIRE server of partner.test answers" partner_cli healthcheck
	federated
	wait_until 30 "the server has the bundle of partner.test" knows_partner server-workload
}
teardown() {
	lab rm --stop --force partner-server
	! cli bundle list | grep -E partner.test || cli bundle delete -id spiffe://partner.test -mode dissociate
	own_entries
}

right() {
	federated
	wait_until 30 "the server has the bundle of partner.test" knows_partner server-workload
}

wrong restart 'cannot verify anybody of partner.test' 'a trust bundle that is not there is not read by a restart'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong half 'cannot verify anybody of partner.test' 'the SPIRE server has the bundle again, and gives it only to those whose entry asks for it'
wrong_half() { partner_bundle; }

wrong everybody 'client-workload believes the SVIDs of another trust domain: partner.test' 'now the client, too, believes the SVIDs of another trust domain: it never needed that'
wrong_everybody() {
	federated
	cli entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload -federatesWith spiffe://partner.test
}

wrong anybody 'so is everybody else of the trust domain' 'AuthorizeAny: it was never the question who is let in, but who can be verified'
wrong_anybody() { any_client; }

hint '! cli bundle list | grep -E partner.test' 'Whom does example.org trust, beside itself? spire-server bundle list. What can be verified only with a bundle has to come from the one whom it is about.'
hint '! knows_partner server-workload' 'The SPIRE server having a bundle is one thing, a program getting it another: what does an entry say about whom it federates with? spire-server entry update has a flag for it, and replaces the whole entry.'
hint true 'The bundle of partner.test was deleted, and with it the federatesWith of the entry server. Take it from partner-server (bundle show -format spiffe) to spire-server (bundle set -format spiffe -id spiffe://partner.test), then entry update -entryID server with -federatesWith spiffe://partner.test. Give the update the parent, the SPIFFE ID and the selector again, because it replaces the whole entry.'

debrief() {
	cat <<'END'
  What it was: the bundle of partner.test had been deleted with -mode dissociate: it is taken from every entry too.
  How to see it: `spire-server bundle list`, and FederatesWith in the entries. A program of partner.test reads
    "bad certificate"; the server logs: no X.509 bundle for trust domain "partner.test".
  In life: a bundle set by hand and no federation relationship: nothing brings it back
    (https://spiffe.io/docs/latest/architecture/federation/readme/).
  Which scenario shows it: make scenario-federation
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

partner_bundle() { partner_cli bundle show -format spiffe | docker exec --interactive "$(container_of spire-server)" /opt/spire/bin/spire-server bundle set -format spiffe -id spiffe://partner.test; }
federated() {
	partner_bundle
	cli entry update -entryID server -parentID spiffe://example.org/host -spiffeID spiffe://example.org/server -selector unix:user:server-workload -federatesWith spiffe://partner.test
}
knows_partner() { inside server "$1" observer -limit 3s server -health 127.0.0.1:8080 | grep -E '"trustDomain":"partner.test"'; }
strangers() { ! knows_partner server-workload; }
inject() { cli bundle delete -id spiffe://partner.test -mode dissociate; }
shows() { strangers && client_served; }
