# scripts/lab break the-locked-room
# the host was "cleaned", and its agent begins again and again
level 2
category "agent: no credential"
doctor LAB053

ticket() {
	cat <<'END'
  From: the operators of the host
  All that looked like a secret was taken off our host yesterday: "no keys on machines". Since then the agent starts, and
  ends, and starts. The SPIRE server does not even hear of it. The key of the host is not lost: it was
  put away.

  Please see that the host can prove what it is again, as it did. No new host, and no second way in.
END
}
teardown() { docker volume rm "${project}_spire-server-empty-disk"; }

right() { lab up --detach --no-deps spire-agent; }

wrong restart 'the client is not served' 'the room is as empty after it as before'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong with_a_token 'is started in another way than before' 'a join token lets the agent in once, as another agent, by a way that everybody can go who has a token'
wrong_with_a_token() {
	local token
	token=$(cli token generate -spiffeID spiffe://example.org/host | captured '^Token: (.*)')
	edited spire/agent/agent.conf 'NodeAttestor "x509pop"' 'NodeAttestor "join_token"' '^.*(certificate_path|private_key_path).*' '' \
		'^.*trust_bundle_path.*' '    insecure_bootstrap = true' | other_image spire-agent /etc/spire/agent/agent.conf
	remake spire-agent <<-END
		services: {spire-agent: {image: "$(last_image)", command: ["-config", "/etc/spire/agent/agent.conf", "-joinToken", "$token"]}}
	END
}

wrong writable 'spire-agent has other files than before at /run/host-credential' 'the agent has its key again, and may now change it: it only had to read'
wrong_writable() {
	remake spire-agent <<-'END'
		services: {spire-agent: {volumes: ["host-credential:/run/host-credential:rw"]}}
	END
}

wrong as_root 'client runs as root' 'not the client is locked out'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

hint 'nobody client-workload' 'Read the last line of the agent before it ends: docker compose logs --tail 3 spire-agent. What does it want, and where from?'
hint without_key 'It wants a key in /run/host-credential, and there is none. Which volume is mounted there, and which one should be? docker inspect, docker compose config, docker volume ls'
hint true 'The agent was made with the empty volume spire-server-empty-disk at /run/host-credential. The credential is in host-credential, as ever: docker compose up --detach spire-agent mounts it.'

debrief() {
	cat <<'END'
  What it was: an empty volume in the place of the host's credential. Without the key that x509pop proves the possession
    of the agent has nothing to show, and ends at once.
  How to see it: the agent's last line names the file that it could not load; `docker inspect` the mount.
  In life: "unable to load keypair: ... no such file or directory", on hosts that are set up by a script
    (https://github.com/tiiuae/ghaf/pull/1853).
  Which scenario shows it: make scenario-join-token, the other way for a host to be admitted
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

without_key() { docker inspect "$(container_of spire-agent)" | grep -E spire-server-empty-disk; }
inject() {
	remake spire-agent <<-'END'
		services: {spire-agent: {volumes: ["spire-server-empty-disk:/run/host-credential:ro"]}}
	END
	restarted client
}
