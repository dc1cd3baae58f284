#!/usr/bin/env bash
# every fault must be whole, and one must be played from its ticket to its result record
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin
kept=$scratch
put_away() { [ ! -e "$CACHE_DIR/fault-$project" ] || "$LAB_DIR/scripts/faults.sh" reset >/dev/null 2>&1; }
export FAULTS_KEPT=$kept

# faults WORD...: make WORD, and how it ends.
faults() {
	say "  ${cyan}\$ make $*${plain}"
	exit_status=0
	output=$(bash "$LAB_DIR/scripts/lab.sh" "$@" 2>&1) || exit_status=$?
	say "$output" | indent
	[ "$exit_status" -eq 0 ] || say "    exit status $exit_status"
}

# missing FILE: what is missing of a fault; nothing if it is whole. In a shell of its own.
missing() (
	set +e
	work=$kept
	# shellcheck source=../../lib/fault.sh
	. "$LAB_DIR/scripts/lib/fault.sh"
	load_fault "$(name_of "$1")"
	for f in ticket right debrief inject; do declare -F "$f" >/dev/null || say "has no function $f"; done
	[ -n "$fault_symptom" ] || say "has no symptom in its second line"
	case $fault_level in 1 | 2 | 3) ;; *) say "has the level \"$fault_level\", not 1, 2 or 3" ;; esac
	grep -q "^| \[$fault_doctor\]" "$LAB_DIR/README.md" || say "names no finding of the doctor: \"$fault_doctor\""
	[ "${#wrong_names[@]}" -ge 3 ] || say "has ${#wrong_names[@]} wrong fixes, not at least three"
	for ((i = 0; i < ${#wrong_names[@]}; i++)); do
		declare -F "wrong_${wrong_names[$i]}" >/dev/null || say "has no function wrong_${wrong_names[$i]}"
		[ -n "${wrong_words[$i]}" ] || say "does not say what the grader says of ${wrong_names[$i]}"
		[ -n "${wrong_whys[$i]}" ] || say "does not say why ${wrong_names[$i]} is wrong"
	done
	[ "${#hint_texts[@]}" -eq 3 ] || say "has ${#hint_texts[@]} hints, not three"
	[ "${hint_conditions[${#hint_conditions[@]} - 1]}" = true ] || say "may keep its last hint to itself: its condition is not true"
	debrief | has 'https://' || say "has no link to where it happened in life"
	debrief | has 'make scenario-' || say "names no scenario that shows it"
	for scenario in $(debrief | grep -oE 'make scenario-[a-z-]+' | sed 's/.*scenario-//'); do
		[ -f "$LAB_DIR/scripts/scenarios/$scenario.sh" ] || say "names a scenario that there is not: $scenario"
	done
	while read -r one; do
		grep -qxF -- "- $one" "$LAB_DIR/scripts/faults/README.md" || say "is of the category \"$one\", which scripts/faults/README.md does not list"
		say "$one" >>"$kept/categories"
	done < <(tr ';' '\n' <<<"$fault_category" | sed 's/^ *//')
)

step "Every fault is whole"
for file in "$LAB_DIR"/scripts/faults/[0-9]*.sh; do
	lacks=$(missing "$file")
	[ -z "$lacks" ] || fail "${file##*/} ${lacks//$'\n'/; it }"
	passed "${file##*/} is whole"
done
while read -r one; do
	grep -qxF -- "$one" "$kept/categories" || fail "no fault is of the category \"$one\""
done < <(sed -n 's/^- //p' "$LAB_DIR/scripts/faults/README.md")
passed "every category is taken"

step "Who asks for nonsense is told so"
faults check
expect_exit 1 "there is nothing to check"
expect_output "no fault is open in this lab" "it says so"
faults break NAME=nonsense
expect_exit 1 "there is no such fault"
expect_output 'there is no fault "nonsense"' "it says so"

step "Play the first one"
faults break NAME=1
expect_success "it is put in"
expect_output "Fault 1, clean-up" "a ticket is shown"
faults break NAME=2
expect_output "a fault is open already: clean-up" "one at a time"
faults faults
expect_output "open, 0 hints" "it is listed as open"
faults check
expect_exit 1 "it is not mended yet"
expect_output "not yet: the client is not served" "it says what a learner can see"
expect_no_output "an entry is lost" "it does not say why"
faults hint
expect_output "hint 1:" "there is a hint"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the learner mends it"
faults check PATIENCE=60 WHO=Ada
expect_success "it is mended"
expect_output "solved: clean-up" "it says so, and tells what it was"
expect "a result record is written" grep -qE '^\{"fault":"clean-up","level":1,"seconds":[0-9]+,"hints":1,"who":"Ada",' "$kept/results.jsonl"
faults faults
expect_output "solved, 1 hint" "the list says so"
faults faults RESET=1
expect_output "0 of" "progress can be forgotten"

step "The lab's own entries come back with the next one, and what was broken is mended"
faults break NAME=2
expect_success "the second fault is put in"
faults reset
expect_success "it is mended"
eventually 30 "the client is served" client_served
