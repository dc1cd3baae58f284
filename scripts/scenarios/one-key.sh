# scripts/lab scenario one-key
# all processes that match one entry must get the same key, which the agent made and keeps

agent=spiffe://example.org/spire/agent/x509pop/host

# fetch SERVICE: a new process of client-workload, in the container of this service, writes its SVID into files.
fetch() { run docker compose exec --user client-workload "$1" spire-agent api fetch x509 -write /scratch; }

# key_of SERVICE: prints the hash of the public key that belongs to the fetched private key, and the serial number of the SVID.
key_of() { run docker compose exec --user client-workload "$1" sh -c 'openssl pkey -in svid.0.key -pubout | openssl dgst -sha256 -r; openssl x509 -in svid.0.pem -noout -serial'; }

attested() { server_cli agent show -spiffeID "$agent" | grep -E '^Serial number' && inside client client-workload svid; }

step "Two processes of client-workload, in two containers, ask for their SVIDs"
extras tools impostor
fetch tools
expect_success "the first process has an SVID and a key"
fetch impostor
expect_success "the second process has an SVID and a key, too"
key_of tools
first=$output
expect "the first process has a key" test -n "$(captured '^([0-9a-f]{64}) ' <<<"$first")"
key_of impostor
expect "the second process has the same key, and the same serial number" test "$output" = "$first"
explain "The agent makes the key, gets a certificate for this key from the SPIRE server, and keeps both. Every process that matches the entry gets a copy of the key and the certificate."

step "The agent starts again"
run docker compose restart spire-agent
expect_soon 30 "Received 1 svid" "a new process gets its SVID from the restarted agent" docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
key_of tools
second=$output
expect "the process has a key" test -n "$(captured '^([0-9a-f]{64}) ' <<<"$second")"
expect "the key is new, because the agent kept the first key in memory only" test "$(captured '^([0-9a-f]{64}) ' <<<"$second")" != "$(captured '^([0-9a-f]{64}) ' <<<"$first")"
run docker compose exec --user client-workload impostor curl -sSk --cert svid.0.pem --key svid.0.key https://server:8443/first-key
expect_output "Success!!!" "the first key still works, because its SVID has not expired"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/first-key"' "the server accepts curl as the client"

step "The agent is banned"
run docker compose exec spire-server /opt/spire/bin/spire-server agent ban -spiffeID "$agent"
expect_success "the SPIRE server has banned the agent"
expect_log spire-agent 'Agent is banned: removing SVID and shutting down' "the agent removes its own SVID, and exits"
run docker compose exec --user client-workload tools curl -sSk --cert svid.0.pem --key svid.0.key https://server:8443/banned
expect_output "Success!!!" "the key that a process has already received still works"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/banned"' "the server accepts curl as the client"
run docker compose exec tools openssl x509 -in svid.0.pem -noout -enddate
explain "A ban stops the agent. It does not revoke the keys that the agent has delivered. Each key works until its SVID expires."

step "Eviction lifts the ban"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID "$agent"
expect_success "the SPIRE server has forgotten the agent and its ban"
run docker compose restart spire-agent
expect_success "the agent is started"
eventually 75 "the agent is attested again" attested
eventually 30 "the running client is served" served
