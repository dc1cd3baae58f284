#!/usr/bin/env bash
# The suite must be able to fail: makes wrong versions of the lab, one at a time, and sees that the
# tests and scenarios that should notice do notice, and in which words. The wrong versions stand in
# a copy of this folder and run as a lab of their own, with images of their own; all is removed at the end.
#
#   mutants.sh          every mutant of scripts/dev/mutants, or those that ONLY names
#   mutants.sh check    needs no lab: does every mutant still fit the sources, and compile?
#
# A mutant is a file, scripts/dev/mutants/NAME.sh, whose second line says what is wrong. Its helper functions:
#
#   replace FILE OLD NEW               the text OLD, which stands in FILE exactly once, becomes NEW
#   caught_by unit DIR TEST WORDS      the Go test TEST (or TEST/subtest) in services/DIR must fail and say WORDS
#   caught_by scenario NAME WORDS      the scenario must end with FAIL, and that line have the WORDS
#   caught_by check NAME WORDS         the same for another test of scripts/dev/tests, by its name in ONLY
#
# What is replaced decides what is made anew: services/ the programs' image, and with it server and
# client; compose.yaml and spire/ the whole lab.
#
# Who is to catch a mutant must first pass without it. Each must then catch it: one that passes, or
# fails for another reason, means that the mutant survived.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

folder=$LAB_DIR/scripts/dev/mutants
fault=''     # what is wrong
failure=''   # what is wrong with the mutant itself
applying=''  # replace works, or only reads
replaced=''  # files, one a line
catchers=()  # "KIND NAME [TEST]", a line break, the words
tried='' broken=''
child=''
lab=''       # what the lab runs: nothing yet, "right", or what was made anew: "programs", "whole"
renewed=''   # the lab is what this mutant made of it
caught=0 survived=0

# --- the helper functions of a mutant

replace() {
	local file=$1 old=$2 new=$3 text before after
	[ -n "$applying" ] || return 0
	[ -f "$copy/$file" ] || { wrong "there is no $file" && return; }
	text=$(cat "$copy/$file" && printf x)
	text=${text%x}
	before=${text%%"$old"*}
	[ "$before" != "$text" ] || { wrong "$file does not have: $old" && return; }
	after=${text#*"$old"}
	[ "${after#*"$old"}" = "$after" ] || { wrong "$file has more than once: $old" && return; }
	printf '%s' "$before$new$after" >"$copy/$file"
	replaced="$replaced$file
"
}

caught_by() {
	case "$1 $#" in
	'unit 4') catchers+=("$1 $2 $3
$4") ;;
	'scenario 3' | 'check 3') catchers+=("$1 $2
$3") ;;
	*) wrong "invalid caught_by line: caught_by $*" ;;
	esac
}

# --- mutants in general

wrong() { failure=${failure:-$1}; }

names() {
	local file
	for file in "$folder"/*.sh; do
		file=${file##*/}
		say "${file%.sh}"
	done
}

# chosen: every name, or those in ONLY.
chosen() {
	local name
	for name in ${ONLY:-$(names)}; do
		[ -f "$folder/$name.sh" ] || die "there is no mutant \"$name\"" "ONLY can be one or more of: $(names | xargs)"
		say "$name"
	done
}

# read_mutant NAME: learns $fault and $catchers.
read_mutant() {
	failure='' replaced='' catchers=()
	fault=$(sed -n '2s/^# //p' "$folder/$1.sh")
	[ -n "$fault" ] || wrong "its second line does not say what is wrong"
	# shellcheck source=/dev/null
	. "$folder/$1.sh"
	[ "${#catchers[@]}" -gt 0 ] || wrong "it does not say who catches it"
}

# apply NAME: the same, and the copy becomes the wrong version.
apply() {
	applying=1
	read_mutant "$1"
	applying=''
	[ -n "$replaced" ] || wrong "it replaces nothing"
}

