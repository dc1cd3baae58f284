# shellcheck shell=bash
# an agent that ends is not started again
replace compose.yaml '      test: ["CMD", "/opt/spire/bin/spire-agent", "healthcheck"]
      interval: 60s
      timeout: 10s
      retries: 2
    restart: unless-stopped' '      test: ["CMD", "/opt/spire/bin/spire-agent", "healthcheck"]
      interval: 60s
      timeout: 10s
      retries: 2
    restart: "no"'
caught_by scenario server-wiped 'it has been started again, and has read that bundle: not within 60 s'
