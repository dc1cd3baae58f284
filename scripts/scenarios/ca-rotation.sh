# scripts/lab scenario ca-rotation
# the CA must be replaced under traffic, step by step, without one failed request

# trusted: how many CAs the client's bundle has.
trusted() { inside tools client-workload spire-agent api fetch x509 | grep -cE '^CA #.* Valid After:'; }
trusts() { [ "$(trusted)" -eq "$1" ]; }

# see_bundle N WHY: what the Workload API gives to the client: its SVID, and the CAs it is to trust.
see_bundle() {
	eventually 60 "$2" trusts "$1"
	run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
	expect_success "the client has its SVID and the bundle"
}

# see_signer CA WHY: the CA that has signed the SVID just fetched, in the way a certificate names it.
see_signer() {
	run docker compose exec --user client-workload tools openssl x509 -in svid.0.pem -noout -ext authorityKeyIdentifier
	[ "$(tail -n 1 <<<"$output" | key_id)" = "$1" ] || fail "$2: it is another"
	passed "$2"
}

step "Requests all the while, and the CA as it is"
extras tools
traffic_begins
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
old=$(authority Active <<<"$output")
expect_output "No prepared X.509 authority found" "no change of the CA is under way"
n=$(trusted)
see_bundle "$n" "the client trusts it"
see_signer "$old" "it has signed the client's SVID"

step "Prepare a new one: it is trusted from now on, and signs nothing yet"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 prepare
expect_success "the SPIRE server has a second key"
new=$(captured '^ *Authority ID: (.*)$' <<<"$output")
see_bundle $((n + 1)) "the new CA has reached the client's bundle"
see_signer "$old" "the client's SVID is the old one"
explain "Trust goes first. An SVID that is signed by a CA which some program has not heard of yet would be refused by it."

step "Activate it: it signs whatever is signed from now on"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 activate -authorityID "$new"
expect_success "the new CA signs"
run docker compose run --rm --no-deps bootstrap
expect_success "the host is provisioned: its credential is of the new CA, its bundle has both"
see_bundle $((n + 1)) "the client trusts both"
see_signer "$old" "the client's SVID is still the old one, and still good"
explain "The agent proves who it is with a credential that the old CA had signed. When that CA is gone this would be worthless, and an agent that is restarted would stay out: so bootstrap makes it anew, now. In production the CA behind the hosts is usually another one."

step "Taint the old one: all that it has signed is to be replaced"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 taint -authorityID "$old"
expect_success "the old CA is tainted"
eventually 60 "the server has an SVID of the new CA" logged server ' rotated: '
eventually 60 "so has the client" logged steady ' rotated: '
eventually 60 "the agent has attested anew" logged spire-agent 'Successfully reattested node'
see_bundle $((n + 1)) "the client trusts both, for its peers may not be as far"
see_signer "$new" "its SVID is of the new CA"

step "Revoke it: it is trusted no more"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 revoke -authorityID "$old"
expect_success "the old CA is revoked"
see_bundle "$n" "it has left the client's bundle"
run docker compose run --rm --no-deps bootstrap
expect_success "it has left the bundle with which the agent starts"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show

step "The host is whole: an agent that starts anew is let in"
run docker compose restart spire-agent
expect_success "the agent is restarted"
expect_log spire-agent 'Node attestation was successful' "it attests with its new credential, and trusts the new CA"
run docker compose exec --user client-workload client client -wait 15s
expect_success "a program that starts now is served"

step "Account for every request"
traffic_ends
expect_lossless "the CA was replaced, and nobody noticed"