unapply() {
	local file
	while read -r file; do
		[ -z "$file" ] || cp -p "$right/$file" "$copy/$file"
	done <<<"$replaced"
	replaced=''
}

# touched PREFIX: has the mutant replaced anything below it?
touched() { grep -q "^$1" <<<"$replaced"; }

# make_copies DIRECTORY: the tree twice, $copy to change, and $right to take it back from.
make_copies() {
	work=$1 right=$1/right copy=$1/lab
	rm -rf "$work"
	mkdir -p "$right" "$copy"
	tar -C "$LAB_DIR" --exclude ./.git --exclude ./.cache --exclude ./.lab -cf - . | tar -C "$right" -xf -
	cp -Rp "$right/." "$copy/"
	mkdir "$copy/.cache"
	# One by one: scripts/lab compiles the mutant's own program beside them.
	mkdir "$copy/.cache/bin"
	[ ! -d "$CACHE_DIR/bin" ] || ln -s "$CACHE_DIR"/bin/* "$copy/.cache/bin/"
	# Its images are built on the same route, from what is compiled already.
	[ ! -e "$CACHE_DIR/prebuilt" ] || cp -Rp "$CACHE_DIR/prebuilt-images" "$CACHE_DIR/prebuilt" "$copy/.cache/"
	LAB_DIR=$copy folder=$right/scripts/dev/mutants # from here on
}

# tests: the names of all scenarios and checks, one a line.
tests() { "$right/scripts/dev/test.sh" names | grep -vx unit; }

# --- mutants.sh check

# fits: the mutant that is applied makes sense, or $failure says why not. Its programs are put aside, to
# be compiled later with those of the others: all at once takes seconds.
fits() {
	local i kind name test package output
	while read -r package; do
		cp -R "$copy/$package" "$copy/$package-$1"
	done < <(sed -n 's#^\(services/.*\)/[^/]*$#\1#p' <<<"$replaced" | sort -u)
	if touched ".*\.yaml" && ! output=$(compose config --quiet 2>&1); then
		wrong "it is no Compose file: $output"
	fi
	for ((i = 0; i < ${#catchers[@]}; i++)); do
		read -r kind name test <<<"${catchers[$i]}"
		case $kind in
		unit) grep -qs "^func ${test%%/*}(" "$copy/services/$name"/*_test.go || wrong "services/$name has no test ${test%%/*}" ;;
		*) grep -qx "$name" <<<"$all_tests" || wrong "there is no $kind \"$name\"" ;;
		esac
	done
}

check_all() {
	local bad=0 name
	lock mutants-check 300 "another make lint looks at the mutants"
	trap 'rm -rf "$work"; unlock mutants-check' EXIT
	make_copies "$CACHE_DIR/mutants-check"
	mkdir -p "$right/.cache"
	all_tests=$(tests)
	for name in $(names); do
		apply "$name"
		[ -n "$failure" ] || fits "$name"
		[ -z "$failure" ] || { say "scripts/dev/mutants/$name.sh: $failure" && bad=1; }
		unapply
	done
	go -C "$copy" vet ./services/... || bad=1
	return "$bad"
}

# --- the suite, and its lab

# in_time SECONDS COMMAND...: keeps what it prints in $work/out. The command has a process group of
# its own, so that what hangs can be ended with all that it has started.
in_time() {
	local limit=$1 start=$SECONDS status=0
	shift
	set -m
	"$@" >"$work/out" 2>&1 </dev/null &
	child=$!
	set +m
	while kill -0 "$child" 2>/dev/null; do
		if [ $((SECONDS - start)) -ge "$limit" ]; then
			end_child
			say "it did not end within $limit s" >>"$work/out"
			return 1
		fi
		sleep 0.1
	done
	wait "$child" || status=$?
	child=''
	return "$status"
}

end_child() {
	[ -n "$child" ] || return 0
	kill -TERM -- "-$child" 2>/dev/null || true
	wait "$child" 2>/dev/null || true
	child=''
}

# must WHAT COMMAND...: quiet if it succeeds.
must() {
	local what=$1
	shift
	in_time 900 "$@" || { cat "$work/out" >&2 && die "$what failed"; }
}

# member KIND NAME [TEST]: runs one member of the suite in the copy. If it fails, $why has what it said.
member() {
	local kind=$1 name=$2 test=${3:-} status=0
	why=''
	if [ "$kind" = unit ]; then
		[ -z "$test" ] || test="^${test//\//$/^}$"
		in_time 180 go -C "$copy" test -count 1 -timeout 60s -run "$test" "./services/$name" || status=$?
		if grep -q 'no tests to run' "$work/out"; then
			status=1 why="there is no such test"
		fi
		why=${why:-$(grep -vE '^ *(--- |===)|^(FAIL|ok|exit status)' "$work/out" | sed 's/^ *//')}
	else
		LABS=$COMPOSE_PROJECT_NAME ONLY=$name in_time 300 "$copy/scripts/dev/test.sh" || status=$?
		why=$(sed -n "s/^.*FAIL $name: \(.*\) ([0-9]* checks, [0-9]* s)\$/\1/p" "$work/out")
		why=${why:-$(sed '/: the lab after it:$/,$d; s/^ *//' "$work/out")}
	fi
	why=${why:-$(tail -n 1 "$work/out")}
	return "$status"
}

