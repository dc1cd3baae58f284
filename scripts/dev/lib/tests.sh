# Sourced after host.sh by tests that simulate a whole machine. Each expectation prints a line, and is counted.
# shellcheck shell=bash

passed=0 failed=0
tests_out=''

tests_begin() { tests_out=$(mktemp); }

# test_that WHAT COMMAND...: counts an expectation, and prints the command's output if it fails.
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

# tests_end: prints the counts as the last line. It fails if an expectation failed, or if there was no expectation.
tests_end() {
	rm -f "$tests_out"
	say "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
