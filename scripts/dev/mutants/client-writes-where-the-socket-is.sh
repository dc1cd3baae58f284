# shellcheck shell=bash
# a workload can put a socket of its own in the place of the Workload API's
replace compose.yaml '    user: client-workload
' '    user: client-workload
    volumes:
      - workload-api:/tmp/spire-agent/public
'
caught_by check least-privilege 'client has a privilege that it does not need, mounts: _workload-api on /tmp/spire-agent/public (it needs'
