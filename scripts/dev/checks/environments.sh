#!/usr/bin/env bash
# a machine that nobody prepared must have its lab, or be told in two lines why not, before anything is changed
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin

step "The environments for which no lab need be started: make environments QUICK=1"
status=0
output=$(ONLY="" QUICK=1 bash "$LAB_DIR/scripts/dev/environments.sh" 2>&1) || status=$?
say "$output"
[ "$status" -eq 0 ] || fail "$(tail -n 1 <<<"$output")"
expect_no_output '  FAIL ' "none of them fails"
expect_output ', 0 failed' "the last line counts them"
