# scripts/lab scenario server-wiped
# a SPIRE server that lost its data must be refused until bootstrap has run again on the host

agent=spiffe://example.org/spire/agent/x509pop/host
distrust='x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority'

entries_are() { [ "$(server_cli entry count)" = "$1" ]; }
refused_again() { logged spire-agent "Failed to retrieve attestation result.*$distrust"; }
attested() { server_cli agent show -spiffeID "$agent" && inside client client-workload svid; }
both_rotated() { logged server ' rotated: ' && logged steady ' rotated: '; }

if volume_exists "${project}_spire-server-empty-disk"; then
	step "Remove the empty disk that an earlier run has left"
	run docker compose rm --stop --force spire-agent
	run docker compose up --detach
	run docker volume rm "${project}_spire-server-empty-disk"
	expect_success "the lab is up with its usual disk"
fi

step "Send requests all the time, and show the data of the SPIRE server"
traffic_begins
run docker compose exec spire-server /opt/spire/bin/spire-server entry count
entries=$output
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
before=$(authority Active <<<"$output")
[ -n "$before" ] || fail "the SPIRE server names no CA"
explain "The SPIRE server's disk has the CA, the agents and all entries, also those that you created. The scenario keeps that disk, runs the SPIRE server with an empty disk, and mounts the old disk again at the end."

step "The SPIRE server loses its data, and the agent refuses it"
run SPIRE_SERVER_DISK=spire-server-empty-disk docker compose up --detach --no-deps spire-server
expect_success "the SPIRE server starts with an empty disk"
eventually 60 "the SPIRE server has no entries" entries_are "0 registration entries"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
expect "the SPIRE server has made a new CA" test "$(authority Active <<<"$output")" != "$before"
eventually 60 "the agent refuses the SPIRE server" logged spire-agent "Failed to fetch authorized entries.*$distrust"
expect_log spire-agent "Trust Bundle and Server don't agree, rebootstrapping" "after 5 s the agent exits, to start again with the operator's bundle"
eventually 60 "the agent has been restarted, and has read the operator's bundle" refused_again
expect_log spire-agent "Failed to retrieve attestation result.*$distrust" "the agent still refuses the SPIRE server, because the operator's bundle has the old CA"
run docker compose exec spire-server /opt/spire/bin/spire-server agent list
expect_output "No attested agents found" "no agent has attested to the SPIRE server"
run docker compose exec --user client-workload client client -wait 3s
expect_exit 3 "a program that starts now gets no identity"
expect_output "the socket does not exist" "no agent serves the Workload API"
explain "The agent cannot distinguish this SPIRE server from an impostor. The SPIRE server has the right address and name, but no CA in the trust bundle signed the SPIRE server's certificate. So the agent must refuse. The running programs continue with the SVIDs that they have."

step "Run bootstrap again, with docker compose up"
provisioning=$(engine_time)
run SPIRE_SERVER_DISK=spire-server-empty-disk docker compose up --detach
expect_success "bootstrap has run again"
run docker compose logs --no-log-prefix --tail 6 bootstrap
expect_output 'x509 mint -spiffeID spiffe://example.org/node/host' "the host has a credential from the new CA, and the bundle with this CA"
eventually 60 "the agent is attested" attested
expect_log spire-agent "Node attestation was successful" "agent and SPIRE server have authenticated each other"
eventually 60 "both programs have an SVID from the new CA" both_rotated
run docker compose exec --user client-workload client client
expect_success "a program that starts now is served"

step "Account for every request"
traffic_ends
if [ "$failed" -eq 0 ]; then
	expect_lossless "both programs changed to the new CA between two requests"
else
	# Until both sides have the new bundle, they do not trust each other.
	expect_outage "$distrust|remote error: tls: bad certificate" "requests failed only while one program had the new CA and the other did not" "$provisioning"
fi
explain "In a planned rotation (make scenario-ca-rotation) a new CA is trusted before it signs. This CA signed at once, so the two programs may refuse each other until both have the new bundle."

step "Mount the old disk again"
run docker compose rm --stop --force spire-agent
run docker compose up --detach
expect_success "the SPIRE server has its old data, and bootstrap has run"
eventually 60 "the SPIRE server has all entries again" entries_are "$entries"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
expect "the SPIRE server has its old CA again" test "$(authority Active <<<"$output")" = "$before"
eventually 60 "the agent is attested" attested
