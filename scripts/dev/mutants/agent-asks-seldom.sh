# shellcheck shell=bash
# the agent asks the SPIRE server for changes every few seconds only
replace spire/agent/agent.conf 'sync_interval = "250ms"' 'sync_interval = "8s"'
caught_by scenario revocation 'the agent has refused client-workload within 2 s of the deletion: it took '
