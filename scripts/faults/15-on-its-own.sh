# scripts/lab break on-its-own
# the agent is healthy, but it cannot identify any process that calls it
level 2
category "agent: another PID namespace"
doctor LAB037

ticket() {
	cat <<'END'
  From: the operators of the host
  At the weekend we made the agent "independent of the rest", so that it can be updated alone. It runs, it is
  healthy, and it has attested. But it refuses every program that asks for an identity. The entries are not the
  reason: we have looked at them three times.

  Please see that the programs get their identities again. The agent must not see the processes of the whole machine.
  The agent's variable INVENTORY must stay: our inventory reads it.
END
}
states 'it is healthy' 'inside spire-agent "" /opt/spire/bin/spire-agent healthcheck'
states 'it has attested' 'log_of spire-agent | grep -E "Node attestation was successful"'
states 'it refuses every program' 'nobody client-workload && nobody server-workload'
states 'The entries are not the reason' 'entry_has "unix:user:client-workload" && entry_has "unix:user:server-workload"'

cause pid-namespace "The agent runs outside the PID namespace of its host."
answer missing-entry "The registration entry for the client was changed." \
	"The lab's entries are unchanged, during the fault and after it. Without a matching entry the agent logs \"No identity issued\". This agent logged \"could not resolve caller information\"." 'make entries'
answer missing-capability "The agent lost the right to read program files." \
	"The agent has the capability SYS_PTRACE, during the fault and after it. Without this capability the agent logs \"permission denied\". This agent logged \"could not resolve caller information\"." 'docker compose config spire-agent'
answer missing-socket "The agent's socket is not in the client's volume." \
	"The client connected to the socket, and its connection was reset. Without a socket the client logs \"the socket does not exist\"." 'docker compose logs client'
answer not-attested "The SPIRE server refused the agent's attestation." \
	"The SPIRE server logs that each attestation of the agent was completed." 'docker compose logs spire-server'

setup() {
	override spire-agent <<-'END'
		# Host operators: the agent is updated alone.
		services:
		  spire-agent:
		    environment: {INVENTORY: host-operators}
	END
	wait_until 60 "the programs get their identities" has_identity client-workload spiffe://example.org/client
}

right() { edited compose.override.yaml '^ *pid: .*' '' | override spire-agent; }

also written_out
right_written_out() { edited compose.override.yaml 'pid: .*' 'pid: service:node' | override spire-agent; }

also recreated
right_recreated() {
	edited compose.override.yaml '^ *pid: .*' '' | override
	lab rm --stop --force spire-agent
	lab up --detach
}

wrong whole_machine 'spire-agent sees every process of the machine' 'In the PID namespace of the machine the agent sees the workloads, and every other process of the machine as well.'
wrong_whole_machine() { edited compose.override.yaml 'pid: .*' 'pid: host' | override spire-agent; }

wrong client_follows 'client is not in the PID namespace in which it was' 'The client now shares the PID namespace of the agent. The other workloads are still outside this namespace.' \
	'docker inspect "$(container_of client)" | grep -E "\"PidMode\": \"container:$(container_of spire-agent)\""'
wrong_client_follows() {
	remake client <<-'END'
		services: {client: {pid: "service:spire-agent"}}
	END
}

wrong entry_for_root 'the client is not served' 'The agent compares the selectors of an entry with the selectors of a process. If the agent cannot identify a process, it has no selectors of this process.' 'entry_has "unix:uid:0$"'
wrong_entry_for_root() {
	cli entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:uid:0
	restarted client
}

wrong as_root 'client runs as root' 'The agent does not see the process of the client, because this process is outside of the PID namespace of the agent. This is also true if the process runs as root.'
wrong_as_root() { client_as 0:0; }

wrong new_lab 'the SPIRE server has lost its data' 'The data of the SPIRE server was deleted, and the agent still cannot identify any process.'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong whole_file 'INVENTORY' 'The programs get their identities, but the variable INVENTORY was deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() { no_override spire-agent; }

hint true 'What does the agent log when a program connects to it? Compare the log line with the log line in the lesson "unregistered". In that lesson the agent can identify the process that connects. To see the log, run: docker compose logs --tail 3 spire-agent'
hint true 'The kernel tells the agent the process ID of each process that calls the agent. This ID is a number in the PID namespace of the agent. The command "docker inspect" shows the PidMode of a container. Compare the PidMode of the agent with the PidMode of the client. The lesson other-pid-namespace explains the log line of the agent.'
hint true 'The fault: compose.override.yaml took the agent out of the PID namespace of the container node. Remove the line with "pid" from compose.override.yaml, keep the variable INVENTORY, and run "docker compose up --detach spire-agent".'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml started the agent in a separate PID namespace. The kernel gives the agent the
    process ID of each caller, as a number in the agent's PID namespace. Only the processes in this namespace and in its
    descendant namespaces have such a number. For any other process the agent gets the number 0, and cannot attest the
    process.
  How to see it: the agent logs "could not resolve caller information", because it cannot identify the process. It
    does not compare any entry with this process. `docker inspect` shows the PidMode of the agent and of the client.
  What a restart or docker compose up changes: nothing. A restart does not change a container's PidMode, and `docker
    compose up` and `lab up` read the same override again. Bootstrap finds every entry unchanged.
  Seen in production: the linked report is about the message "could not resolve caller information"
    (https://github.com/spiffe/spire-tutorials/issues/56). In Kubernetes the agent's pod has hostPID, so that the
    agent sees the processes of other pods.
  Which scenario shows it: make scenario-other-pid-namespace, where the program is outside of the agent's PID
    namespace
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

inject() {
	override_adds spire-agent <<-'END'
		    pid: ""
	END
	wait_until 60 "the agent is healthy" inside spire-agent '' /opt/spire/bin/spire-agent healthcheck
	restarted client
}
