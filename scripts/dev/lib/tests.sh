# Sourced after host.sh by the tests that play a whole machine: each expectation is a line, and they are counted.
# shellcheck shell=bash

passed=0 failed=0
tests_out=''

tests_begin() { tests_out=$(mktemp); }

# test_that WHAT COMMAND...: counted; what the command says is shown if it fails.
test_that() {
	local what=$1
	shift
	if "$@" >"$tests_out" 2>&1; then
		say "ok   $what"
		passed=$((passed + 1))
	else
		say "FAIL $what"
		sed 's/^/  /' "$tests_out"
		failed=$((failed + 1))
	fi
}

# tests_end: the closing line; fails if an expectation was not met, or if there was none.
tests_end() {
	rm -f "$tests_out"
	say "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
