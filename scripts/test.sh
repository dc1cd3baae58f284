#!/usr/bin/env bash
# The one test command: Go unit tests with the race detector, then every check and every
# scenario against a lab of its own, which is removed at the end. Ends with "N passed, N failed".
set -euo pipefail
# shellcheck source=lib/lab.sh
. "$(dirname "$0")/lib/lab.sh"

passed=0
failed=0
log=$(mktemp -d)
export COMPOSE_PROJECT_NAME="spiffe-lab-test-$$"

cleanup() {
	local status=$?
	trap '' INT TERM
	compose --profile '*' down --volumes --remove-orphans >"$log/down.log" 2>&1 || { cat "$log/down.log" >&2 && status=1; }
	rm -rf "$log"
	exit "$status"
}

unit_tests() {
	local status=0 ok bad
	say "unit tests, with the race detector"
	(cd "$LAB_DIR" && go test -race -v ./...) >"$log/unit" 2>&1 || status=$?
	ok=$(grep -Ec '^ *--- PASS' "$log/unit" || true)
	bad=$(grep -Ec '^ *--- FAIL' "$log/unit" || true)
	if [ "$status" -ne 0 ]; then
		# A package that does not compile has no failing test, and is a failure.
		[ "$bad" -gt 0 ] || bad=1
		grep -vE '^ *(=== |--- PASS)' "$log/unit" || true
	fi
	say "  $ok passed, $bad failed ($SECONDS s)"
	passed=$((passed + ok)) failed=$((failed + bad))
}

lesson_holds() {
	[ ! -f "$1" ] || "$LAB_DIR/scripts/lessons.sh" "$2" "$log/one" >"$log/lesson"
}

# one FILE: its whole story is shown only if it fails. A lesson beside it must quote what it prints.
one() {
	local name=${1##*/}
	name=${name%.sh}
	: >"$log/lesson"
	if "$1" >"$log/one" 2>&1 && lesson_holds "${1%.sh}.md" "$name"; then
		passed=$((passed + 1))
		grep '^PASS' "$log/one"
	else
		failed=$((failed + 1))
		cat "$log/one" "$log/lesson"
	fi
}

need_go "the unit tests are to be run" "run make test where Go is"
ensure_compose
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

unit_tests
say "starting a lab of its own, $COMPOSE_PROJECT_NAME"
if "$LAB_DIR/scripts/up.sh" >"$log/up" 2>&1; then
	for file in "$LAB_DIR"/scripts/scenarios/*.sh "$LAB_DIR"/scripts/checks/*.sh; do
		one "$file"
	done
else
	cat "$log/up"
	failed=$((failed + 1))
fi

say "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
