# shellcheck shell=bash
# the health check goes to the mTLS port, and writes refusals into the log that people read
replace compose.yaml '127.0.0.1:8080/healthz"]
      interval: 30s
      timeout: 5s
      retries: 2

  client:' '127.0.0.1:8443/healthz"]
      interval: 30s
      timeout: 5s
      retries: 2

  client:'
caught_by check health 'they leave no trace in the log of the server: server logged: '
