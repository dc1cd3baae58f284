#!/usr/bin/env bash
# what is measured must be measured on a real lab, and told for people and for machines
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin
out=$scratch

# bench PARTS: make bench for these, in the quick form, apart from what was measured before.
bench() {
	say "  ${cyan}\$ make bench QUICK=1 ONLY='$1'${plain}"
	exit_status=0
	output=$(BENCH_OUT=$out make --no-print-directory -C "$LAB_DIR" bench QUICK=1 ONLY="$1" 2>&1 </dev/null) || exit_status=$?
	indent <<<"$output"
}

step "The tool's own tests"
(cd "$LAB_DIR/scripts/dev/tools/bench" && go test ./... >"$out/test" 2>&1) || fail "$(cat "$out/test")"
passed "they pass"

step "A part that there is not"
bench "start speed"
expect_exit 2 "it is refused"
expect_output 'ONLY names "speed", which is nothing that is measured' "it says why"

step "A measurement"
bench propagation
expect_success "it succeeds"
expect_output "entry created to SVID" "the table has the figure"
expect "the file for machines has it too" grep -q '"entry created to SVID": {' "$out/results.json"
expect "its lab is gone" test -z "$(docker ps --all --quiet --filter "name=^$project-bench-")"
