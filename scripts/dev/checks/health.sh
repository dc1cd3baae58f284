# scripts/lab script scripts/dev/checks/health.sh
# what keeps running must have a health check that works, and leaves no trace in the log of the server

step "Run the health check of every container, as the engine does"
run docker compose ps --services
unhealthy=''
for service in $(say "$output" | grep -E '^([^n]|n[^o])'); do
	run docker inspect --format '{{with .Config.Healthcheck}}{{range .Test}}{{.}} {{end}}{{end}}' "$project-$service-1"
	expect "$service has a health check" test -n "$output"
	run docker compose exec "$service" ${output#CMD }
	if test "$exit_status" -ne 0; then unhealthy="$unhealthy $service"; fi
done
expect_no_log server 'TLS handshake error' "they leave no trace in the log of the server"
explain "A probe of port 8443 would have no certificate to show. Each would be a refusal in the log in which one looks for refusals."
if test -n "$unhealthy"; then fail "the health check fails of:$unhealthy"; fi
passed "every health check succeeds"
