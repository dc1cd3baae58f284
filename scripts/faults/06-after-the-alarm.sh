# scripts/lab break after-the-alarm
# since the false alarm every program that is restarted on the host comes up without an identity
level 2
category "agent: banned"
doctor LAB052

ticket() {
	cat <<'END'
  From: the operators of the host
  There was an alarm on Friday night: somebody was said to be on our host. Security did what they do, looked
  at everything, and closed the case: it was a false alarm, the host and its key are sound. But since
  then whatever we restart on it comes up without an identity. Restarting more did not help.

  Please see that the host is what it was before the alarm: the same host, with the same key.
  Other teams use this SPIRE server. What it knows must not be lost.
END
}

setup() { others; }
teardown() { others_go; }

right() {
	cli agent evict -spiffeID spiffe://example.org/spire/agent/x509pop/host
	restarted spire-agent
}

wrong restart 'the client is not served' 'the agent asks to be admitted again, and is refused again'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong spare 'there is an agent that there was not' 'the host comes in under a false name, past the refusal; the next time that security means it, nobody will notice'
wrong_spare() {
	lab run --rm --no-deps -T bootstrap -c '/opt/spire/bin/spire-server x509 mint -spiffeID spiffe://example.org/node/spare -ttl 8700h -write /run/host-credential'
	cli entry create -node -spiffeID spiffe://example.org/host -selector spiffe_id:spiffe://example.org/spire/agent/x509pop/spare
	restarted spire-agent client
}

wrong as_root 'client runs as root' 'who asks is not the trouble: nobody on this host is told anything'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

wrong new_lab 'what the SPIRE server knew is lost' 'a new SPIRE server has banned nobody, and knows nobody: the other teams are gone with its CA'
wrong_new_lab() { lab down --volumes && lab up --detach; }

hint 'nobody client-workload' 'Not the client is in trouble: no program of this host gets anything. Who hands out the identities here, and how is it? docker compose ps --all, docker compose logs --tail 5 spire-agent'
hint 'cli agent list -banned true | grep -E "SPIFFE ID"' 'The agent is refused by the SPIRE server, which has its reason in its own books: spire-server agent list, and agent show.'
hint true 'The host'"'"'s agent is banned: spire-server agent list -banned true shows it. spire-server agent evict -spiffeID spiffe://example.org/spire/agent/x509pop/host deletes its record, and the ban with it; the agent then re-attests with the key that it has. Lift a ban only when you know who set it and that the key is safe: this ticket says both.'

debrief() {
	cat <<'END'
  What it was: the agent was banned (spire-server agent ban). At its next synchronization it was refused, and exited;
    each new try to attest was refused as well. Running programs keep their SVIDs until these expire; a restarted one
    gets none.
  How to see it: the agent's log says "agent is banned", and `spire-server agent list -banned true` shows the agent. The
    ban is part of the agent's record, so `agent evict`, which deletes the record, lifts it.
  In life: SPIRE's documentation says that a banned agent cannot re-attest. It does not say how to lift the ban
    (https://github.com/spiffe/spire/blob/v1.15.3/doc/spire_server.md#spire-server-agent-ban).
  Which scenarios show it: make scenario-ban, make scenario-evict
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	cli agent ban -spiffeID spiffe://example.org/spire/agent/x509pop/host
	wait_until 60 "the agent is out" nobody client-workload
	restarted client
}
