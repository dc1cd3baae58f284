# shellcheck shell=bash
# the health check connects to the mTLS port, and so writes refusals into the log that learners read
replace compose.yaml '    user: server-workload
' '    user: server-workload
    healthcheck:
      test: ["CMD", "probe", "http://127.0.0.1:8443/healthz"]
'
caught_by check health 'lines in the log of the server'
