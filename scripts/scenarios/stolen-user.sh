# scripts/lab scenario stolen-user
# once the entry has the program's hash, a process of client-workload that runs a different program must get no identity

step "While the entry has only a user selector, every program of that user gets the identity"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -entryID client
expect_output "Selector                : unix:user:client-workload" "the entry has one selector, the user"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
expect_output "spiffe://example.org/client" "spire-agent's command line, which is not the client, gets the client's identity"
run docker compose exec --user client-workload tools curl -sS -k --cert svid.0.pem --key svid.0.key https://server:8443/stolen
expect_output "Success!!!" "curl is served with this SVID"
expect_log server 'Request received from "spiffe://example.org/client": GET "/stolen"' "the server accepts curl as the client"

step "Compute the hash of the client's program, as the agent does"
run docker compose exec --user client-workload tools sh -c 'for p in /proc/[0-9]*; do if read -r name <$p/comm && [ "$name" = client ]; then openssl dgst -sha256 -r $p/exe; fi; done'
hash=$(captured '^([0-9a-f]{64}) ' <<<"$output" | head -n 1)
expect "the hash of the running client's program is known" test -n "$hash"

step "The entry names the program as well as the user"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client \
	-selector unix:user:client-workload -selector "unix:sha256:$hash"
expect_success "the entry has both selectors"
expect_soon 30 "rpc error: code = PermissionDenied desc = no identity issued" "spire-agent's command line gets no identity any more" \
	docker compose exec --user client-workload tools spire-agent api fetch x509
expect_exit 1 "spire-agent's command line exits with an error"
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false selectors="[^"]*unix:user:client-workload"' "no entry matches, although the user is right"
expect_no_log spire-agent "unix:sha256:$hash" "the hash in the agent's log is not the client's"
run docker compose exec --user client-workload client client
expect_success "the lab's client still gets its identity"
expect_output "Success!!!" "the lab's client is served"

step "An SVID that was stolen before is valid until it expires"
run docker compose exec --user client-workload tools curl -sS -k --cert svid.0.pem --key svid.0.key https://server:8443/still-stolen
expect_output "Success!!!" "curl is still served with the SVID that was fetched earlier"
explain "Selectors decide which process gets an SVID. Once issued, an SVID is valid until it expires, for anyone who has its key. Therefore SVIDs have short lifetimes."

step "Restore the entry"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the entry has one selector again"
