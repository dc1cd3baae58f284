# shellcheck shell=bash
# the admin socket of the SPIRE server is mounted into a workload
replace compose.yaml '    user: client-workload
' '    user: client-workload
    volumes:
      - workload-api:/tmp/spire-agent/public:ro
      - spire-server-admin:/tmp/spire-server/private
'
caught_by check least-privilege 'client has a privilege that it does not need, mounts: _spire-server-admin on /tmp/spire-server/private'
