#!/usr/bin/env bash
# what README.md quotes must be what its commands print
# shellcheck source=../lib/scenario.sh
. "$(dirname "$0")/../lib/scenario.sh"
begin
printed=$(mktemp)
restore rm -f "$printed"
restore compose up --detach

asked_twice() { [ "$(log_of server | grep -c 'Request received')" -ge 2 ]; }

# make_prints TARGET: keeps the command, as README.md has it, with what it prints.
make_prints() {
	say "\$ make $1" >>"$printed"
	make --no-print-directory -C "$LAB_DIR" "$1" >>"$printed" 2>&1 || fail "make $1: $(tail -n 1 "$printed")"
	passed "make $1"
}

step "The commands of README.md, on empty volumes"
run down --volumes
make_prints up
eventually 15 "the server has been asked twice" asked_twice
compose logs --no-color server >>"$printed"
make_prints scenario-bad-id

step "Line by line"
output=$("$LAB_DIR/scripts/lessons.sh" "$LAB_DIR/README.md" "$printed" 2>&1) || fail "README.md is not true: $output"
passed "each line that README.md quotes was printed, but for times, addresses and serial numbers"
