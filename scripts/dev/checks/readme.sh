#!/usr/bin/env bash
# what README.md quotes must be what its commands print
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin
printed=$scratch/printed

asked_twice() { [ "$(log_of server | grep -c 'Request received')" -ge 2 ]; }

# make_prints TARGET: keeps the command, as README.md has it, with what it prints.
make_prints() {
	say "\$ make $1" >>"$printed"
	make --no-print-directory -C "$LAB_DIR" "$1" >>"$printed" 2>&1 || fail "make $1: $(tail -n 1 "$printed")"
	passed "make $1"
}

step "The commands of README.md, on empty volumes"
run docker compose down --volumes
make_prints up
eventually 15 "the server has been asked twice" asked_twice
compose logs --no-color server >>"$printed"
make_prints scenario-bad-id

# keep COMMAND...: keeps what any other command prints, too, however it ends.
keep() {
	say "\$ $*" >>"$printed"
	"$@" >>"$printed" 2>&1 || true
}

step "Find it yourself"
export FAULTS_KEPT=$scratch/faults
mkdir "$FAULTS_KEPT"
cd "$LAB_DIR"
keep make --no-print-directory break NAME=clean-up
keep make --no-print-directory check
keep make --no-print-directory hint
keep compose logs --no-log-prefix --tail 1 spire-agent
keep compose exec -T spire-server /opt/spire/bin/spire-server entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
PATIENCE=60 keep make --no-print-directory check
say "\$ make break NAME=clean-up
\$ make check
\$ make hint
\$ docker compose logs --no-log-prefix --tail 1 spire-agent
\$ docker compose exec spire-server /opt/spire/bin/spire-server entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload" >>"$printed"

step "Line by line"
output=$("$LAB_DIR/scripts/dev/lessons.sh" "$LAB_DIR/README.md" "$printed" 2>&1) || fail "README.md is not true: $output"
passed "each line that README.md quotes was printed, but for times, addresses and serial numbers"

step "The lab's own entries again"
run docker compose down --volumes
make_prints up
