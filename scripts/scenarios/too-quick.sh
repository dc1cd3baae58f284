# scripts/lab scenario too-quick
# a job that starts before its entry has reached the agent must wait for its SVID

rounds=$(quick 3 10)
refused=0

step "SPIRE's default intervals: 5 seconds for the SPIRE server, 5 seconds for the agent"
run CACHE_RELOAD_INTERVAL=5s docker compose up --detach --no-deps spire-server
expect_success "the SPIRE server reads its entries every 5 s"
run SYNC_INTERVAL=5s docker compose up --detach --no-deps spire-agent
expect_success "the agent asks the SPIRE server for entries every 5 s"
extras path-server
eventually 60 "the client is served, with an SVID from the restarted agent" served
expect_log path-server 'serving on' "the server for the jobs is ready"

for ((i = 1; i <= rounds; i++)); do
	step "A job starts as soon as its entry is created ($i of $rounds)"
	user=$((5000 + i))
	run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID "scenario-too-quick-$i" -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector "unix:uid:$user"
	expect_success "the entry is created"
	run docker compose exec --user "$user" client svid
	if [ "$exit_status" -ne 0 ]; then
		expect_output "rpc error: code = PermissionDenied desc = no identity issued" "a program that asks once is refused"
		refused=$((refused + 1))
	fi
	run docker compose exec --user "$user" client client -wait 30s -url https://path-server:8443/prices
	expect_success "a program that waits gets its SVID, and is served"
	expect_log path-server "audit: allowed \"spiffe://example\.org/guest\" GET \"/prices\"" "the server logs the SPIFFE ID of the program"
done

step "Count the programs that asked too early"
expect "of $rounds programs that asked once, $refused were refused" test "$refused" -ge 1
explain "A new entry reaches the agent after some seconds. Until then the agent answers as if there were no entry. So a program must retry, with a deadline."

step "Restore the lab's own intervals"
run docker compose up --detach --no-deps spire-server
expect_success "the SPIRE server has its usual settings"
run docker compose up --detach --no-deps spire-agent
expect_success "the agent has its usual settings"
eventually 60 "the client is served, with an SVID from the restarted agent" served
