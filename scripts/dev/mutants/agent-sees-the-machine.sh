# shellcheck shell=bash
# the agent sees every process of the machine (pid: host)
replace compose.yaml '    command: ["-config", "/etc/spire/agent/agent.conf", "-expandEnv"]
    pid: service:node' '    command: ["-config", "/etc/spire/agent/agent.conf", "-expandEnv"]
    pid: host'
caught_by check least-privilege 'PID namespace: host (it needs '
caught_by scenario other-pid-namespace 'the copy gets no identity: exit status is 0, not 1'
