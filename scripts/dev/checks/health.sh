#!/usr/bin/env bash
# what keeps running must have a health check that works, and leaves no trace in the log of the server
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin

step "Run the health check of every container, as the engine does"
ill=''
for service in $(compose ps --services | grep -vx node); do
	check=$(docker inspect --format '{{with .Config.Healthcheck}}{{range .Test}}{{.}} {{end}}{{end}}' "$(container_of "$service")")
	[ -n "$check" ] || fail "$service has no health check"
	# shellcheck disable=SC2086 # the words of the check
	run docker compose exec "$service" ${check#CMD }
	[ "$exit_status" -eq 0 ] || ill="$ill $service"
done
expect_no_log server 'TLS handshake error' "they leave no trace in the log of the server"
explain "A probe of port 8443 would have no certificate to show. Each would be a refusal in the log in which one looks for refusals."
[ -z "$ill" ] || fail "the health check fails of:$ill"
passed "every health check succeeds"
