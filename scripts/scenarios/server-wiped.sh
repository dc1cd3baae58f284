# scripts/lab scenario server-wiped
# a SPIRE server that lost its data must be trusted again only after the host is provisioned anew

agent=spiffe://example.org/spire/agent/x509pop/host
distrust='x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority'

entries_are() { [ "$(server_cli entry count)" = "$1" ]; }
refused_anew() { logged spire-agent "Failed to retrieve attestation result.*$distrust"; }
admitted() { server_cli agent show -spiffeID "$agent" && inside client client-workload svid; }
both_rotated() { logged server ' rotated: ' && logged steady ' rotated: '; }

if volume_exists "${project}_spire-server-empty-disk"; then
	step "A trial by hand has left an empty disk that is not empty any more: it is removed"
	run docker compose rm --stop --force spire-agent
	run docker compose up --detach
	run docker volume rm "${project}_spire-server-empty-disk"
	expect_success "the lab is up on its usual disk"
fi

step "Requests all the while, and what the SPIRE server knows"
traffic_begins
run docker compose exec spire-server /opt/spire/bin/spire-server entry count
entries=$output
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
before=$(authority Active <<<"$output")
[ -n "$before" ] || fail "the SPIRE server names no CA"
explain "The CA, the agents and every entry, yours too if you have made some, stand in the SPIRE server's data. Here none of it is lost for good: the scenario sets the disk aside, runs the SPIRE server on an empty one, and puts the old one back at the end."

step "The SPIRE server loses its data, and the agent does not trust it any more"
run SPIRE_SERVER_DISK=spire-server-empty-disk docker compose up --detach --no-deps spire-server
expect_success "the SPIRE server starts on an empty disk"
eventually 60 "it knows no entry any more" entries_are "0 registration entries"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
expect "it has made itself another CA" test "$(authority Active <<<"$output")" != "$before"
eventually 60 "the agent refuses it" logged spire-agent "Failed to fetch authorized entries.*$distrust"
expect_log spire-agent "Trust Bundle and Server don't agree, rebootstrapping" "after 5 s of this the agent ends, to begin anew from the bundle that its operator gave it"
eventually 60 "it has been started again, and has read that bundle" refused_anew
expect_log spire-agent "Failed to retrieve attestation result.*$distrust" "it refuses the SPIRE server still, for the bundle is the old one"
run docker compose exec spire-server /opt/spire/bin/spire-server agent list
expect_output "No attested agents found" "the SPIRE server has let in no agent"
run docker compose exec --user client-workload client client -wait 3s
expect_exit 3 "a program that starts now gets no identity"
expect_output "the socket does not exist" "there is no agent that serves"
explain "To the agent this is no accident but an impostor: a server at the right address, with the right name, that nobody vouches for. It is right not to trust it, and nothing that this server says could change that. The programs that run go on with what they have."

step "Provision the host anew: up, and no other step by hand"
provisioning=$(engine_time)
run SPIRE_SERVER_DISK=spire-server-empty-disk docker compose up --detach
expect_success "bootstrap has run once more"
run docker compose logs --no-log-prefix --tail 6 bootstrap
expect_output 'x509 mint -spiffeID spiffe://example.org/node/host' "the host has a credential and a bundle of the new CA"
eventually 60 "the agent is let in" admitted
expect_log spire-agent "Node attestation was successful" "it trusts the SPIRE server, and proved who it is"
eventually 60 "both programs have an SVID of the new CA" both_rotated
run docker compose exec --user client-workload client client
expect_success "a program that starts now is served"

step "Account for every request"
traffic_ends
if [ "$failed" -eq 0 ]; then
	expect_lossless "both programs changed to the new CA between two requests"
else
	# Whichever side is the later one, the two do not trust each other until it has followed.
	expect_outage "$distrust|remote error: tls: bad certificate" "requests failed only while one program had the new CA and the other had not" "$provisioning"
fi
explain "A CA that is replaced in good order (make scenario-ca-rotation) is trusted before it signs. This one came without notice: in the second that it takes until both programs have heard of it they do not trust each other."

step "Put the old disk back"
run docker compose rm --stop --force spire-agent
run docker compose up --detach
expect_success "the SPIRE server has its old data, and bootstrap has run"
eventually 60 "all entries are there again" entries_are "$entries"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
expect "the CA is the one from before" test "$(authority Active <<<"$output")" = "$before"
eventually 60 "the agent is let in" admitted
