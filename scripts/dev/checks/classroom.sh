#!/usr/bin/env bash
# a classroom must refuse what cannot be before it changes anything, verify its labs, and go without a trace
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin
# A classroom of its own: not the one that a trainer may have on this machine.
class=$project-check
put_away() { env "COMPOSE_PROJECT_NAME=$class" "$LAB_DIR/scripts/classroom.sh" down >/dev/null 2>&1; }

# classroom TARGET...: make, for that classroom.
classroom() {
	say "  ${cyan}\$ make $*${plain}"
	exit_status=0
	output=$(COMPOSE_PROJECT_NAME=$class make --no-print-directory -C "$LAB_DIR" "$@" 2>&1 </dev/null) || exit_status=$?
	indent <<<"$output"
}

# traces: what the engine knows of the classroom.
traces() {
	docker ps --all --quiet --filter "name=^$class-"
	docker network ls --quiet --filter "name=^$class-"
	docker volume ls --quiet --filter "name=^$class-"
}

refused() {
	expect_exit 2 "it is refused"
	expect_output "$1" "it says why"
	expect_output "hint: $2" "it says what to do"
}

step "What is no number of labs"
for n in '' 0 abc -1 08 1.5 201; do
	classroom classroom "N=$n"
	refused "N is \"$n\": want a number of labs from 1 to 200" "make classroom N=20"
done

step "Before a lab was built"
LAB_TAG=not-built classroom classroom N=1
refused "no lab has been built on this machine yet: there is no image spiffe-lab/" "make up"

step "More labs than Docker has addresses for"
free=$("$LAB_DIR/scripts/classroom.sh" networks)
if [ "$free" -lt 200 ]; then
	classroom classroom N=200
	expect_exit 2 "it is refused"
	expect_output "more networks, and 200 labs need 200" "it says how many there can be"
	expect_output "default-address-pools" "it says how to widen the pools"
else
	explain "This engine has addresses for $free more networks: nothing to show."
fi
expect "none of these has left a trace" test -z "$(traces)"

step "A classroom of one, beside this lab"
classroom classroom N=1
expect_success "its lab is started and verified"
[[ $output =~ $class-class-01\ +[0-9.]+\ s\ +[0-9.]+\ MiB\ +ok ]] || fail "the table does not have the lab: $output"
passed "the table has the lab, when it was ready, its memory and its result"
classroom classroom N=1
refused "a classroom is there already, with 1 of its labs: $class-class-01" "make classroom-down removes it"
expect "this lab is served as before" client_served

step "Its end"
classroom classroom-down
expect_success "it is removed"
expect "nothing of it is left" test -z "$(traces)"
expect "this lab is served as before" client_served
