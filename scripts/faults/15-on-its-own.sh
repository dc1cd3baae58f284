# scripts/lab break on-its-own
# the agent runs and is healthy, and says of everybody who comes that it cannot see him
level 2
category "agent: another PID namespace"
doctor LAB037

ticket() {
	cat <<'END'
  From: the operators of the host
  We have made the agent "independent of the rest" at the weekend, so that it can be updated by itself. It runs, it is
  healthy, it has attested. But whoever asks it for an identity is turned away. It is no question of entries:
  we have looked at these three times.

  Please see that the programs get their identities again. And no, the agent may not see the whole machine.
END
}

right() { lab up --detach --no-deps spire-agent; }

wrong restart 'the client is not served' 'it is restarted where it is, and sees there what it saw before'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong whole_machine 'spire-agent sees every process of the machine' 'an agent in the PID namespace of the machine sees the workloads, and everything else'
wrong_whole_machine() {
	remake spire-agent <<-'END'
		services: {spire-agent: {pid: host}}
	END
}

wrong broad 'the client is not served' 'an entry for root does not help somebody of whom nothing is seen'
wrong_broad() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:uid:0
	restarted client
}

wrong as_root 'client runs as root' 'nothing is seen of root either'
wrong_as_root() {
	remake client <<-'END'
		services: {client: {user: "0:0"}}
	END
}

hint 'nobody client-workload' 'What does the agent say of the one who asks? docker compose logs --tail 3 spire-agent. Compare with the line that it should write.'
hint 'nobody client-workload' 'The kernel tells the agent the process ID of the caller, in the numbers of the agent'"'"'s own PID namespace. Which one is that? docker inspect: HostConfig.PidMode, of the agent and of the client.'
hint true 'The agent'"'"'s container has a PID namespace of its own; that of the host is the one of node. docker compose up --detach spire-agent makes it with pid: service:node, as compose.yaml has it.'

debrief() {
	cat <<'END'
  What it was: the agent ran outside the PID namespace of its host. The kernel gives it the caller's process ID as a
    number of the agent's own namespace. A process that is neither there nor in a namespace below has none: the agent
    gets 0, and cannot attest it.
  How to see it: the agent's log complains of the caller, not of entries; `docker inspect` shows both PidModes.
  In life: "could not resolve caller information" (https://github.com/spiffe/spire-tutorials/issues/56). In Kubernetes
    the agent needs hostPID for the same reason.
  Which scenario shows it: make scenario-unregistered, where the agent sees who asks
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

inject() {
	remake spire-agent <<-'END'
		services: {spire-agent: {pid: ""}}
	END
	wait_until 60 "the agent is healthy" inside spire-agent '' /opt/spire/bin/spire-agent healthcheck
	restarted client
}
