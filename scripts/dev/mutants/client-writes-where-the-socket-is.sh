# shellcheck shell=bash
# a workload can replace the socket of the Workload API by its own
replace compose.yaml '    user: client-workload
' '    user: client-workload
    volumes:
      - workload-api:/tmp/spire-agent/public
'
caught_by check least-privilege 'client has a privilege that it does not need, mounts: _workload-api on /tmp/spire-agent/public (it needs'
