#!/usr/bin/env bash
# Names the first cause of what is wrong with the lab, in four lines and a lesson, or says that all is well:
#
#   doctor.sh [-o json] [REPORT]     REPORT is a file of make report, from whichever machine; else it
#                                    looks at the lab that is here, and at nothing else
#
# Exit status 0: all is well; 1: a cause was found; 2: wrong usage; 4: cannot tell. report.sh gathers, and
# services/internal/doctor judges, in the program lab. Where there is no engine or no image, that is the first cause: it
# is told here, from the same list, as README.md has it.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

# wrong MESSAGE HINT
wrong() {
	printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
	exit 2
}

format=text
if [ "${1:-}" = -o ]; then
	format=${2:-}
	shift "$(($# > 1 ? 2 : 1))"
fi
case $format in
text | json) ;;
*) wrong "-o is \"$format\"" "-o json, or nothing" ;;
esac
[ $# -le 1 ] || wrong "doctor.sh takes one report, not $#" "doctor.sh [-o json] [REPORT]"
case ${1:-} in -*) wrong "unknown option \"$1\"" "doctor.sh [-o json] [REPORT]" ;; esac
file=${1:-${REPORT:-}}
unset REPORT
if [ -n "$file" ]; then
	if ! [ -f "$file" ] || ! [ -r "$file" ]; then wrong "there is no report \"$file\"" "make report writes one, and says where"; fi
	head -n 4 "$file" | grep -q '^  report ' || wrong "\"$file\" is no report of the lab" "make report writes one, and says where"
fi
project=$(project_name)

# While a fault is open that is to be found without it, the doctor is off, or counts as a hint.
fault=$LAB_DIR/.lab/$project/open/fault
case $(sed -n 's/^level=//p' "$fault" 2>/dev/null) in
2 | 3)
	if [ "${FORCE:-}" != 1 ]; then
		say "the doctor is off while fault $(sed -n 's/^number=//p' "$fault") is open: make hint, or make doctor FORCE=1, which counts as a hint"
		exit 4
	fi
	say doctor >>"${fault%/*}/hints"
	;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# judge REPORT [-final]
judge() {
	part doctor -o "$format" "${@:2}" <"$1"
}

# told: what judge says, and its exit status as the doctor's own.
told() {
	local status=0
	judge "$@" >"$work/said" 2>"$work/errors" || status=$?
	case $status in
	0 | 1 | 2 | 4) ;;
	*)
		printf 'error: %s\nhint: %s\n' "the doctor does not work: $(head -n 1 "$work/errors")" "rm $CACHE_DIR/bin/lab, and it is compiled again" >&2
		exit 4
		;;
	esac
	cat "$work/errors" >&2
	return "$status"
}

status_of() { awk -v name="$1" '/^## section: / {mine = $3 == name} mine && /^status: / {sub(/^status: /, ""); print; exit}' "$work/report"; }

# quoted_json TEXT
quoted_json() { awk '{gsub(/[\\"]/, "\\\\&"); printf "\"%s\"", $0}' <<<"$1"; }

# first_cause LINES: the first finding of README.md's table, as the program prints it, of which one
# of the lines has the words. Of those before the containers: what comes later needs more than words.
first_cause() {
	local lines=$1 rest cell sees means remedy code lesson word line
	while IFS='|' read -r rest cell sees means remedy rest; do
		code=${cell#*\[} code=${code%%\]*}
		lesson=${cell#*\(} lesson=${lesson%%\)*}
		while [[ $sees == *\`*\`* ]]; do
			word=${sees#*\`} sees=${word#*\`} word=${word%%\`*}
			line=$(grep -F -m 1 -- "$word" <<<"$lines") || continue
			line=${line#error: }
			means=${means# } remedy=${remedy# }
			if [ "$format" = json ]; then
				printf '{"finding":{"code":"%s","finding":%s,"seen":%s,"expected":"","do":%s,"lesson":"%s"}}\n' "$code" \
					"$(quoted_json "${means% }")" "$(quoted_json "$line")" "$(quoted_json "${remedy% }")" "$lesson"
			else
				say "$code: ${means% }
  seen:     $line
  expected: what make up needs
  do:       ${remedy% }
  lesson:   $lesson"
			fi
			return
		done
	done < <(grep -E '^\| \[LAB0[012][0-9]\]' "$LAB_DIR/README.md")
	return 1
}

# without_judge: the engine or the image is not there.
without_judge() {
	local engine=$1 lines
	case $engine in
	0) lines=$(sed -n '/^## section: preflight/,/^## section: engine/s/^  //p' "$work/report" && cat "$CACHE_DIR/up-$project.txt" 2>/dev/null)"
there is no image $WORKLOAD_IMAGE" ;;
	'no answer'*) lines="no Docker Engine answers: $engine" ;;
	*) lines=$(need_engine 2>&1) ;;
	esac
	if first_cause "$lines"; then return 1; fi
	say "cannot tell: $(head -n 1 <<<"$lines")"
	return 4
}

status=0
if [ -n "$file" ]; then
	told "$file" -final || status=$?
	cat "$work/said"
	exit "$status"
fi
# look SECONDS [-final]: so long may the answers take.
look() {
	local engine status=0
	if ! WAIT=${WAIT:-$1} "$LAB_DIR/scripts/report.sh" "$work/report" >/dev/null 2>"$work/errors"; then
		say "cannot tell: there is no report: $(tail -n 1 "$work/errors")" >"$work/said"
		return 4
	fi
	engine=$(status_of engine)
	if [ "$engine" = 0 ] && has_image "$WORKLOAD_IMAGE"; then
		told "$work/report" "${@:2}" || status=$?
	else
		without_judge "$engine" >"$work/said" || status=$?
	fi
	return "$status"
}

# What a busy machine may not have answered in time is asked once more, and waited for; a program that says that
# it is not well asks again within 5 s. An engine that is silent twice is not merely busy.
look 2.4 || status=$?
if [[ $(status_of engine) == 'no answer'* ]]; then
	status=0
	look 2.4 || status=$?
elif [ "$status" -eq 4 ]; then
	! grep -q 'next request' "$work/said" || sleep 3
	status=0
	look 8 -final || status=$?
fi
cat "$work/said"
exit "$status"
