#!/usr/bin/env bash
# Break and find: faults.sh list|break|check|hint|give-up|reset. A fault is a file in scripts/faults; how one is
# written stands in scripts/faults/README.md.
#
#   NAME=name or number   the fault for break; without it the next one that is not solved
#   WHO=name              who solves it, for the result record: it is remembered
#   RESET=1               list: forget what was solved
#   PATIENCE=seconds      check: how long what is not right yet may be on its way (8)
#   KEEP_OPEN=1           check: a solved fault stays open
#   FAULTS_KEPT=folder    where progress and result records are kept, instead of .cache
#
# One fault is open at a time; it is kept in .cache/fault-PROJECT. What was solved stands in .cache/faults-solved, and
# a result record for each in .cache/results.jsonl.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

work=$(mktemp -d)
# shellcheck source=lib/fault.sh
. "$(dirname "$0")/lib/fault.sh"

kept=${FAULTS_KEPT:-$CACHE_DIR}
solved=$kept/faults-solved
records=$kept/results.jsonl
trap 'rm -rf "$work"' EXIT

# progress_of NAME: "solved 1" or "shown 2", with the number of hints; nothing if neither.
progress_of() { sed -n "s/^$1 //p" "$solved" 2>/dev/null | tail -n 1; }

hints() { if [ "$1" -eq 1 ]; then say "1 hint"; else say "$1 hints"; fi; }

list() {
	local file name now of=0 done=0 state_of level_of
	if [ -n "${RESET:-}" ]; then
		[ "$RESET" = 1 ] || die "RESET is \"$RESET\"" "make faults RESET=1 forgets what was solved"
		if [ -s "$solved" ]; then
			say "forgotten: $(grep -c ' solved ' "$solved" || true) solved, $(grep -c ' shown ' "$solved" || true) shown (the result records stay in ${records#"$LAB_DIR/"})"
			rm -f "$solved"
		else
			say "nothing to forget: no fault has been solved here"
		fi
	fi
	now=$(open_fault)
	for file in "$FAULTS"/[0-9][0-9]-*.sh; do
		name=$(name_of "$file")
		of=$((of + 1))
		state_of=''
		case $(progress_of "$name") in
		'solved '*) state_of="solved, $(hints "$(progress_of "$name" | cut -d ' ' -f 2)")" done=$((done + 1)) ;;
		'shown '*) state_of=shown ;;
		esac
		[ "$name" != "$now" ] || state_of="${bold}open${plain}, $(hints "$(hints_used)")"
		level_of=$(sed -n 's/^level //p' "$file")
		printf '%3d  %-19s %s  %s%s\n' "$((10#${name%%-*}))" "${name#*-}" "$level_of" "$(sed -n '2s/^# //p' "$file")" "${state_of:+  [$state_of]}"
	done
	say
	say "$done of $of solved; number, name, level, what somebody complains of"
	if [ -n "$now" ]; then
		say "open: ${now#*-} (make ticket shows what was said; make check, make hint, make give-up, make reset)"
	else
		say "make break puts the next one in, make break NAME=1 that one; the doctor helps in level 1"
	fi
}

need_open() {
	local name
	name=$(open_fault)
	[ -n "$name" ] || die "no fault is open in this lab" "make break puts one in; make faults lists them"
	[ -f "$FAULTS/$name.sh" ] || die "the open fault, \"$name\", is not in scripts/faults any more" "rm ${state#"$LAB_DIR/"}*, and make down, make up"
	load_fault "$name"
}

need_lab() {
	ensure_compose
	local service
	for service in node spire-server spire-agent server client; do
		container_running "$service" >/dev/null || die "the lab is not running: $service is not" "make up"
	done
	need_built
}

# next_fault: the first that is neither solved nor shown, else the first that is not solved.
next_fault() {
	local file name second=''
	for file in "$FAULTS"/[0-9][0-9]-*.sh; do
		name=$(name_of "$file")
		case $(progress_of "$name") in
		'') say "$name" && return ;;
		'shown '*) second=${second:-$name} ;;
		esac
	done
	say "$second"
}

show_ticket() {
	say "${bold}Fault $fault_number, ${fault_name#*-}${plain} (level $fault_level)"
	say
	ticket
	say
	if [ "$fault_level" -eq 1 ]; then
		say "make doctor helps, make check tells whether it is mended, make hint helps a little."
	else
		say "make check tells whether it is mended, make hint helps a little. The doctor is off."
	fi
}

