# scripts/lab scenario ca-rotation
# the CA must be replaced in steps while requests are sent, and no request may fail

# trusted: prints how many CAs the client's bundle has.
trusted() { inside tools client-workload spire-agent api fetch x509 | grep -cE '^CA #.* Valid After:'; }
trusts() { [ "$(trusted)" -eq "$1" ]; }

# see_bundle N WHY: waits until the client's bundle has N CAs. Then it shows and saves the client's SVID and bundle.
see_bundle() {
	eventually 60 "$2" trusts "$1"
	run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
	expect_success "the client has its SVID and the bundle"
}

# see_signer CA WHY: checks that this CA has signed the SVID that see_bundle saved.
see_signer() {
	run docker compose exec --user client-workload tools openssl x509 -in svid.0.pem -noout -ext authorityKeyIdentifier
	[ "$(tail -n 1 <<<"$output" | key_id)" = "$1" ] || fail "$2: a different CA has signed it"
	passed "$2"
}

step "Requests are sent all the time; show the current CA"
extras tools
traffic_begins
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show
old=$(authority Active <<<"$output")
expect_output "No prepared X.509 authority found" "no CA rotation is in progress"
n=$(trusted)
see_bundle "$n" "the client trusts this CA"
see_signer "$old" "this CA has signed the client's SVID"

step "Prepare a new CA: it is trusted from now on, and signs nothing yet"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 prepare
expect_success "the SPIRE server has a second key"
new=$(captured '^ *Authority ID: (.*)$' <<<"$output")
see_bundle $((n + 1)) "the new CA has reached the client's bundle"
see_signer "$old" "the client still has an SVID of the old CA"
explain "The new CA must be trusted before it signs. A program without the new CA in its bundle would refuse every SVID that this CA signed."

step "Activate the new CA: it signs everything from now on"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 activate -authorityID "$new"
expect_success "the new CA signs"
run docker compose run --rm --no-deps bootstrap
expect_success "the new CA has signed the host's credential, and the host's bundle has both CAs"
see_bundle $((n + 1)) "the client trusts both CAs"
see_signer "$old" "the client still has its old SVID, which is still valid"
explain "The old CA had signed the host's credential. With that credential, a restarted agent could not attest after the old CA is revoked. So bootstrap made a new credential. In production the hosts' credentials usually come from a CA that is not SPIRE's."

step "Taint the old CA: everything that it has signed is replaced"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 taint -authorityID "$old"
expect_success "the old CA is tainted"
eventually 60 "the server has an SVID of the new CA" logged server ' rotated: '
eventually 60 "the client has an SVID of the new CA, too" logged steady ' rotated: '
eventually 60 "the agent has re-attested" logged spire-agent 'Successfully reattested node'
see_bundle $((n + 1)) "the client still trusts both CAs, because its peers may have old SVIDs"
see_signer "$new" "the new CA has signed the client's SVID"

step "Revoke the old CA: it is no longer trusted"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 revoke -authorityID "$old"
expect_success "the old CA is revoked"
see_bundle "$n" "the client's bundle no longer has the old CA"
run docker compose run --rm --no-deps bootstrap
expect_success "the bundle file for the agent's next start no longer has the old CA"
run docker compose exec spire-server /opt/spire/bin/spire-server localauthority x509 show

step "Check that a restarted agent can still attest"
run docker compose restart spire-agent
expect_success "the agent is restarted"
expect_log spire-agent 'Node attestation was successful' "the agent attests with its new credential, and trusts the new CA"
run docker compose exec --user client-workload client client -wait 15s
expect_success "a program that starts now is served"

step "Account for every request"
traffic_ends
expect_lossless "the CA was replaced without a failed request"
