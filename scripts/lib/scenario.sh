# Sourced by every scenario and check: the words they are written in.
#
#   step SENTENCE                   the next step; from here on only new log lines count
#   run COMMAND...                  shows a docker compose command, runs it, keeps $output and $exit_status
#   expect_success WHY              the last command exited with 0
#   expect_exit STATUS WHY          the last command exited with STATUS
#   expect_output TEXT WHY          the last command printed this text
#   expect_no_output TEXT WHY       ... and this it did not print
#   expect_log SERVICE REGEX WHY    a line logged since the step began matches, within 10 s
#   expect WHY COMMAND...           a condition that must hold now
#   eventually SECONDS WHY COMMAND...   a condition that must hold within a time
#   restore COMMAND...              run when the scenario ends, however it ends; the last one first
#   explain TEXT                    what the step has shown
#
# Every expectation is a check: it is counted, and the first that fails ends the scenario.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

name=${0##*/}
name=${name%.sh}
checks=0
steps=0
output=''
exit_status=0
failure=''
restores=()
marks=''
began=$SECONDS

indent() { sed 's/^/    /'; }

# log_of SERVICE: all that the service's container has logged; nothing if there is none.
log_of() {
	local container
	container=$(compose ps --all --quiet "$1" | head -n 1)
	[ -z "$container" ] || docker logs "$container" 2>&1
}

# A mark is "service container lines": a container that was made anew starts at line 0.
mark_logs() {
	local service container lines
	marks=''
	for service in ${LOGS:-server}; do
		container=$(compose ps --all --quiet "$service" | head -n 1)
		lines=0
		[ -z "$container" ] || lines=$(docker logs "$container" 2>&1 | wc -l)
		marks="$marks$service ${container:-none} $((lines))
"
	done
}

# new_lines SERVICE: what it has logged since the step began.
new_lines() {
	local service container lines now
	while read -r service container lines; do
		[ "$service" = "$1" ] || continue
		now=$(compose ps --all --quiet "$service" | head -n 1)
		[ "$now" = "$container" ] || lines=0
		[ -z "$now" ] || docker logs "$now" 2>&1 | tail -n "+$((lines + 1))"
		return
	done <<<"$marks"
	fail "the log of $1 is not watched here: add it to LOGS"
}

begin() {
	trap finish EXIT
	trap 'failure="interrupted"; exit 130' INT
	trap 'failure="terminated"; exit 143' TERM
	say "${bold}$name${plain}: $(sed -n '2s/^# //p' "$0")"
	ensure_compose
	if ! client_served >/dev/null 2>&1; then
		say "${dim}starting the lab ...${plain}"
		output=$("$LAB_DIR/scripts/up.sh" 2>&1) || {
			say "$output"
			fail "the lab does not start"
		}
	fi
}

fail() {
	failure=$1
	exit 1
}

finish() {
	local status=$? i
	trap '' INT TERM
	trap - EXIT
	for ((i = ${#restores[@]} - 1; i >= 0; i--)); do
		if ! output=$(eval "${restores[$i]}" 2>&1); then
			say "could not put back: ${restores[$i]}"
			say "$output" | indent
			status=1
			failure=${failure:-"could not put back what it changed"}
		fi
	done
	say
	if [ "$status" -eq 0 ] && [ "$checks" -eq 0 ]; then
		status=1
		failure='it checked nothing'
	fi
	if [ "$status" -eq 0 ]; then
		say "${green}PASS${plain} $name ($checks checks, $((SECONDS - began)) s)"
		exit 0
	fi
	for service in ${LOGS:-server} spire-agent spire-server; do
		say "--- the last lines of $service"
		log_of "$service" | tail -n 15 | indent || true
	done
	say "${red}FAIL${plain} $name: ${failure:-a command failed with exit status $status} ($checks checks, $((SECONDS - began)) s)"
	[ "$status" -ge 128 ] || status=1
	exit "$status"
}

step() {
	steps=$((steps + 1))
	say
	say "${bold}$steps. $1${plain}"
	if [ -n "${PAUSE:-}" ] && [ -r /dev/tty ]; then
		printf '%s' "${dim}   Enter to go on ...${plain}"
		read -r _ </dev/tty
	fi
	mark_logs
}

# quoted WORD...: as one could type it.
quoted() {
	local word line=''
	for word in "$@"; do
		case $word in
		*[!A-Za-z0-9_./:=@%+,-]* | '') line="$line '$word'" ;;
		*) line="$line $word" ;;
		esac
	done
	say "${line# }"
}

run() {
	say "  ${cyan}\$ docker compose $(quoted "$@")${plain}"
	exit_status=0
	case $1 in
	# Typed at a terminal, exec has one; here its output is read.
	exec | run) output=$(compose "$1" -T "${@:2}" 2>&1 </dev/null) || exit_status=$? ;;
	*) output=$(compose "$@" 2>&1 </dev/null) || exit_status=$? ;;
	esac
	[ -z "$output" ] || say "$output" | indent
	[ "$exit_status" -eq 0 ] || say "    ${dim}exit status $exit_status${plain}"
}

passed() {
	checks=$((checks + 1))
	say "  ${green}ok${plain} $1"
}

expect_exit() {
	[ "$exit_status" -eq "$1" ] || fail "$2: exit status is $exit_status, not $1"
	passed "$2"
}

expect_success() { expect_exit 0 "$1"; }

expect_output() {
	[[ $output == *"$1"* ]] || fail "$2: the output lacks: $1"
	passed "$2"
}

expect_no_output() {
	[[ $output != *"$1"* ]] || fail "$2: the output has: $1"
	passed "$2"
}

expect() {
	local why=$1
	shift
	"$@" >/dev/null 2>&1 || fail "$why: this does not hold: $(quoted "$@")"
	passed "$why"
}

eventually() {
	local limit=$1 why=$2
	shift 2
	wait_until "$limit" "$why" "$@" || fail "$why: not within $limit s: $(quoted "$@")"
	passed "$why"
}

logged() { new_lines "$1" | grep -Eq -- "$2"; }

expect_log() {
	wait_until 10 "a line of $1 that matches $2" logged "$1" "$2" || fail "$3: $1 did not log: $2"
	say "    $1 logs: $(new_lines "$1" | grep -E -- "$2" | tail -n 1)"
	passed "$3"
}

restore() { restores+=("$(quoted "$@")"); }

explain() { say "$1" | fold -s -w 92 | sed 's/^/  /'; }
