# shellcheck shell=bash
# the agent asks the SPIRE server for changes only every few seconds
# shellcheck disable=SC2016 # a variable of the file
replace spire/agent/agent.conf 'sync_interval = "$SYNC_INTERVAL"' 'sync_interval = "8s"'
caught_by scenario revocation 'the agent has refused client-workload within 2 s of the deletion: it took '
