#!/usr/bin/env bash
# A lab for each learner on one machine: classroom.sh up N, classroom.sh down. The labs share the
# images and nothing else: each is a Compose project of its own.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

prefix=${COMPOSE_PROJECT_NAME:-spiffe-lab}-class
scenarios='happy-path bad-id'
most=200
results=${BENCH_OUT:-$CACHE_DIR/bench}
work=$CACHE_DIR/classroom-$prefix
# What a lab takes from the machine, the engine's share included, in MiB.
lab_needs=150

lab_name() { printf '%s-%02d\n' "$prefix" "$1"; }

# labs: those of this classroom that are there, whole or in part. A volume that only bears such a
# project's label is somebody's.
labs() {
	{
		docker ps --all --format '{{.Label "com.docker.compose.project"}}_default'
		docker network ls --format '{{.Name}}'
		docker volume ls --format '{{.Name}}'
	} | sed -nE "s/^($prefix-[0-9]+)_(default|${LAB_VOLUMES// /|})\$/\1/p" | sort -u
}

# free_networks: for how many more networks the engine has addresses, by its pools and what there is.
free_networks() {
	{
		docker info --format '{{range .DefaultAddressPools}}pool {{.Base}} {{.Size}}{{"\n"}}{{end}}'
		docker network ls --quiet | xargs docker network inspect --format '{{range .IPAM.Config}}used {{.Subnet}}{{"\n"}}{{end}}'
		ip -o -4 route show 2>/dev/null | awk '$1 ~ "/" {print "used", $1}' || true
	} | part classroom networks
}

