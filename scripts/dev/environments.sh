#!/usr/bin/env bash
# Tests the lab in the environments that learners' machines have: each case is a clone with something odd about it or around it,
# and what must come of it: `works TARGET TEXT...` or `refused TARGET TEXT...`, a TEXT being words that must
# be said. Ends with "N passed, N failed".
#
#   QUICK=1      only the cases that need no lab to be started
#   ONLY=words   only the cases whose names have these words
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"

passed=0
failed=0
work=$(mktemp -d)
# Images of its own, for a case may edit what goes into them.
built_tag=$LAB_TAG
export LAB_TAG=$LAB_TAG-environment
WORKLOAD_IMAGE=spiffe-lab/workload:$LAB_TAG
images='workload tools bootstrap spire-server spire-agent'
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-spiffe-lab}-environment-$$
project=$COMPOSE_PROJECT_NAME
box='' folder='' begins='' case_name='' others=''
wrong=''
skip=yes
lasted=0 # seconds, of the last target

cleanup() {
	local status=$?
	trap '' INT TERM
	trap - EXIT
	end_others
	tidy
	for image in $images; do docker rmi "spiffe-lab/$image:$LAB_TAG" >/dev/null 2>&1 || true; done
	chmod -R u+w "$work"
	rm -rf "$work"
	exit "$status"
}

# fresh_images: those of this folder, under the test's tag.
fresh_images() {
	local image
	for image in $images; do
		if has_image "spiffe-lab/$image:$built_tag"; then docker tag "spiffe-lab/$image:$built_tag" "spiffe-lab/$image:$LAB_TAG"; fi
	done
}

# tidy: what a case has left, whichever clone it came from; this project's name is the test's own.
tidy() {
	things container rm --force --volumes < <(docker ps --all --format '{{.Label "com.docker.compose.project"}} {{.Names}}')
	things network rm < <(docker network ls --format '{{.Label "com.docker.compose.project"}} {{.Name}}')
	things volume rm < <(docker volume ls --format '{{.Label "com.docker.compose.project"}} {{.Name}}')
}

# things COMMAND... <PROJECT NAME: does it to those of the test, by either.
things() {
	awk -v ours="$project" '$1 == ours || index($NF, ours "-") == 1 || index($NF, ours "_") == 1 {print $NF}' | while read -r name; do docker "$@" "$name" >/dev/null || true; done
}

# end_others: what a case has put beside the lab ends: the process $others, and its network.
end_others() {
	[ -n "$others" ] || return 0
	kill "$others" 2>/dev/null || true
	others=''
	docker network rm "other-$project" >/dev/null 2>&1 || true
}

# The helper functions of a case.

# environment NAME: begins one, with a home, a Docker configuration and a PATH of its own, and a clone.
# starts NAME: the same, of one that starts a lab.
environment() {
	verdict
	end_others
	[ -z "$begins" ] || tidy
	said=''
	case_name=$1 begins=${2:-} wrong='' skip='' steps=0
	case $case_name in *${ONLY:-}*) ;; *) skip=yes && return ;; esac
	box=$work/$((passed + failed))
	mkdir -p "$box/bin" "$box/home/.docker/cli-plugins"
	ln -s "$COMPOSE" "$box/home/.docker/cli-plugins/docker-compose"
	settings=("HOME=$box/home" "DOCKER_CONFIG=$box/home/.docker" "COMPOSE_PROJECT_NAME=$project" "PATH=$box/bin:$PATH" "GOCACHE=$(go env GOCACHE)" "GOMODCACHE=$(go env GOMODCACHE)" "NO_COLOR=1")
	mask=022
	within=()
	[ -z "$begins" ] || fresh_images
	clone lab
}
starts() {
	if [ -n "${QUICK:-}" ]; then
		verdict
		skip=yes
	else
		environment "$1" begins
	fi
}

# clone FOLDER [GIT OPTION...]: of what is committed; what has been compiled here is there already.
clone() {
	[ -z "$skip" ] || return 0
	folder=$box/$1
	shift
	rm -rf "$folder"
	(umask "$mask" && git clone --quiet "$@" -- "$LAB_DIR" "$folder") 2>"$box/git" || wrong=${wrong:-"git: $(cat "$box/git")"}
	mkdir -p "$folder/.cache"
	if [ -n "$begins" ] && [ -d "$CACHE_DIR/prebuilt-images" ]; then
		cp -RPl "$CACHE_DIR/prebuilt-images" "$folder/.cache/prebuilt-images" 2>/dev/null || cp -RP "$CACHE_DIR/prebuilt-images" "$folder/.cache/"
	fi
	[ ! -e "$CACHE_DIR/prebuilt" ] || : >"$folder/.cache/prebuilt"
	[ ! -e "$CACHE_DIR/built-$built_tag.json" ] || sed "s/:$built_tag\"/:$LAB_TAG\"/" "$CACHE_DIR/built-$built_tag.json" >"$folder/.cache/built-$LAB_TAG.json"
	mkdir -p "$folder/.cache/bin"
	cp -p "$CACHE_DIR/bin/lab" "$CACHE_DIR/bin/console" "$folder/.cache/bin/"
}

# set_to NAME=VALUE...: in the learner's shell.
set_to() { [ -n "$skip" ] || settings+=("$@"); }

