#!/usr/bin/env bash
# plain `docker compose up` must show what the lab's programs say, and none of SPIRE's own log
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin
shown=$scratch/shown

# told TEXT: the attached up has shown it.
told() { grep -Fq -- "$1" "$shown"; }

step "Attached up, on empty volumes"
run docker compose down --volumes
compose up --no-color >"$shown" 2>&1 </dev/null &
up=$!
eventually 30 "it shows the client's success" told 'Success!!!'
eventually 10 "it shows the server's side" told 'Request received from "spiffe://example.org/client"'
expect "it shows the commands of bootstrap" told '$ spire-server entry create'
if grep -E '^spire-(agent|server)-1 ' "$shown"; then fail "it shows SPIRE's own log"; fi
passed "it does not show SPIRE's own log"
kill -TERM "$up" 2>/dev/null || true
wait "$up" || true

step "SPIRE's log is there for who asks"
run docker compose logs --no-color --tail 3 spire-agent
expect_output "spire-agent-1" "docker compose logs spire-agent has it"

step "Up, as it was"
run docker compose up --detach
eventually 30 "a client is served" served
