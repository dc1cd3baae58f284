# scripts/lab script scripts/dev/checks/programs.sh
# both programs must say why they do not start, must give up in time, and must stop when told to

step "A user without a registration entry"
for program in client server; do
	run docker compose exec --user 4242 "$program" "$program" -wait 4s
	expect_exit 3 "the $program gives up with the status for no identity"
	expect_output "waiting for an identity, 3s of 4s: uid 4242 at SPIFFE_ENDPOINT_SOCKET unix:///tmp/spire-agent/public/api.sock: rpc error: code = PermissionDenied desc = no identity issued" "it says what it waits for"
	expect_output "$program: no identity after 4s: uid 4242" "it says that it gave up"
	expect_output "likely cause: no registration entry matches this process (make entries shows them)" "it says the likely cause"
done

step "A port that is in use"
run docker compose exec --user server-workload server server
expect_exit 1 "the server does not start"
expect_output "server: -listen: listen tcp :8443: bind: address already in use; want a free address such as :8443" "it names the flag and what would be right"

step "SIGTERM"
for program in server client; do
	run docker compose stop "$program"
	expect_success "$program stops"
	run docker inspect --format '{{.State.ExitCode}}' "$project-$program-1"
	expect "$program ended by itself, before Compose would have killed it" test "$output" = 0
done

step "Both again"
run docker compose up --detach
eventually 30 "a client is served" served
