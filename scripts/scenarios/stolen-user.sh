# scripts/lab scenario stolen-user
# once the entry names the program's hash, a process of client-workload that runs another program must get no identity

step "As long as the entry says only unix:user, another program of that user gets the identity"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -entryID client
expect_output "Selector                : unix:user:client-workload" "the entry names the user"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
expect_output "spiffe://example.org/client" "spire-agent's command line, which is not the client, gets the client's identity"
run docker compose exec --user client-workload tools curl -sS -k --cert svid.0.pem --key svid.0.key https://server:8443/stolen
expect_output "Success!!!" "with it, curl is served"
expect_log server 'Request received from "spiffe://example.org/client": GET "/stolen"' "the server takes it for the client"

step "Ask the running client for the hash of its program, as the agent does"
run docker compose exec --user client-workload tools sh -c 'for p in /proc/[0-9]*; do if read -r name <$p/comm && [ "$name" = client ]; then openssl dgst -sha256 -r $p/exe; fi; done'
hash=$(captured '^([0-9a-f]{64}) ' <<<"$output" | head -n 1)
expect "the client's process has a program, and that a hash" test -n "$hash"

step "Let the entry name the program beside the user"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
	-selector unix:user:client-workload -selector "unix:sha256:$hash"
expect_success "the entry has both selectors"
expect_soon 30 "rpc error: code = PermissionDenied desc = no identity issued" "the other program gets no identity any more" \
	docker compose exec --user client-workload tools spire-agent api fetch x509
expect_exit 1 "it ends with an error"
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false selectors="[^"]*unix:user:client-workload"' "the agent found no entry whose selectors all match: the user is right"
expect_no_log spire-agent "unix:sha256:$hash" "the program is another"
run docker compose exec --user client-workload client client
expect_success "the real client still has its identity"
expect_output "Success!!!" "it is served"

step "What was stolen before stays stolen until it expires"
run docker compose exec --user client-workload tools curl -sS -k --cert svid.0.pem --key svid.0.key https://server:8443/still-stolen
expect_output "Success!!!" "curl is served with the SVID of before"
explain "A selector decides who gets an SVID. An SVID that was given is good until it expires, for whoever holds its key: so lifetimes are short."

step "The entry as it was"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the entry has the one selector again"
