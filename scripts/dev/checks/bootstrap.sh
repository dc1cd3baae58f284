#!/usr/bin/env bash
# bootstrap must be repeatable, mend what differs, and stop at every other failure
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin

step "Over a lab that is as it should be, bootstrap changes nothing"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show
before=$output
run docker compose run --rm --no-deps bootstrap
expect_success "bootstrap succeeds"
expect_output "entry for spiffe://example.org/client is as it should be" "it says so of the client's entry"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show
expect "the entries are what they were" test "$output" = "$before"

step "An entry that differs is updated"
run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:server-workload -x509SVIDTTL 60
expect_success "the client's entry is spoiled"
run docker compose run --rm --no-deps bootstrap
expect_success "bootstrap succeeds"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -entryID client
expect_output "Selector                : unix:user:client-workload" "the selector is right again"
expect_output "X509-SVID TTL           : default" "the TTL is right again"

step "An entry that a learner deleted and made by hand is left alone"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID client
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the entry is made by hand, under an ID of SPIRE's choice"
run docker compose run --rm --no-deps bootstrap
expect_success "bootstrap succeeds"
run docker compose exec spire-server /opt/spire/bin/spire-server entry show -spiffeID spiffe://example.org/client
expect_output "Found 1 entry" "there is still one entry"
id=$(sed -n 's/^Entry ID *: //p' <<<"$output")
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID "$id"
run docker compose run --rm --no-deps bootstrap
expect_success "bootstrap makes the deleted entry again"

step "A command that fails stops it, with the command and what it said"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID client
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID client -parentID spiffe://example.org/elsewhere -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the lab's entry ID is taken by an entry under another parent"
run docker compose run --rm --no-deps bootstrap
expect_exit 1 "bootstrap fails"
expect_output "'spire-server entry create -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload' failed with exit status 1" "it names the command"
expect_output "Failed to create the following entry" "it shows what the command said"
expect_no_output "bootstrap: done" "it went no further"
run docker compose exec spire-server /opt/spire/bin/spire-server entry delete -entryID client
run docker compose run --rm --no-deps bootstrap
expect_success "with the intruder deleted, bootstrap makes the entry"