# without TOOL...: these are not installed: the PATH has links to all other programs.
without() {
	local dir tool
	[ -z "$skip" ] || return 0
	mkdir -p "$box/path"
	while IFS= read -r -d : dir; do ln -s "$dir"/* "$box/path/" 2>/dev/null || true; done <<<"$PATH:"
	for tool in "$@"; do rm -f "$box/path/$tool"; done
	settings+=("PATH=$box/bin:$box/path")
}

# stub TOOL SCRIPT: answers in its place; $real is the tool itself.
stub() {
	[ -n "$skip" ] || { printf '#!/bin/sh\nreal=%s\n%s\n' "$(command -v "$1")" "$2" >"$box/bin/$1" && chmod +x "$box/bin/$1"; }
}

# read_only PATH: as if it were somebody else's. Who may write everywhere needs a mount for that.
read_only() {
	[ -z "$skip" ] || return 0
	if [ "$(id -u)" -eq 0 ]; then
		# shellcheck disable=SC2016 # its own
		within=(unshare --mount sh -c 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$PWD" && exec "$@"' "$1")
	else
		chmod a-w "$1"
	fi
}

# does COMMAND...: something done to the clone, in its folder.
does() { [ -n "$skip" ] || [ -n "$wrong" ] || (cd "$folder" && "$@") >"$box/did" 2>&1 || wrong="$* failed: $(tail -n 1 "$box/did")"; }

# lab TARGET...: $said, $status.
lab() {
	status=0
	case $1 in scenario-*) set -- scenario "${1#scenario-}" ;; esac
	local began=$SECONDS
	said=$(cd "$folder" && umask "$mask" && env "${settings[@]}" ${within[@]+"${within[@]}"} scripts/lab "$@" 2>&1 </dev/null) || status=$?
	# shellcheck disable=SC2034 # for the case
	lasted=$((SECONDS - began))
	steps=$((steps + 1))
}

# works TARGET TEXT...; refused TARGET TEXT..., with one line that says what is wrong and one that says what
# to do, and before anything is changed.
works() {
	[ -z "$skip$wrong" ] || return 0
	lab "$1"
	[ "$status" -eq 0 ] || wrong="$1 exits with $status"
	has_said "${@:2}"
}
refused() {
	[ -z "$skip$wrong" ] || return 0
	local before
	before=$(state)
	lab "$1"
	[ "$status" -ne 0 ] || wrong="$1 succeeds"
	[ "$(grep -c '^error: ' <<<"$said")" -eq 1 ] || wrong=${wrong:-"it does not say in one line what is wrong"}
	[ "$(grep -c '^hint: ' <<<"$said")" -eq 1 ] || wrong=${wrong:-"it does not say in one line what to do"}
	[ "$before" = "$(state)" ] || wrong=${wrong:-"it has changed something"}
	has_said "${@:2}"
}
# asks CODE TEXT...: what the scripts find there, once they have read host.sh.
asks() {
	[ -z "$skip$wrong" ] || return 0
	status=0
	said=$(cd "$folder" && env "${settings[@]}" bash -c ". scripts/lib/host.sh; $1" bash 2>&1 </dev/null) || status=$?
	steps=$((steps + 1))
	[ "$status" -eq 0 ] || wrong="$1 exits with $status"
	has_said "${@:2}"
}

# fails TARGET TEXT...: later than the look before the start.
fails() {
	[ -z "$skip$wrong" ] || return 0
	lab "$1"
	[ "$status" -ne 0 ] || wrong="$1 succeeds"
	has_said "${@:2}"
}
has_said() {
	local text
	for text in "$@"; do [[ $said == *"$text"* ]] || wrong=${wrong:-"it does not say: $text"}; done
}

# state: what the engine has of this project.
state() {
	docker ps --all --no-trunc --filter "label=com.docker.compose.project=$project" --format '{{.ID}} {{.State}}' | sort
	docker volume ls --quiet --filter "label=com.docker.compose.project=$project"
}

# start FILE...: Compose alone, with these files, on empty volumes, until the client is served:
# $took is the seconds from the command to the first success.
start() {
	local file files=() began
	[ -z "$skip$wrong" ] || return 0
	for file in compose.yaml "$@"; do files+=(--file "$file"); done
	tidy
	began=$(engine_time)
	does "$COMPOSE" "${files[@]}" up --detach
	asks 'wait_until 60 "the client is served" client_served'
	# shellcheck disable=SC2034 # for the case
	took=$(part traffic seconds "$began" "$(docker logs --timestamps "$(container_of client)" 2>/dev/null | sed -n '/Success/{s/ .*//p;q;}')")
}

# holds WHY COMMAND...
holds() {
	[ -z "$skip$wrong" ] || return 0
	steps=$((steps + 1))
	"${@:2}" >"$box/held" 2>&1 || wrong="$1: $(tail -n 1 "$box/held")"
}

# verdict: on the case that ends here.
verdict() {
	[ -z "$skip" ] || return 0
	[ "$steps" -gt 0 ] || wrong=${wrong:-"nothing was run"}
	if [ -z "$wrong" ]; then
		passed=$((passed + 1))
		say "  ${green}ok${plain} $case_name"
	else
		failed=$((failed + 1))
		[ -z "$said" ] || say "$said" | tail -n 25 | sed 's/^/    /'
		say "  ${red}FAIL${plain} $case_name: $wrong"
	fi
}

need_go "clones are to be built" "run make environments where Go is"
command -v git >/dev/null 2>&1 || die "git was not found, and clones are to be made" "install git"
ensure_compose
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

LAB_TAG=$built_tag part build-tools
fresh_images
for file in "$LAB_DIR"/scripts/dev/environments/*.sh; do
	say "${bold}$(sed -n '1s/^# //p' "$file")${plain}"
	# shellcheck source=/dev/null
	. "$file"
	verdict
	skip=yes
done
say "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
