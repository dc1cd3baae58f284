# Sourced by the scripts that run on the learner's machine: where the lab is, its versions,
# how to say something, and which Compose runs it. Works with bash 3.2, as macOS has it.
# shellcheck shell=bash

# shellcheck source=environment.sh
. "${BASH_SOURCE[0]%/*}/environment.sh"

LAB_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE_DIR="$LAB_DIR/.cache"
COMPOSE_MINIMUM=2.20

# What the environment sets wins over .env, as it does for Compose; set to nothing it does not.
while IFS='=' read -r key value; do
	case $key in
	'' | \#*) continue ;;
	esac
	value=${value%$'\r'}
	[ -n "${!key:-}" ] || printf -v "$key" '%s' "$value"
	export "${key?}"
done <"$LAB_DIR/.env"
unset key value
WORKLOAD_IMAGE=spiffe-lab/workload:$LAB_TAG TOOLS_IMAGE=spiffe-lab/tools:$LAB_TAG

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' cyan=$'\e[36m' plain=$'\e[0m'
else
	bold='' dim='' red='' green='' cyan='' plain=''
fi
# The scripts that source this file use these.
: "$bold$dim$red$green$cyan$plain" "$WORKLOAD_IMAGE" "$TOOLS_IMAGE"

say() { printf '%s\n' "$*"; }

# die MESSAGE [HINT]
die() {
	printf 'error: %s\n' "$1" >&2
	[ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
	exit 1
}

# at_least VERSION MINIMUM: compares major and minor.
at_least() {
	local major minor
	major=${1#v} major=${major%%.*}
	minor=${1#*.} minor=${minor%%[!0-9]*}
	[ "$major" -gt "${2%%.*}" ] || { [ "$major" -eq "${2%%.*}" ] && [ "${minor:-0}" -ge "${2#*.}" ]; }
}

need_go() {
	command -v go >/dev/null 2>&1 ||
		die "$1, and there is no Go to build it with" "install Go 1.26 or newer (https://go.dev/dl/), or $2"
	local version
	version=$(cd / && go env GOVERSION)
	at_least "${version#go}" 1.21 ||
		die "$1, and Go ${version#go} is too old to build it" "install Go 1.26 or newer (https://go.dev/dl/)"
}

# shellcheck source=preflight.sh
. "$LAB_DIR/scripts/lib/preflight.sh"

# compose_command: the program behind "docker compose" where it is new enough, else the one that
# ensure_compose built. Started by itself it takes half as long as by way of docker.
compose_command() {
	local said version path status=0
	said=$(asked info --format '{{range .ClientInfo.Plugins}}{{if eq .Name "compose"}}{{.Version}} {{.Path}}{{end}}{{end}}') || status=$?
	[ "$status" -ne 143 ] || silent info
	read -r version path <<<"$said"
	if [ -n "$path" ] && at_least "$version" "$COMPOSE_MINIMUM"; then
		say "$path"
	else
		say "$CACHE_DIR/bin/docker-compose"
	fi
}

# build_compose FILE: for GOOS and GOARCH.
build_compose() {
	local version
	version=$(cd "$LAB_DIR/scripts/dev/tools/compose" && go list -m -f '{{.Version}}' github.com/docker/compose/v2)
	mkdir -p "${1%/*}"
	rm -f "$1"
	(cd "$LAB_DIR/scripts/dev/tools/compose" && CGO_ENABLED=0 with_signs_of_life "building docker compose" go build -trimpath \
		-ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=$version" \
		-o "$1" github.com/docker/compose/v2/cmd) ||
		die "docker compose could not be built" "install the plugin: https://docs.docker.com/compose/install/"
}

COMPOSE=
ensure_compose() {
	[ -z "$COMPOSE" ] || return 0
	need_engine
	COMPOSE=$(compose_command) || exit 1
	[ "$COMPOSE" = "$CACHE_DIR/bin/docker-compose" ] || return 0
	need_writable
	if ! "$COMPOSE" version >/dev/null 2>&1; then
		need_go "docker compose $COMPOSE_MINIMUM or newer was not found" "install the plugin: https://docs.docker.com/compose/install/"
		say "docker compose $COMPOSE_MINIMUM or newer was not found: building it from its Go module, about 3 minutes, once" >&2
		build_compose "$COMPOSE"
	fi
	link_compose_plugin
}

# Without a plugin the learner could not type `docker compose`. A link to the one built here
# makes it work; nothing that exists is replaced, and `make clean` removes the link.
link_compose_plugin() {
	local link="${DOCKER_CONFIG:-${HOME:-}/.docker}/cli-plugins/docker-compose"
	if [ -L "$link" ] && [ ! -e "$link" ]; then rm -f "$link"; fi
	if [ ! -e "$link" ] && mkdir -p "${link%/*}" 2>/dev/null && ln -s "$COMPOSE" "$link" 2>/dev/null; then
		say "linked $link to it, so that you can type docker compose yourself (make clean removes the link)" >&2
	fi
}

# compose ARG...: Compose for this lab, from whatever directory.
compose() {
	ensure_compose
	"$COMPOSE" --project-directory "$LAB_DIR" "$@"
}

# project_name: what Compose calls this lab.
project=
project_name() { say "${COMPOSE_PROJECT_NAME:-$(sed -n 's/^name: //p' "$LAB_DIR/compose.yaml")}"; }

# declared services|volumes [FILE...]: their names in Compose files, by default all of the lab's; Compose
# itself tells only of those that a service has just now.
declared() {
	local kind=$1
	shift
	[ $# -gt 0 ] || set -- compose.yaml scripts/scenarios/extras.yaml
	(cd "$LAB_DIR" && awk -v kind="$kind:" '/^[^ #]/ {ours = $1 == kind} ours && /^  [a-z]/ {sub(":.*", "", $1); print $1}' "$@") | sort -u
}

# remove_lab: what the lab of this project made, and nothing else. Compose leaves a volume that no service
# has just now, the disk of server-wiped; one that only bears the project's label is somebody's.
remove_lab() {
	local name volume
	need_own
	name=$(project_name)
	compose --profile '*' down --volumes --remove-orphans || return 1
	for volume in $(docker volume ls --quiet --filter "label=com.docker.compose.project=$name"); do
		if grep -qxF "${volume#"$name"_}" < <(declared volumes); then
			docker volume rm "$volume" >/dev/null
		else
			say "the volume $volume stays: the lab did not make it"
		fi
	done
	rm -f "$CACHE_DIR/unfinished-$name" "$CACHE_DIR/up-$name.txt" "$CACHE_DIR/screen-$name"
}

# container_of SERVICE: its container, running or not; nothing if there is none. Asks the engine
# itself, which is several times faster than Compose. Needs $project.
container_of() {
	docker ps --all --quiet --filter "label=com.docker.compose.project=${project:?}" \
		--filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False | sed -n 1p
}

# wait_until SECONDS WHAT COMMAND...: polls a condition; says what it waited for if it never held, and
# what the condition printed last.
wait_until() {
	local limit=$1 what=$2 start=$SECONDS said
	shift 2
	until said=$("$@" 2>&1); do
		if [ $((SECONDS - start)) -ge "$limit" ]; then
			printf 'error: waited %s s in vain for this: %s%s\n' "$limit" "$what" "${said:+: $(tail -n 1 <<<"$said")}" >&2
			return 1
		fi
		sleep 0.2
	done
}

# with_signs_of_life WHAT COMMAND...: a line every 10 s for as long as the command runs.
with_signs_of_life() {
	local what=$1 status=0 ticker
	shift
	(
		start=$SECONDS
		while sleep 10 >/dev/null 2>&1; do printf '  still %s, %s s\n' "$what" "$((SECONDS - start))" >&2; done
	) &
	ticker=$!
	"$@" || status=$?
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	return "$status"
}

# into FILE COMMAND...: for a command whose signs of life are to be seen, and what it says is not.
into() { "${@:2}" >"$1" 2>&1; }

# build_images ARG...: `docker compose build`; what it prints is shown if it fails. Compose labels an image with
# the project, which makes it another one: the labs of a folder share theirs.
build_images() {
	local log=$CACHE_DIR/build.log
	if with_signs_of_life "building the images" into "$log" compose --project-name spiffe-lab "$@"; then return; fi
	cat "$log" >&2
	return 1
}

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# need_built: the images of the lab are on this machine.
need_built() {
	local image
	for image in $(compose config --images); do
		has_image "$image" || die "no lab has been built on this machine yet: there is no image $image" "make up"
	done
}

# load_average: of the last minute; nothing where the machine does not tell.
load_average() { uptime 2>/dev/null | sed -n 's/.*averages*: *\([0-9]*\)[.,]\([0-9]*\).*/\1.\2/p'; }

# engine_time: now, by the engine's clock, by which `docker logs --timestamps` tells the time too.
engine_time() { docker info --format '{{.SystemTime}}'; }

# bounded SECONDS COMMAND...: for a subshell, which becomes the command; one that runs for longer is ended.
bounded() {
	local me
	me=$(exec sh -c 'echo $PPID') # taken here: in what runs in the background it would be another
	(
		exec >/dev/null 2>&1 </dev/null 3>&- 4>&-
		for ((seconds = 0; seconds < $1; seconds++)); do
			sleep 1
			kill -0 "$me" || exit 0
		done
		kill -TERM "$me"
	) &
	exec "${@:2}"
}

# in_image PROGRAM ARG...: a program of the lab's image, apart from every lab, fed on standard input. The
# image has Compose's labels, by which the container would count as the lab's: they are blanked.
in_image() {
	docker run --rm --interactive --network none --read-only --cap-drop ALL --user 65534:65534 \
		--label com.docker.compose.project= --label com.docker.compose.service= "$WORKLOAD_IMAGE" "$@"
}

# lock NAME SECONDS WHAT: one at a time; ends with an error that says what is in the way. The lock
# is a link whose target is the process that holds it: so it is made in one step, and one whose
# process has died is seen for what it is.
lock() {
	local link="$CACHE_DIR/lock-$1" holder start=$SECONDS
	mkdir -p "$CACHE_DIR"
	until ln -s "$$" "$link" 2>/dev/null; do
		holder=$(readlink "$link" || true)
		if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
			[ "$(readlink "$link" || true)" != "$holder" ] || rm -f "$link"
			continue
		fi
		[ $((SECONDS - start)) -lt "$2" ] ||
			die "$3 (process ${holder:-unknown})" "wait until it has ended; if it never does: rm $link"
		sleep 0.2
	done
}

unlock() { rm -f "$CACHE_DIR/lock-$1"; }

# inside SERVICE USER COMMAND...: what `docker compose exec` does, at a quarter of its cost: for
# conditions that are asked again and again. One in a container that was restarted meanwhile may never end.
inside() {
	local container
	[ -n "$project" ] || project=$(project_name)
	container=$(container_of "$1")
	[ -n "$container" ] || { printf '%s is not running\n' "$1" && return 1; }
	(bounded 60 docker exec --user "$2" "$container" "${@:3}")
}

# client_served: has the running client's latest request been served?
client_served() { inside client client-workload probe http://127.0.0.1:8080/healthz; }
