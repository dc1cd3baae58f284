# shellcheck shell=bash
# the health check goes to the mTLS port, and writes refusals into the log that people read
replace compose.yaml '    user: server-workload
' '    user: server-workload
    healthcheck:
      test: ["CMD", "probe", "http://127.0.0.1:8443/healthz"]
'
caught_by check health 'they leave no trace in the log of the server: server logged: '
