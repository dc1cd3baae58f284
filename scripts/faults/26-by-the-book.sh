# scripts/lab break by-the-book
# the agent was configured by the book, worked until its next restart, and does not come back
level 2
category "agent: used token"
doctor LAB047

ticket() {
	cat <<'END'
  From: the operators of the host
  Somebody aligned our agent.conf with SPIRE's tutorial: "we should not be different". That was done by the book, the agent
  attested, and everything worked. This morning the agent was restarted. Since then it starts, and no program gets
  an identity from it. The SPIRE server runs, and it is right as it is.

  Please see that the agent attests as it did before, also after the next restart. What that alignment left in the
  SPIRE server must go. The agent's variable INVENTORY must stay: our inventory reads it.
END
}
states 'the agent attested, and everything worked' 'log_of spire-server | grep -E "Agent attestation request completed.*spire/agent/join_token/"'
states 'no program gets an identity from it' 'nobody client-workload && nobody server-workload'
states 'The SPIRE server runs' 'cli healthcheck'

cause join-token "The agent attests with a token that can be used only once."
answer agent-banned "The SPIRE server has banned the agent since its restart." \
	"The list of agents shows no ban, during the fault and after it." 'docker compose exec spire-server /opt/spire/bin/spire-server agent list'
answer credential-gone "The credential of the host was deleted during the alignment." \
	"The volume host-credential still has the certificate and the key. The certificate is valid for 8700 hours." 'docker compose logs bootstrap'
answer server-without-plugin "The SPIRE server accepts only agents with a certificate." \
	"The SPIRE server has completed an attestation of the type join_token, so it has the plugin for tokens." 'docker compose logs spire-server'
answer wrong-server "The agent was configured for a different SPIRE server." \
	"The SPIRE server logs each attempt of this agent to attest, with the reason for the refusal." 'docker compose logs spire-server'

setup() {
	override spire-agent <<-'END'
		# Host operators.
		services:
		  spire-agent:
		    environment: {INVENTORY: host-operators}
	END
	wait_until 60 "the programs get their identities" has_identity client-workload spiffe://example.org/client
}

right() {
	edited compose.override.yaml '^ *image: .*' '' | override spire-agent
	evicted
}

also written_out
right_written_out() {
	edited compose.override.yaml 'image: .*' "image: $(image_of spire-agent)" | override spire-agent
	evicted
}

also file_corrected
right_file_corrected() {
	edited spire/agent/agent.conf '^agent \{' '# As it was before.
agent {' | other_image spire-agent /etc/spire/agent/agent.conf
	edited compose.override.yaml 'image: .*' "image: $(last_image)" | override spire-agent
	evicted
}

wrong new_token 'the SPIRE server has an agent that it did not have before the fault' 'The new token, too, is valid for only one attestation. After the next restart the agent fails in the same way.' 'test "$(cli agent list | grep -E "^SPIFFE ID.*/join_token/" | count)" -ge 2'
wrong_new_token() {
	aligned
	wait_until 60 "the client has its identity" has_identity client-workload spiffe://example.org/client
}

wrong plugin_only 'the client is not served' 'While agent.conf has a value for join_token, the agent tries to attest with this token, and ignores the NodeAttestor in agent.conf.' \
	'file_of spire-agent /etc/spire/agent/agent.conf | grep -E "NodeAttestor \"x509pop\""'
wrong_plugin_only() {
	edited spire/agent/agent.conf '^    trust_domain .*' '    trust_domain   = "example.org"
    join_token = "00000000-0000-0000-0000-000000000000"' | other_image spire-agent /etc/spire/agent/agent.conf
	edited compose.override.yaml 'image: .*' "image: $(last_image)" | override spire-agent
}

wrong agent_left 'the SPIRE server has an agent that it did not have before the fault' 'The agent attests with its certificate again. But the SPIRE server still knows the agent that used the token, and accepts the SVID of that agent until the SVID expires.' \
	'override_has . && ! override_has "image: "'
wrong_agent_left() { edited compose.override.yaml '^ *image: .*' '' | override spire-agent; }

wrong as_root 'client runs as root' 'The agent has no SVID for any process, so it has none for a process that runs as root.'
wrong_as_root() { client_as 0:0; }

wrong new_lab 'the SPIRE server has lost its data' 'The SPIRE server has a new CA and no data, and it does not know the token of the agent.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong whole_file 'INVENTORY' 'The agent attests as before, but the variable INVENTORY was deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() {
	no_override spire-agent
	evicted
}

hint true 'Which error does the SPIRE server send to the agent? See "docker compose logs --tail 20 spire-agent". The lesson join-token explains this error.'
hint true 'How should this agent prove what it is? The answer is in the file spire/agent/agent.conf. During the fault the agent read a different agent.conf, which was in the image of the agent. To see the name of the image, run: docker compose images spire-agent'
hint true 'The fault: compose.override.yaml named an agent image whose agent.conf has join_token. Remove the line with "image" from compose.override.yaml, keep the variable INVENTORY, and run "docker compose up --detach spire-agent". Then use "spire-server agent list" to find each agent with /join_token/ in its SPIFFE ID, and evict it with "spire-server agent evict".'

debrief() {
	cat <<'END'
  What it was: another team built an image that has join_token in agent.conf, with NodeAttestor "join_token" in place of
    "x509pop". A token is valid for one attestation. The agent attested with the token, and kept its SVID in memory.
    After the restart it had to attest again, and the SPIRE server refused the used token.
  How to see it: the agent logs "join token does not exist or has already been used". `spire-server agent list` shows
    two agents of one host, and "Can re-attest : false" for the agent that used the token.
  What was left: the agent that used the token, and the alias entry that `spire-server token generate -spiffeID` had
    created. In SPIRE 1.15.3 `spire-server agent evict` deletes the agent and the entry.
  What a restart or docker compose up changes: nothing. The same image starts again, with the same token. Bootstrap
    mints a new certificate for the host, but this agent does not use it. No entry is missing, so bootstrap creates
    none. An agent that keeps its data on a disk would have worked after the restart, until its SVID had expired.
  Seen in production: SPIRE's tutorial uses a token (https://github.com/spiffe/spire/blob/main/doc/SPIRE101.md). The
    linked report is about an agent that could not be restarted (https://github.com/spiffe/spire/issues/842).
  Which scenario shows it: make scenario-join-token
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

# The function aligned builds an image of the agent with a new token in agent.conf, and names this image in the override.
aligned() {
	local token
	token=$(cli token generate -spiffeID spiffe://example.org/host | captured '^Token: (.*)')
	edited spire/agent/agent.conf '^    trust_domain .*' "    trust_domain   = \"example.org\"
    join_token     = \"$token\"" 'NodeAttestor "x509pop"' 'NodeAttestor "join_token"' '^.*(certificate_path|private_key_path).*' '' |
		other_image spire-agent /etc/spire/agent/agent.conf
	override <<-END
		# Host operators.
		services:
		  spire-agent:
		    environment: {INVENTORY: host-operators}
		    image: $(last_image)
	END
}
# The function evicted evicts the agents that attested with a token.
evicted() {
	local id
	wait_until 60 "the agent attests with its certificate" has_identity client-workload spiffe://example.org/client
	for id in $(cli agent list | captured '^SPIFFE ID +: (.*/join_token/.*)'); do
		cli agent evict -spiffeID "$id"
	done
}
inject() {
	aligned
	wait_until 60 "the agent has attested" has_identity client-workload spiffe://example.org/client
	lab up --detach --no-deps spire-agent
	restarted spire-agent
	wait_until 60 "the agent does not come back" nobody client-workload
	restarted client
}
