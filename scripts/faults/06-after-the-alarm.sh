# scripts/lab break after-the-alarm
# since the false alarm no program that is restarted on the host gets an identity
level 2
category "agent: banned"
doctor LAB052

ticket() {
	cat <<'END'
  From: the operators of the host
  There was an alarm on Friday night: somebody was reported to be on our host. Security did what they do, looked
  at everything, and closed the case: it was a false alarm, the host and its key are sound. But since
  then whatever we restart on it comes up without an identity. Restarting more did not help.

  Please see that the host is what it was before the alarm: the same host, with the same key.
  Other teams use this SPIRE server, and what it knows must not be lost.
END
}
states 'whatever we restart on it comes up without an identity' 'nobody client-workload && nobody server-workload'
states 'Other teams use this SPIRE server' 'entry_has "spiffe://example.org/billing$"'

cause agent-banned 'The SPIRE server has banned the agent of the host.'
answer agent-evicted 'The SPIRE server has evicted the agent of the host.' \
	'An agent that was evicted re-attests by itself with x509pop. This agent tried to re-attest, and was refused.' \
	'docker compose logs spire-agent'
answer bundle-old 'The agent of the host has the trust bundle of an older CA.' \
	'The agent accepted the certificate of the SPIRE server. With a wrong bundle it logs "certificate signed by unknown authority".' \
	'docker compose logs spire-agent'
answer credential-expired 'The x509pop certificate of the host has expired.' \
	'The certificate of the host is valid for months. Bootstrap minted it with a TTL of 8700 hours.' \
	'docker compose logs bootstrap'
answer entries-deleted 'The entries for the programs on the host were deleted.' \
	'The entries for the server and the client are listed, with the host as their parent.' \
	'make entries'

setup() { others; }
teardown() { others_go; }

right() {
	cli agent evict -spiffeID spiffe://example.org/spire/agent/x509pop/host
	restarted spire-agent
}

also down_and_up
right_down_and_up() {
	cli agent evict -spiffeID spiffe://example.org/spire/agent/x509pop/host
	lab down
	lab up --detach
}

also recreated
right_recreated() {
	cli agent evict -spiffeID spiffe://example.org/spire/agent/x509pop/host
	lab up --detach --force-recreate spire-agent
}

wrong spare 'the SPIRE server has an agent that it did not have' 'The agent of the host attests with a false SPIFFE ID, so the ban has no effect. If somebody had really attacked the host, this fix would have made the ban useless.' \
	'cli agent list | grep -E "x509pop/spare"'
wrong_spare() {
	lab run --rm --no-deps -T bootstrap -c '/opt/spire/bin/spire-server x509 mint -spiffeID spiffe://example.org/node/spare -ttl 8700h -write /run/host-credential'
	cli entry create -node -spiffeID spiffe://example.org/host -selector spiffe_id:spiffe://example.org/spire/agent/x509pop/spare
	restarted spire-agent client
}

wrong second_agent 'the SPIRE server has an agent that it did not have' 'A second agent attested with a join token, and does the work of the banned agent. No agent uses the key of the host.' \
	'cli agent list | grep -E "join_token"'
wrong_second_agent() {
	local token
	token=$(cli token generate -spiffeID spiffe://example.org/host | captured 'Token: (.*)')
	edited spire/agent/agent.conf 'NodeAttestor "x509pop"' 'NodeAttestor "join_token"' '^.*certificate_path.*' '' '^.*private_key_path.*' '' |
		other_image spire-agent /etc/spire/agent/agent.conf
	remake spire-agent <<-END
		services: {spire-agent: {image: "$(last_image)", command: ["-config", "/etc/spire/agent/agent.conf", "-expandEnv", "-joinToken", "$token"]}}
	END
	restarted client
}

wrong as_root 'client runs as root' 'The user of the client is not the cause. While the agent is banned, no process on this host gets an SVID.'
wrong_as_root() { client_as 0:0; }

wrong minted 'the client is not served' 'Bootstrap has minted a new certificate for the same host. The SPIRE server refuses the agent with this certificate too, and the log of the agent says why.' \
	'was_restarted bootstrap && cli agent list -banned true | grep -E "x509pop/host"'
wrong_minted() {
	lab up --detach
	restarted spire-agent client
}

wrong new_lab 'the SPIRE server has lost its data' 'The new SPIRE server has not banned any agent. But it has a new CA, and the entries of the other teams were deleted.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint true 'The fault affected every process on this host. No process got an SVID. The agent issues the SVIDs of all processes. What is the state of the agent? See "docker compose ps --all" and "docker compose logs --tail 5 spire-agent".'
hint true 'An agent works only if the SPIRE server accepts it. The SPIRE server has a record of each agent. The command "spire-server agent list" shows all agents. The command "spire-server agent list -banned true" shows the banned agents.'
hint true 'Security banned the agent of the host. The ban is part of the record of the agent. To delete this record, use "spire-server agent evict -spiffeID spiffe://example.org/spire/agent/x509pop/host". The agent then re-attests with the key that it has. Before you lift a ban, find out who banned the agent, and whether the key of the agent is safe. The ticket answers both questions.'

debrief() {
	cat <<'END'
  What it was: the agent was banned (`spire-server agent ban`). At the next synchronization the SPIRE server refused the
    agent, and the agent exited. The SPIRE server also refused each new attestation. A running program keeps its SVID
    until the SVID expires. A restarted program gets none.
  How to see it: the agent's log says "agent is banned", and `spire-server agent list -banned true` shows the agent. The
    ban is part of the agent's record. `agent evict` deletes the record, and so lifts the ban.
  What a restart or docker compose up changes: nothing. A restarted agent tries to attest, and is refused again.
    Bootstrap mints a new certificate. But the SPIFFE ID of the agent stays the same, and the ban belongs to that SPIFFE
    ID. `docker compose down` keeps the database that has the record.
  Seen in production: SPIRE's documentation says that a banned agent cannot re-attest. It does not say how to lift the ban
    (https://github.com/spiffe/spire/blob/v1.15.3/doc/spire_server.md#spire-server-agent-ban).
  Which scenarios show it: make scenario-ban, make scenario-evict
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	cli agent ban -spiffeID spiffe://example.org/spire/agent/x509pop/host
	wait_until 60 "the agent is out" nobody client-workload
	restarted client
}
