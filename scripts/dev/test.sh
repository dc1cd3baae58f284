#!/usr/bin/env bash
# The one test command: Go unit tests with the race detector, then every check and every scenario
# (in its quick form, or with FULL=1 in its full one) against labs of their own, which are removed at the end. LABS of them work
# side by side, each takes the next file. ONLY="unit bad-id health" runs these alone, where
# "unit" is the unit tests. Ends with "N passed, N failed"; the names of what failed stand in .cache/failed.
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"

labs=${LABS:-2}
case $labs in
'' | *[!0-9]* | 0) die "LABS is \"$labs\"" "a number of labs such as 1 or 2: about one for each core" ;;
esac
passed=0
failed=0
log=$(mktemp -d)
name=spiffe-lab-test-$$
if [ -n "${FULL:-}" ]; then unset QUICK; else export QUICK=1; fi
unset PAUSE COMPOSE_PROJECT_NAME

cleanup() {
	local status=$? i
	trap '' INT TERM
	for i in $(jobs -p); do kill -TERM -- "-$i" 2>/dev/null || true; done
	wait
	for i in $(seq "$labs"); do
		COMPOSE_PROJECT_NAME=$name-$i compose --profile '*' down --volumes --remove-orphans >"$log/down" 2>&1 || { cat "$log/down" >&2 && status=1; }
		rm -f "$CACHE_DIR/unfinished-$name-$i" "$CACHE_DIR/screen-$name-$i"
	done
	unlock "$name"
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
	[ "$bad" -gt 0 ] || say "ok unit" >>"$log/results"
	say "  $ok passed, $bad failed ($SECONDS s)"
	passed=$((passed + ok)) failed=$((failed + bad))
}

# next: takes the first file from the queue.
next() {
	lock "$name" 60 "the queue of $name is taken"
	sed -n 1p "$log/queue"
	sed 1d "$log/queue" >"$log/rest"
	mv "$log/rest" "$log/queue"
	unlock "$name"
}

lesson_holds() { [ ! -f "$1" ] || "$LAB_DIR/scripts/dev/lessons.sh" "$2" "$3"; }

# one FILE: its whole output is shown only if it fails. A lesson beside it must quote what it prints.
one() {
	local test=${1##*/} said lesson
	test=${test%.sh}
	said=$log/$test.out
	if ! "$LAB_DIR/scripts/dev/check-cleanup.sh" "$1" >"$said" 2>&1; then
		cat "$said"
	elif ! lesson=$(lesson_holds "${1%.sh}.md" "$test" "$said"); then
		say "$(cat "$said")
$lesson
${red}FAIL${plain} $test: its lesson does not quote what it prints"
	else
		grep '^PASS' "$said"
		say "passed $test" >>"$log/results"
	fi
}

# work I: in a lab of its own, until the queue is empty.
work() {
	local file
	export COMPOSE_PROJECT_NAME=$name-$1
	if ! "$LAB_DIR/scripts/up.sh" >"$log/up-$1" 2>&1; then
		cat "$log/up-$1"
		say "a lab did not start" >>"$log/results"
		return
	fi
	while file=$(next) && [ -n "$file" ]; do one "$file"; done
}

# queue_files: what takes longest comes first, so that no lab works alone at the end.
queue_files() {
	local test file
	if [ -z "${ONLY:-}" ]; then
		ls "$LAB_DIR"/scripts/dev/checks/*.sh "$LAB_DIR"/scripts/scenarios/*.sh
		return
	fi
	for test in $ONLY; do
		[ "$test" != unit ] || continue
		file=$(ls "$LAB_DIR/scripts/dev/checks/$test.sh" "$LAB_DIR/scripts/scenarios/$test.sh" 2>/dev/null) ||
			[ -n "$file" ] || die "ONLY names \"$test\", and there is no such check or scenario" "they are the files in scripts/dev/checks and scripts/scenarios, without .sh"
		say "$file"
	done
}

case " ${ONLY:-unit} " in *' unit '*) unit=1 ;; *) unit='' ;; esac
[ -z "$unit" ] || need_go "the unit tests are to be run" "run make test where Go is"
ensure_compose
# Once, for all of them.
bash "$LAB_DIR/scripts/build.sh" tools
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

: >"$log/results"
queue_files >"$log/queue"
files=$(wc -l <"$log/queue")
all=$(sed 's|.*/||; s|\.sh$||' "$log/queue")
[ -z "$unit" ] || unit_tests
say "checks and scenarios, in $labs labs of their own"
# Each in a process group of its own, so that Ctrl-C can end it with all that it runs.
set -m
for i in $(seq "$labs"); do
	work "$i" &
done
set +m
wait
ok=$(grep -c '^passed ' "$log/results" || true)
# What was not run has not passed.
passed=$((passed + ok)) failed=$((failed + files - ok + $(grep -c '^a lab' "$log/results" || true)))
say "  $ok of $files passed ($SECONDS s in all)"
for test in ${unit:+unit} $all; do
	grep -qxE "(ok|passed) $test" "$log/results" || say "$test"
done >"$CACHE_DIR/failed"

say "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