# begin_work [SECONDS]: nobody else changes the lab meanwhile, but whoever has called this.
begin_work() {
	[ "${LAB_SCENARIO:-}" != "$project" ] || return 0
	lock "scenario-$project" "${1:-0}" "another scenario or fault is at work on this lab"
	trap 'unlock "scenario-$project"; rm -rf "$work"' EXIT
}

break_it() {
	local name
	name=$(open_fault)
	[ -z "$name" ] || die "a fault is open already: ${name#*-}" "make check, make hint; make give-up or make reset ends it"
	if [ -n "${NAME:-}" ]; then
		name=$(find_fault "$NAME")
	else
		name=$(next_fault)
		[ -n "$name" ] || die "every fault is solved" "NAME=1 breaks the first again; make faults RESET=1 begins anew"
	fi
	need_lab
	begin_work
	load_fault "$name"
	say "breaking the lab ..." >&2
	broken
	show_ticket
}

# record SECONDS HINTS
record() {
	local who=${WHO:-}
	[ -n "$who" ] || who=$(cat "$kept/who" 2>/dev/null) || true
	who=$(tr -cd '[:alnum:] ._@+-' <<<"${who:-somebody}")
	[ -z "${WHO:-}" ] || say "$who" >"$kept/who"
	printf '{"fault":"%s","level":%s,"seconds":%s,"hints":%s,"who":"%s","at":"%s"}\n' \
		"${fault_name#*-}" "$fault_level" "$1" "$2" "$who" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >>"$records"
}

# check: what is not right yet may be on its way (an entry takes a second to arrive, the client asks every 5 s).
check() {
	local status seconds used name until=$((SECONDS + ${PATIENCE:-8}))
	need_open
	ensure_compose
	need_built
	begin_work 30
	seconds=$(($(date +%s) - $(opened_at)))
	while :; do
		status=0
		graded >"$work/verdict" || status=$?
		if [ "$status" -eq 0 ] || [ "$SECONDS" -ge "$until" ]; then break; fi
		sleep 2 # to look costs a processor as long
	done
	case $status in
	0) ;;
	1)
		say "${red}not yet:${plain} $(head -n 1 "$work/verdict")"
		sed '1d; s/^/     and: /' "$work/verdict"
		exit 1
		;;
	*)
		cat "$work/verdict"
		die "the grader cannot tell" "make check once more; make report shows what does not answer"
		;;
	esac
	used=$(hints_used)
	say "${green}solved:${plain} ${fault_name#*-}, with $(hints "$used") ($seconds s)"
	say
	debrief
	[ -n "${KEEP_OPEN:-}" ] || {
		say "$fault_name solved $used" >>"$solved"
		record "$seconds" "$used"
		closed
	}
	say
	name=$(next_fault)
	if [ -n "$name" ]; then say "next: make break (${name#*-})"; else say "That was the last one."; fi
}

give_hint() {
	local i
	need_open
	ensure_compose
	for ((i = 0; i < ${#hint_texts[@]}; i++)); do
		! grep -qx "$((i + 1))" "$state.hints" || continue
		eval "${hint_conditions[$i]}" >/dev/null 2>&1 || continue
		say "$((i + 1))" >>"$state.hints"
		say "hint $(grep -c '^[0-9]' "$state.hints"): ${hint_texts[$i]}" | fold -s -w 96 | sed "s, *$,,"
		return
	done
	say "there are no more hints: make give-up shows what it is, and mends it"
}

reset_fault() {
	need_open
	ensure_compose
	need_built
	begin_work 30
	restore_lab
	closed
	say "the lab is as it was before"
}

give_up() {
	need_open
	debrief
	say
	grep -q "^$fault_name solved" "$solved" 2>/dev/null || say "$fault_name shown $(hints_used)" >>"$solved"
	reset_fault
}

mkdir -p "$CACHE_DIR"
case ${1:-} in
list) list ;;
break) break_it ;;
ticket) need_open && show_ticket ;;
check) check ;;
hint) give_hint ;;
give-up) give_up ;;
reset) reset_fault ;;
*) die "unknown command \"${1:-}\"" "list, break, ticket, check, hint, give-up or reset" ;;
esac
