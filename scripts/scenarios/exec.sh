# scripts/lab scenario exec
# path and hash selectors must not be treated as a boundary between two programs of one user

step "The hash of the client's program, as the agent computes it"
extras tools
run docker compose exec --user client-workload tools sh -c 'for p in /proc/[0-9]*; do if read -r name <$p/comm && [ "$name" = client ]; then openssl dgst -sha256 -r $p/exe; fi; done'
hash=$(captured '^([0-9a-f]{64}) ' <<<"$output" | head -n 1)
expect "the hash of the running client's program is known" test -n "$hash"

step "The entry names the user, the path and the hash"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
	-selector unix:user:client-workload -selector unix:path:/opt/spiffe-lab/bin/client -selector "unix:sha256:$hash"
expect_success "the entry has three selectors"
expect_soon 30 "no identity issued" "another program of that user gets no identity" docker compose exec --user client-workload tools spire-agent api fetch x509
run docker compose exec --user client-workload client client
expect_success "the client is served"

step "A program of that user connects, passes the connection to a child, and executes the client"
run docker compose exec --user client-workload tools extras exec client -interval 1h
expect_output "the process that connected runs /opt/spiffe-lab/bin/client" "the agent finds the client's program when it attests the process"
expect_output "its child, which runs /opt/spiffe-lab/bin/extras, got the SVID and the key of spiffe://example.org/client" "another program has the client's identity"
explain "The kernel records which process opened the connection. At each request the agent reads path and hash of the program that this process runs now. Any process that holds the file descriptor can use the connection."

step "The same command, run by a different user"
run docker compose exec --user guest-workload tools extras exec client -interval 1h
expect_output "the process that connected runs /opt/spiffe-lab/bin/client" "path and hash match again"
expect_output "PermissionDenied desc = no identity issued" "the child gets no identity"
expect_no_output "got the SVID" "the child gets no key"
expect_log spire-agent "msg=\"No identity issued\" method=FetchX509SVID pid=[0-9]+ registered=false selectors=\"[^\"]*unix:path:/opt/spiffe-lab/bin/client,unix:sha256:$hash,[^\"]*unix:user:guest-workload\"" "the agent refused the request, because the user does not match"
explain "A process cannot become another user without a privilege. So the user is the boundary."

step "Restore the entry"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the entry has one selector again"
expect_soon 30 "Received 1 svid" "any program of that user gets the identity again" docker compose exec --user client-workload tools spire-agent api fetch x509
