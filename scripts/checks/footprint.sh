#!/usr/bin/env bash
# an idle lab must use less than 120 MiB
# shellcheck source=../lib/scenario.sh
. "$(dirname "$0")/../lib/scenario.sh"
begin

# The engine counts the page cache of whoever read a file first, so the lab starts anew on
# warm files.
restore compose up --detach
run down
run up --detach
eventually 30 "the client is served" client_served

step "Memory of every container, as the engine counts it"
total=0
for container in $(compose ps --quiet); do
	line=$(docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' "$container")
	say "    $line"
	total=$((total + $(kib "$(awk '{print $2}' <<<"$line")")))
done
[ "$total" -gt 10240 ] || fail "the engine counts only $total KiB: that is no lab"
[ "$total" -lt 122880 ] || fail "the lab uses $((total / 1024)) MiB"
passed "the lab uses $((total / 1024)) MiB"
