# shellcheck shell=bash
# a workload can put a socket of its own in the place of the Workload API's
replace compose.yaml '      - workload-api:/tmp/spire-agent/public:ro
    depends_on: [server]' '      - workload-api:/tmp/spire-agent/public
    depends_on: [server]'
caught_by check least-privilege 'client has a privilege that it does not need, mounts: _workload-api on /tmp/spire-agent/public (it needs'
