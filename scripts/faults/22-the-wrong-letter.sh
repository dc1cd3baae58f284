# scripts/lab break the-wrong-letter
# the agent does not believe the SPIRE server, and each says that it is the other
level 2
category "agent: another CA"
doctor LAB054

ticket() {
	cat <<'END'
  From: the operators of the host
  The trust bundle of our host was "renewed" by somebody who sent it to us by mail. Since its last restart the agent does
  not speak to the SPIRE server. The SPIRE server's people say that it is as it was, and they can prove it.
  What came by mail may be from anywhere.

  Please see that the agent trusts the right SPIRE server again: by a check, not by leaving the check away.
END
}

right() {
	provision
	restarted spire-agent
}

wrong restart 'the client is not served' 'it reads the same wrong bundle again'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong no_check "the agent's configuration is not what it was" 'insecure_bootstrap: it works, and on the day on which another SPIRE server answers that works too'
wrong_no_check() {
	edited spire/agent/agent.conf '^.*trust_bundle_path.*' '    insecure_bootstrap = true' '^.*rebootstrap.*' '' | other_image spire-agent /etc/spire/agent/agent.conf
}

wrong new_lab 'what the SPIRE server knew is lost' 'a new CA for everybody, since one file was wrong'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong as_root 'client runs as root' 'whoever asks, the agent has nothing to give'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

hint 'nobody client-workload' 'Which side refuses, and why? docker compose logs --tail 3 spire-agent: whose certificate does it not like?'
hint 'another_bundle' 'Compare two files: what the agent takes for the bundle (/run/host-credential/bundle.pem, docker cp gets it out), and what the SPIRE server says it is: spire-server bundle show.'
hint true 'bundle.pem in the volume host-credential is of another CA. The right one comes from the SPIRE server itself, over its admin socket: docker compose run --rm bootstrap writes it, as at the beginning. Then restart the agent.'

debrief() {
	cat <<'END'
  What it was: the trust bundle with which the agent verifies the SPIRE server at its start was that of another CA.
  How to see it: "certificate signed by unknown authority" in the agent's log: it is the agent that refuses. The two
    certificates can be compared (openssl x509 -noout -ext subjectKeyIdentifier).
  In life: the first bundle has to come by a way that one trusts; insecure_bootstrap is for a first try
    (https://github.com/spiffe/spire/blob/main/doc/spire_agent.md).
  Which scenarios show it: make scenario-server-wiped, make scenario-foreign-server-ca
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

another_bundle() { ! file_of spire-agent /run/host-credential/bundle.pem | same "$(cli bundle show)"; }
# The bundle of some other SPIRE server, which is not here any more.
inject() {
	local status=0
	lab up --detach --no-deps partner-server
	wait_until 60 "another SPIRE server has a bundle" partner_cli bundle show
	partner_cli bundle show | docker run --rm --interactive --network none --user 0:0 --label com.docker.compose.project= --label com.docker.compose.service= \
		--volume "${project}_host-credential:/run/host-credential" "$(image_of bootstrap)" \
		-c 'while read -r line; do echo "$line"; done >/run/host-credential/bundle.pem' || status=$?
	lab rm --stop --force partner-server
	[ "$status" -eq 0 ] || return "$status"
	restarted spire-agent
	wait_until 60 "the agent is out" nobody client-workload
	restarted client
}
