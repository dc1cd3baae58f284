# scripts/lab break the-wrong-letter
# the agent refuses the SPIRE server, and each team blames the other
level 2
category "agent: another CA"
doctor LAB054

ticket() {
	cat <<'END'
  From: the operators of the host
  Somebody "renewed" the trust bundle of our host: it came by mail, and was built into the agent's image. Since its last
  restart the agent does not speak to the SPIRE server. The SPIRE server's people say that nothing was changed at their
  side, and that it knows the agent and all entries. What came by mail may be from anywhere.

  Please see that the agent trusts the right SPIRE server again: by a check, not by leaving out the check. Its bundle
  comes from the directory of the host's credential, as before. The agent's variable INVENTORY must stay: our inventory reads it.
END
}
states 'the agent does not speak to the SPIRE server' 'log_of spire-agent | grep -E "certificate signed by unknown authority"'
states 'it knows the agent and all entries' 'cli agent list | grep -E "spire/agent/x509pop/host" && entry_has "spiffe://example.org/client$"'

cause agent-bundle "The agent has the trust bundle of a different CA."
answer agent-banned "The SPIRE server has banned the host's agent." \
	"The list of agents shows no ban, during the fault and after it." 'docker compose exec spire-server /opt/spire/bin/spire-server agent list'
answer host-certificate "The SPIRE server refuses the host's certificate." \
	"The SPIRE server did not log a refused attestation. The agent ended the handshake before it sent the certificate of the host." 'docker compose logs spire-server'
answer impostor "A different container answers as spire-server." \
	"Only one container of the lab runs a SPIRE server, during the fault and after it." 'docker compose ps --all'
answer server-data-lost "The SPIRE server lost its data, and has a new CA." \
	"A SPIRE server without its data does not know any agent. This SPIRE server still knows the agent of the host." 'docker compose exec spire-server /opt/spire/bin/spire-server agent list'

setup() {
	override spire-agent <<-'END'
		# Host operators.
		services:
		  spire-agent:
		    environment: {INVENTORY: host-operators}
	END
	wait_until 60 "the programs get their identities" has_identity client-workload spiffe://example.org/client
}

right() { edited compose.override.yaml '^ *(image|command): .*' '' | override spire-agent; }

also written_out
right_written_out() { edited compose.override.yaml '^ *image: .*' '' ', "-trustBundle", "[^"]*"' '' | override spire-agent; }

also same_file
right_same_file() { edited compose.override.yaml '^ *image: .*' '' '/etc/spire/agent/renewed-bundle.pem' '/run/host-credential/bundle.pem' | override spire-agent; }

also recreated
right_recreated() {
	edited compose.override.yaml '^ *(image|command): .*' '' | override
	lab rm --stop --force spire-agent
	lab up --detach
}

wrong no_check "the agent's configuration (agent.conf)" 'With insecure_bootstrap the agent trusts whichever SPIRE server answers first.'
wrong_no_check() {
	edited spire/agent/agent.conf '^.*trust_bundle_path.*' '    insecure_bootstrap = true' '^.*rebootstrap.*' '' | other_image spire-agent /etc/spire/agent/agent.conf
	edited compose.override.yaml 'image: .*' "image: $(last_image)" '^ *command: .*' '' | override spire-agent
}

wrong both_bundles 'the command of the container spire-agent still differs' 'The bundle file in the image now has the current CA. It will not have the next CA that the SPIRE server prepares.'
wrong_both_bundles() {
	cli bundle show | other_image spire-agent /etc/spire/agent/renewed-bundle.pem
	edited compose.override.yaml 'image: .*' "image: $(last_image)" | override spire-agent
}

wrong new_lab 'the SPIRE server has lost its data' 'The volumes were deleted, so the SPIRE server has a new CA and no data. The bundle file in the image of the agent is still wrong.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong old_svid 'the client is not served' 'Bootstrap has written the trust bundle into the volume host-credential again. But the agent still refuses the SPIRE server. The log of the agent shows the reason.' \
	'was_restarted spire-agent && override_has "renewed-bundle.pem" && cli agent list | grep -E "spire/agent/x509pop/host"'
wrong_old_svid() {
	provision
	restarted spire-agent
}

wrong as_root 'client runs as root' 'The agent has no SVID for any process, so it has none for a process that runs as root.'
wrong_as_root() { client_as 0:0; }

wrong whole_file 'INVENTORY' 'The agent verifies the SPIRE server again, but the variable INVENTORY was deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() { no_override spire-agent; }

hint true 'Which side refused the connection, and why? See "docker compose logs --tail 20 spire-agent". Whose certificate did the agent not accept?'
hint true 'The agent verifies the SPIRE server with a trust bundle from a file. The file agent.conf names a bundle file, and the command line can name a different bundle file. With which command was the agent started? See: docker inspect'
hint true 'The fault: compose.override.yaml started the agent with the flag -trustBundle, and with an image that has the bundle of a different CA. Remove the lines "image" and "command" from compose.override.yaml, keep the variable INVENTORY, and run "docker compose up --detach spire-agent".'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml started the agent with -trustBundle /etc/spire/agent/renewed-bundle.pem. This flag
    replaces trust_bundle_path in agent.conf. The file renewed-bundle.pem has the CA of a different SPIRE server. This
    file is in the image that the override names.
  How to see it: the agent logs "certificate signed by unknown authority", so it was the agent that refused the SPIRE
    server. The CA certificate in renewed-bundle.pem has the URI spiffe://partner.test, and the CA certificate in
    `spire-server bundle show` has the URI spiffe://example.org. To see the URI of a certificate, use `openssl x509
    -noout -ext subjectAltName`. The agent logs "bootstrapping again", and reads the same wrong file again.
  What a restart or docker compose up changes: nothing that helps. Bootstrap writes the right bundle into the volume
    host-credential, but the command of the agent names a different file. Compose reads the override at each
    `docker compose up`.
  Seen in production: an agent has to get its first bundle by a channel that you trust. The setting insecure_bootstrap
    is not for production (https://github.com/spiffe/spire/blob/main/doc/spire_agent.md).
  Which scenarios show it: make scenario-first-server, make scenario-foreign-server-ca
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

# The function inject gets the bundle from a second SPIRE server, and then removes this SPIRE server.
inject() {
	local bundle
	lab up --detach --no-deps partner-server
	wait_until 60 "another SPIRE server has a bundle" partner_cli bundle show
	bundle=$(partner_cli bundle show)
	lab rm --stop --force partner-server
	other_image spire-agent /etc/spire/agent/renewed-bundle.pem <<<"$bundle"
	override_adds spire-agent <<-END
		    image: $(last_image)
		    command: ["-config", "/etc/spire/agent/agent.conf", "-expandEnv", "-trustBundle", "/etc/spire/agent/renewed-bundle.pem"]
	END
	wait_until 60 "the agent gives no identities" nobody client-workload
	restarted client
}
