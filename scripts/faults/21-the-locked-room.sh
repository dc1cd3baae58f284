# scripts/lab break the-locked-room
# the host was "cleaned", and its agent starts again and again
level 2
category "agent: no credential"
doctor LAB053

ticket() {
	cat <<'END'
  From: the operators of the host
  Yesterday everything that looked like a secret was taken off our host: "no keys on machines". Since then the agent starts,
  and exits, and starts. The SPIRE server does not even hear from it. The key of the host is not lost: it is where it
  always was.

  Please see that the host can prove what it is again, with its own key. No new host, no copy of the key, and no
  second way in. The agent's variable INVENTORY must stay: our inventory reads it.
END
}
states 'the agent starts, and exits, and starts' 'test "$(docker inspect --format "{{.RestartCount}}" "$(container_of spire-agent)")" -ge 1'
states 'it is where it always was' 'docker run --rm --network none --user 0:0 --volume "${project}_host-credential:/run/host-credential:ro" "$(image_of bootstrap)" -c "test -s /run/host-credential/key.pem"'

cause different-volume "The wrong volume is mounted at the agent's credential directory."
answer agent-banned "The SPIRE server has banned the agent of this host." \
	"The list of agents shows no ban, during the fault and after it." 'docker compose exec spire-server /opt/spire/bin/spire-server agent list'
answer certificate-expired "The host's certificate has expired since it was minted." \
	"The certificate that bootstrap mints is valid for 8700 hours. An agent with an expired certificate can connect to the SPIRE server. This agent did not connect." 'docker compose logs bootstrap'
answer different-ca "The SPIRE server has a new CA, which did not sign the certificate." \
	"The SPIRE server still knows this agent, so the SPIRE server has kept its data and its CA." 'docker compose exec spire-server /opt/spire/bin/spire-server agent list'

setup() {
	override spire-agent <<-'END'
		# Host operators.
		services:
		  spire-agent:
		    environment: {INVENTORY: host-operators}
	END
	wait_until 60 "the programs get their identities" has_identity client-workload spiffe://example.org/client
}
teardown() { docker volume rm "${project}_no-secrets"; }

right() { edited compose.override.yaml '^ *volumes: \[.*' '' '^volumes:.*' '' '^  no-secrets: .*' '' | override spire-agent; }

also written_out
right_written_out() {
	edited compose.override.yaml 'volumes: \[.*' 'volumes: ["host-credential:/run/host-credential:ro"]' '^volumes:.*' '' '^  no-secrets: .*' '' | override spire-agent
}

also recreated
right_recreated() {
	edited compose.override.yaml '^ *volumes: \[.*' '' | override
	lab rm --stop --force spire-agent
	lab up --detach
}

wrong with_a_token 'spire-agent was started with a different command' 'With a join token the agent can attest only once. The SPIRE server treats an agent with a token as a new agent. Everybody who has a token can attest with this token.'
wrong_with_a_token() {
	local token
	token=$(cli token generate -spiffeID spiffe://example.org/host | captured '^Token: (.*)')
	edited spire/agent/agent.conf 'NodeAttestor "x509pop"' 'NodeAttestor "join_token"' '^.*(certificate_path|private_key_path).*' '' \
		'^.*trust_bundle_path.*' '    insecure_bootstrap = true' '^.*rebootstrap.*' '' | other_image spire-agent /etc/spire/agent/agent.conf
	remake spire-agent <<-END
		services: {spire-agent: {image: "$(last_image)", command: ["-config", "/etc/spire/agent/agent.conf", "-expandEnv", "-joinToken", "$token"]}}
	END
}

wrong writable 'spire-agent has something different mounted at /run/host-credential' 'The agent has its key again, and may now change the key. But it only needs to read the key.' \
	'docker inspect --format "{{range .Mounts}}{{.Name}} {{.RW}},{{end}}" "$(container_of spire-agent)" | grep -E "host-credential true"'
wrong_writable() {
	remake spire-agent <<-'END'
		services: {spire-agent: {volumes: ["host-credential:/run/host-credential:rw"]}}
	END
}

wrong second_key 'the container spire-agent still differs' 'The host now has two keys in two volumes. The certificates of both keys are valid for a year. The ticket asks for the key that the host had before the fault.'
wrong_second_key() {
	docker run --rm --network none --user 0:0 --cap-add DAC_OVERRIDE --volume "${project}_spire-server-admin:/tmp/spire-server/private" \
		--volume "${project}_no-secrets:/run/host-credential" "$(image_of bootstrap)" /opt/spiffe-lab/bootstrap.sh
	restarted spire-agent
}

wrong as_root 'client runs as root' 'The agent of the host cannot attest, so no process of the host gets an SVID, not even a process that runs as root.'
wrong_as_root() { client_as 0:0; }

wrong new_lab 'the SPIRE server has lost its data' 'The data of the SPIRE server was deleted, and the agent still mounts an empty volume in place of its credential.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong whole_file 'INVENTORY' 'The agent attests again, but the variable INVENTORY was deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() { no_override spire-agent; }

hint true 'Read the last line that the agent logged before it exited: "docker compose logs --tail 20 spire-agent". Which file could it not load?'
hint true 'The agent reads its key from the directory /run/host-credential of its container. Which volume should be mounted there, and which volume was mounted? See "docker inspect", "docker volume ls" and compose.yaml.'
hint true 'The fault: compose.override.yaml mounted the empty volume no-secrets at /run/host-credential in the container of the agent. The credential is in the volume host-credential, as before the fault. Remove the lines for no-secrets from compose.override.yaml, keep the variable INVENTORY, and run "docker compose up --detach spire-agent".'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml mounted an empty volume in place of the host's x509pop certificate and key. With
    x509pop an agent proves that it holds the private key. Without this key the agent cannot start, and exits at once.
  How to see it: the last line in the agent's log names the file that the agent could not load. `docker inspect` shows
    which volume is mounted.
  What a restart or docker compose up changes: nothing that helps. Bootstrap mints a new certificate and key into the
    volume host-credential, but nothing was wrong with that volume. Compose mounts no-secrets again, because the
    override names no-secrets.
  Seen in production: an agent logs "unable to load keypair: ... no such file or directory" on a host that is set up
    by a script (https://github.com/tiiuae/ghaf/pull/1853).
  Which scenario shows it: make scenario-join-token, in which a host attests with a token in place of a certificate
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	override_adds spire-agent <<-'END'
		    volumes: ["no-secrets:/run/host-credential:ro"]
		volumes:
		  no-secrets: {}
	END
	restarted client
}
