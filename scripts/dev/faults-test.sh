#!/usr/bin/env bash
# Tests the faults and their grader: each fault from a new lab of its own. Unsolved, the check must fail, and the
# doctor name the cause first; the right fix must pass, twice; each wrong fix must fail, in the words that the
# fault's file expects; `make reset` must leave the lab as it was.
#
#   ONLY="1 second-shift"   these alone, by number or name
#   LABS=2                  so many labs side by side
#
# Ends with "N passed, N failed".
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"

work=$(mktemp -d)
# shellcheck source=../lib/fault.sh
. "$(dirname "$0")/../lib/fault.sh"

faults=$LAB_DIR/scripts/faults.sh

# result passed|failed WHAT [WHY]
result() {
	say "$1" >>"$results"
	if [ "$1" = passed ]; then
		say "  ${green}ok${plain} $2 ($((SECONDS - began)) s)"
	else
		say "  ${red}FAIL${plain} $2: $3"
	fi
	began=$SECONDS
}

# checked STATUS WHAT [WORDS]: `make check` must end with this status, and say the words.
checked() {
	local status=0 patience=8
	[ "$1" -ne 0 ] || patience=60
	PATIENCE=$patience "$faults" check >"$work/said" 2>&1 || status=$?
	if [ "$status" -ne "$1" ]; then
		result failed "$2" "make check ends with $status, not $1: $(head -n 5 "$work/said")"
	elif [ -n "${3:-}" ] && ! grep -qF -- "$3" "$work/said"; then
		result failed "$2" "the grader does not say \"$3\": $(head -n 5 "$work/said")"
	else
		result passed "$2"
	fi
}

# done_by WHAT COMMAND...: a fix, in a shell of its own; false if it cannot be done.
done_by() {
	local what=$1
	shift
	if ! ("$@") >"$work/said" 2>&1; then
		result failed "$what" "it cannot be done: $(tail -n 3 "$work/said")"
		return 1
	fi
}

# inject_again WHAT
inject_again() {
	"$faults" reset >/dev/null 2>&1 || true
	if ! NAME=$fault_name "$faults" break >"$work/said" 2>&1; then
		result failed "$1" "the fault cannot be put in: $(tail -n 3 "$work/said")"
		return 1
	fi
}

names_the_cause() {
	local said code
	said=$("$LAB_DIR/scripts/lab" doctor --force -o json 2>&1) || true
	code=$(grep -oE '"code": *"LAB[0-9]+"' <<<"$said" | grep -oE 'LAB[0-9]+' | head -n 1) || true
	if [ "$code" = "$fault_doctor" ]; then
		result passed "the doctor names the cause first: $code"
	else
		result failed "the doctor names the cause first" "it says ${code:-nothing}, not $fault_doctor: $(head -c 600 <<<"$said")"
	fi
}

# as_it_was WHAT [PATTERN]: the lab, but for the lines that match.
as_it_was() {
	local difference
	difference=$(diff <(grep -vE "${2:-^\$}" "$work/state") <(lab_state | grep -vE "${2:-^\$}") | sed -n 's/^</gone:/p; s/^>/new:/p') || true
	if [ -z "$difference" ]; then
		result passed "$1"
	else
		result failed "$1" "${difference//$'\n'/, }"
	fi
}

# one NAME: all that must hold of a fault, in a lab of its own.
one() {
	local i what
	load_fault "$1"
	began=$SECONDS
	say "${bold}$1${plain} (level $fault_level)"
	if ! "$LAB_DIR/scripts/lab" up >"$work/up" 2>&1; then
		result failed "a new lab" "it does not start: $(tail -n 3 "$work/up")"
		return
	fi
	lab_state >"$work/state"
	result passed "a new lab"

	if inject_again "make break"; then
		result passed "make break"
		[ -z "$(git -C "$LAB_DIR" status --porcelain -- . 2>/dev/null | diff - "$work/git" | grep '^<' || true)" ] ||
			result failed "git status is as before" "$(git -C "$LAB_DIR" status --porcelain -- .)"
		names_the_cause
		checked 1 "unsolved, make check fails" "not yet"
		if done_by "the right fix" right; then
			KEEP_OPEN=1 checked 0 "the right fix passes" "solved"
			checked 0 "it passes once more" "solved"
		fi
		"$faults" reset >/dev/null 2>&1 || true
	fi
	for ((i = 0; i < ${#wrong_names[@]}; i++)); do
		what="the wrong fix ${wrong_names[$i]} fails"
		inject_again "$what" || continue
		done_by "$what" "wrong_${wrong_names[$i]}" || continue
		checked 1 "$what: ${wrong_words[$i]}" "${wrong_words[$i]}"
	done
	if inject_again "make reset"; then
		# A wrong fix may have taken the whole lab away.
		[ -n "$fault_lost" ] || grep '^own bundle' "$state.state" >"$work/bundle"
		if "$faults" reset >"$work/said" 2>&1; then
			as_it_was "make reset leaves the lab as it was" '^own bundle'
			[ -n "$fault_lost" ] || diff "$work/bundle" <(lab_state | grep '^own bundle') >/dev/null ||
				result failed "make reset leaves the lab as it was" "its CA is another one"
		else
			result failed "make reset" "$(tail -n 3 "$work/said")"
		fi
	fi
}

# Of one fault: called by the part below, for each in a process of its own.
if [ "${1:-}" = one ]; then
	results=$3
	trap 'trap "" INT TERM; rm -rf "$work"; remove_lab >/dev/null 2>&1; rm -f "$state" "$state".*' EXIT
	trap 'exit 143' INT TERM
	git -C "$LAB_DIR" status --porcelain -- . >"$work/git" 2>/dev/null || : >"$work/git"
	ensure_compose
	one "$2"
	exit
fi

labs=${LABS:-1}
case $labs in
'' | *[!0-9]* | 0) die "LABS is \"$labs\"" "a number of labs such as 1 or 2" ;;
esac
names=()
if [ -n "${ONLY:-}" ]; then
	for word in $ONLY; do
		found=$(find_fault "$word") || exit 1
		names+=("$found")
	done
else
	for file in "$FAULTS"/[0-9][0-9]-*.sh; do names+=("$(name_of "$file")"); done
fi
ensure_compose
part build
export results=$work/results
: >"$results"

cleanup() {
	local job
	for job in $(jobs -p); do kill -TERM -- "-$job" 2>/dev/null || true; done
	wait
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# work I: every labs-th fault.
work() {
	local i
	export COMPOSE_PROJECT_NAME=spiffe-lab-faults-$$-$1
	# What is learnt in a test is nobody's progress.
	export FAULTS_KEPT=$work
	for ((i = $1; i < ${#names[@]}; i += labs)); do
		bash "$LAB_DIR/scripts/dev/faults-test.sh" one "${names[$i]}" "$results" >"$work/out-$1" 2>&1 ||
			{ say failed >>"$results" && say "  it ended before its end" >>"$work/out-$1"; }
		cat "$work/out-$1"
	done
}
set -m
for ((n = 0; n < labs; n++)); do work "$n" & done
set +m
wait
passed=$(grep -c passed "$results" || true) failed=$(grep -c failed "$results" || true)
say "${#names[@]} faults: $passed passed, $failed failed ($SECONDS s)"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
