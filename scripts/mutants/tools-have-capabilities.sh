# shellcheck shell=bash
# a container of the cast has capabilities
replace compose.yaml '    user: guest-workload
    environment: &workload-api' '    user: guest-workload
    cap_add: [NET_ADMIN]
    environment: &workload-api'
caught_by check least-privilege 'tools has a privilege that it does not need, added capabilities: [NET_ADMIN]'