# title KIND NAME [TEST]
title() { say "$1 ${3:-$2}"; }

# whole CATCHER: of a unit test the whole package.
whole() { cut -d ' ' -f 1,2 <<<"$1"; }

start_lab() {
	[ -z "$lab" ] || return 0
	say "starting a lab of its own, $COMPOSE_PROJECT_NAME"
	lab=right
	must "starting the lab" "$copy/scripts/lab" up
}

# try_right: each catcher of the mutant passes without it, or is noted in $broken.
try_right() {
	local i who start
	for ((i = 0; i < ${#catchers[@]}; i++)); do
		IFS= read -r who <<<"${catchers[$i]}"
		who=$(whole "$who")
		case $tried in *"|$who|"*) continue ;; esac
		tried="$tried|$who|"
		[ "${who%% *}" = unit ] || start_lab
		start=$SECONDS
		# shellcheck disable=SC2086 # two or three words
		if member $who; then
			say "passes    $(title $who) ($((SECONDS - start)) s)"
		else
			say "${red}fails${plain}     $(title $who): $why"
			broken="$broken|$who|"
		fi
	done
}

# renew: the lab becomes what the copy is.
renew() {
	local before=$lab marker=$copy/.cache/unfinished-$COMPOSE_PROJECT_NAME
	# A scenario that the mutant before has made fail, and whose lab then did not start either.
	[ ! -e "$marker" ] || before=whole
	if touched 'scripts/scenarios/.*\.sh$'; then
		lab=right
	else
		in_time 300 "$copy/scripts/lab" part build || { wrong "it does not build: $(tail -n 3 "$work/out")" && return; }
		if touched services/; then lab=programs; else lab=whole; fi
	fi
	if [ "$before" = whole ] || [ "$lab" = whole ]; then
		must "building the lab" "$copy/scripts/lab" part build
		must "removing the lab" compose down --volumes
		rm -f "$marker"
		must "starting the lab" compose up --detach
	elif [[ "$before $lab" == *programs* ]]; then
		must "building the programs" "$copy/scripts/lab" part build
		must "starting the programs" compose up --detach --no-deps server client
	fi
	# Some wrong versions never come to it.
	in_time 15 served || true
	# What a wrong scenario leaves behind is gone with the lab that comes next.
	if [ "$lab" = right ]; then lab=whole; fi
}

served() { until client_served; do sleep 0.2; done; }

# --- one mutant

# tell LINE...: what belongs to the mutant's line.
tell() { printf '%s\n' "$@" | sed 's/^/          /'; }

# hunt: each catcher in turn; fails if one did not catch the mutant.
hunt() {
	local i who words status=0 any='' # any: somebody noticed something
	for ((i = 0; i < ${#catchers[@]}; i++)); do
		IFS= read -r who <<<"${catchers[$i]}"
		words=${catchers[$i]#*
}
		# shellcheck disable=SC2086 # two or three words
		if [[ $broken == *"|$(whole "$who")|"* ]]; then
			tell "not by $(title $who), which fails without it too"
			status=1 any=1
		elif member $who; then
			tell "not by $(title $who), which passes"
			status=1
		elif [[ $why != *"$words"* ]]; then
			tell "not by $(title $who), which lacks the words \"$words\" and says:" "$why"
			status=1 any=1
		else
			tell "by $(title $who): $(grep -F -m 1 -- "$words" <<<"$why")"
			any=1
		fi
	done
	[ -n "$any" ] || hunt_further
	return "$status"
}

# hunt_further: nobody noticed who should have; who else does?
hunt_further() {
	local file who
	for file in "$copy"/services/*/*_test.go "$copy"/services/internal/*/*_test.go; do
		file=${file#"$copy/services/"}
		say "unit ${file%/*}"
	done | sort -u >"$work/others"
	[ -z "$renewed" ] || tests | sed 's/^/check /' >>"$work/others"
	while read -r who; do
		# shellcheck disable=SC2086 # two words
		member $who || tell "but $who fails:" "$(head -n 3 <<<"$why")"
	done <"$work/others"
}

run_one() {
	local needs_lab
	needs_lab=$(printf '%s\n' "${catchers[@]}" | grep -E '^(scenario|check) ' || true)
	renewed=''
	if [ -z "$failure" ] && [ -n "$needs_lab" ]; then
		renew
		renewed=1
	fi
	if [ -n "$failure" ]; then
		tell "$failure" >"$work/report"
	elif hunt >"$work/report"; then
		caught=$((caught + 1))
		say "${green}caught${plain}    $1: $fault"
		cat "$work/report"
		return
	fi
	survived=$((survived + 1))
	say "${red}survived${plain}  $1: $fault"
	cat "$work/report"
}

# --- a run

cleanup() {
	local status=$?
	exec >&3 # a report may have been under way
	trap '' INT TERM
	trap - EXIT
	end_child
	if [ -n "$lab" ]; then
		say "removing the lab $COMPOSE_PROJECT_NAME and its images"
		compose --profile '*' down --volumes --remove-orphans >"$work/out" 2>&1 || { cat "$work/out" >&2 && status=1; }
	fi
	docker image ls --quiet --filter "reference=spiffe-lab/*:$LAB_TAG" --format '{{.Repository}}:{{.Tag}}' | xargs docker image rm >/dev/null 2>&1 || true
	rm -rf "$work"
	unlock mutants
	exit "$status"
}

run_all() {
	local chosen name
	chosen=$(chosen)
	[ -n "$chosen" ] || die "ONLY names no mutant" "ONLY can be one or more of: $(names | xargs)"
	need_go "the wrong versions are to be built" "run make mutants where Go is"
	ensure_compose
	lock mutants 0 "another make mutants is running here"
	work=$CACHE_DIR/mutants
	export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-spiffe-lab}-mutants-$$"
	export LAB_TAG=mutants-$$
	project=$COMPOSE_PROJECT_NAME
	exec 3>&1
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	make_copies "$work"

	say "${bold}Without any mutant, these must pass${plain}"
	for name in $chosen; do
		read_mutant "$name"
		try_right
	done
	say "${bold}With it, each mutant must be noticed${plain}"
	for name in $chosen; do
		apply "$name"
		run_one "$name"
		unapply
	done
	say "$caught caught, $survived survived ($SECONDS s)"
	[ "$survived" -eq 0 ]
}

case "${1:-}" in
'') run_all ;;
check) check_all ;;
*) die "unknown argument \"$1\"" "mutants.sh, or mutants.sh check" ;;
esac