need_networks() {
	local free
	free=$(free_networks)
	[ "$free" -ge "$1" ] || die "Docker has addresses for $free more networks, and $1 labs need $1" "have fewer labs; or remove networks that nobody uses (docker network prune); or widen Docker's address pools: put this into
      /etc/docker/daemon.json (Docker Desktop: Settings, Docker Engine), and restart the engine:
      {\"default-address-pools\": [{\"base\": \"10.201.0.0/16\", \"size\": 24}]}"
}

# available: MiB of memory that the machine has left; nothing where that cannot be seen.
available() { [ ! -r /proc/meminfo ] || awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo; }

need_memory() {
	local left
	left=$(available)
	[ -z "$left" ] || [ "$left" -ge $(($1 * lab_needs)) ] ||
		die "this machine has $left MiB of memory left, and $1 labs need about $(($1 * lab_needs))" "have $((left / lab_needs)) labs at most, or end something else"
}

# first_success: when the client of $project was first served, by the engine's clock.
first_success() { docker logs --timestamps "$(container_of client)" 2>/dev/null | awk '$2 == "Success!!!" && !found {print $1; found = 1} END {exit !found}'; }

# start LAB: its time in $work/LAB.ready, or what went wrong in $work/LAB.result. The lab's log
# tells the time, so that watching costs it nothing.
start() {
	local began
	project=$1
	began=$(engine_time)
	if COMPOSE_PROJECT_NAME=$1 compose up --detach >"$work/$1.log" 2>&1 &&
		wait_until 60 "the client of $1 is served" first_success 2>>"$work/$1.log"; then
		part traffic seconds "$began" "$(first_success)" >"$work/$1.ready"
	else
		say "did not start: see $work/$1.log" >"$work/$1.result"
	fi
}

# verify LAB: runs the scenarios on it.
verify() {
	local scenario count
	[ ! -e "$work/$1.result" ] || return 0
	for scenario in $scenarios; do
		if ! COMPOSE_PROJECT_NAME=$1 "$LAB_DIR/scripts/lab" scenario "$scenario" >>"$work/$1.log" 2>&1 </dev/null; then
			say "$scenario failed: see $work/$1.log" >"$work/$1.result"
			say "  $1: $scenario FAILED"
			return 0
		fi
	done
	say ok >"$work/$1.result"
	count=$(cat "$work"/*.result | wc -l)
	say "  $1: $scenarios passed ($((count)) of $(wc -l <"$work/labs" | xargs))"
}

remove() {
	COMPOSE_PROJECT_NAME=$1
	export COMPOSE_PROJECT_NAME
	remove_lab >"$work/$1.log" 2>&1 || {
		say "  $1 could not be removed:"
		sed 's/^/    /' "$work/$1.log"
		return 1
	}
	sed -n 's/^the volume /  &/p' "$work/$1.log"
	say "  $1 is removed"
}

# each WORD LAB...: does it to every lab, as many at a time as there are cores.
each() {
	local word=$1
	shift
	printf '%s\n' "$@" | xargs -n 1 -P "$(docker info --format '{{.NCPU}}')" bash "$LAB_DIR/scripts/classroom.sh" "$word"
}

up() {
	local n=$1 all=() lab i began=$SECONDS before after left
	case $n in
	'' | *[!0-9]* | 0* | ????*) n=0 ;;
	esac
	if [ "$n" -lt 1 ] || [ "$n" -gt "$most" ]; then
		die "N is \"$1\": want a number of labs from 1 to $most" "make classroom N=20"
	fi
	ensure_compose
	need_built
	lock "classroom-$prefix" 0 "a classroom is being started or removed"
	trap 'unlock "classroom-$prefix"' EXIT
	left=$(labs)
	[ -z "$left" ] || die "a classroom is there already, with $(wc -l <<<"$left" | xargs) of its labs: $(xargs <<<"$left")" "make classroom-down removes it"
	need_networks "$n"
	need_memory "$n"
	exec 3>&2 # what runs when the signal comes may have another
	trap 'unlock "classroom-$prefix"; say "interrupted: make classroom-down removes what is there" >&3; exit 130' INT TERM

	rm -rf "$work"
	mkdir -p "$work" "$results"
	for ((i = 1; i <= n; i++)); do all+=("$(lab_name "$i")"); done
	printf '%s\n' "${all[@]}" >"$work/labs"
	before=$(available)
	say "starting the labs, one after the other: $n"
	i=0
	for lab in "${all[@]}"; do
		start "$lab"
		i=$((i + 1))
		say "  $lab: $(if [ -s "$work/$lab.ready" ]; then say "ready after $(cat "$work/$lab.ready") s"; else cat "$work/$lab.result"; fi) ($i of $n)"
	done
	# Of labs that are idle: what the scenarios run in the containers comes on top for a while.
	after=$(available)
	docker ps --quiet --filter "name=^$prefix-[0-9]+-" | xargs docker stats --no-stream --format 'memory {{.Name}} {{.MemUsage}}' >"$work/memory"
	say "verifying each: $scenarios"
	each verify "${all[@]}"
	say
	facts "${all[@]}" | part classroom table
	facts "${all[@]}" | part classroom table -json -seconds "$((SECONDS - began))" -machine-memory "$((${before:-0} - ${after:-0}))" >"$results/classroom-$n.json"
	say
	say "learners choose their lab with COMPOSE_PROJECT_NAME, for instance:"
	say "  COMPOSE_PROJECT_NAME=${all[0]} make status"
	say "make classroom-down removes all of them ($((SECONDS - began)) s)"
	# The picture of what a lab costs by their number; the tool that draws comes with make bench.
	[ ! -x "$CACHE_DIR/bin/bench" ] || (cd "$LAB_DIR" && BENCH_OUT=$results "$CACHE_DIR/bin/bench" draw)
	for lab in "${all[@]}"; do
		[ "$(cat "$work/$lab.result")" = ok ] || die "not every lab is as it should be" "the table says which"
	done
}

# facts LAB...: what the table and the file are made of.
facts() {
	local lab ready
	for lab in "$@"; do
		ready=0
		[ ! -s "$work/$lab.ready" ] || ready=$(cat "$work/$lab.ready")
		say "lab $lab $ready $(cat "$work/$lab.result")"
	done
	cat "$work/memory"
}

down() {
	local left lab folder all=()
	ensure_compose
	lock "classroom-$prefix" 0 "a classroom is being started or removed"
	trap 'unlock "classroom-$prefix"' EXIT
	left=$(labs)
	if [ -z "$left" ]; then
		say "there is no classroom"
		return
	fi
	while read -r lab; do
		folder=$(docker ps --all --filter "label=com.docker.compose.project=$lab" --format '{{.Label "com.docker.compose.project.working_dir"}}' | sed -n 1p)
		[ -z "$folder" ] || [ "$folder" -ef "$LAB_DIR" ] ||
			die "$lab was started from another folder, $folder" "make -C $folder classroom-down"
		all+=("$lab")
	done <<<"$left"
	mkdir -p "$work"
	say "removing the labs: ${#all[@]}"
	each remove "${all[@]}" || die "not every lab could be removed" "the lines above say why; make classroom-down tries again"
	left=$(labs)
	[ -z "$left" ] || die "of these labs something is left: $(xargs <<<"$left")" "make classroom-down tries again"
	rm -rf "$work"
}

case "${1:-}" in
up) up "${2:-}" ;;
down) down ;;
verify | remove) "$1" "$2" ;; # for `each`
networks) free_networks ;;
*) die "unknown command \"${1:-}\"" "want up N or down" ;;
esac
