#!/usr/bin/env bash
# an idle lab must use less than 120 MiB
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin

# The engine counts the page cache of whoever read a file first, so the lab starts anew on
# warm files.
run docker compose down
run docker compose up --detach
eventually 30 "the client is served" client_served

step "Memory of every container, as the engine counts it"
compose ps --quiet | xargs docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' >"$scratch/memory"
indent <"$scratch/memory"
total=$(part classroom memory <"$scratch/memory") || fail "$total"
[ "$total" -gt 10240 ] || fail "the engine counts only $total KiB: that is no lab"
[ "$total" -lt 122880 ] || fail "the lab uses $((total / 1024)) MiB"
passed "the lab uses $((total / 1024)) MiB"
