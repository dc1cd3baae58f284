# Sourced by the scripts that run on the learner's machine: where the lab is, its versions,
# how to say something, and which Compose runs it. Works with bash 3.2, as macOS has it.
# shellcheck shell=bash

# shellcheck source=environment.sh
. "${BASH_SOURCE[0]%/*}/environment.sh"

LAB_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE_DIR="$LAB_DIR/.cache"

# The lab's settings, as the program lab reads them from .env and the environment.
settings=$("$LAB_DIR/scripts/lab" part settings) || exit 1
while IFS='=' read -r key value; do export "$key=$value"; done <<<"$settings"
unset settings key value
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

# need_engine: an engine answers that the lab works with. ENGINE_ARCH is its architecture.
need_engine() { engine_settings engine; }

COMPOSE=
# ensure_compose: there is a Compose, and COMPOSE is its program. The program lab builds one where there is none.
ensure_compose() { [ -n "$COMPOSE" ] || engine_settings compose; }

engine_settings() {
	local said key value
	said=$(part "$1") || exit 1
	while IFS='=' read -r key value; do export "$key=$value"; done <<<"$said"
}

# compose ARG...: Compose for this lab, from whatever directory.
compose() {
	ensure_compose
	"$COMPOSE" --project-directory "$LAB_DIR" "$@"
}

# project_name: what Compose calls this lab.
project=
project_name() { say "${COMPOSE_PROJECT_NAME:-$(sed -n 's/^name: //p' "$LAB_DIR/compose.yaml")}"; }

# remove_lab: what the lab of this project made, and nothing else.
remove_lab() { "$LAB_DIR/scripts/lab" down; }

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
			printf 'error: timed out after %s s waiting for: %s%s\n' "$limit" "$what" "${said:+: $(tail -n 1 <<<"$said")}" >&2
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

# part NAME ARG...: a part of the program lab, which counts, compares and judges for the scripts.
part() { "$LAB_DIR/scripts/lab" part "$@"; }

# lock NAME SECONDS WHAT: one at a time; ends with an error that says what is in the way. The lock is a file that only one
# process can make, with its number in it, as in services/internal/scenario/lock.go: what a dead process has left is taken over.
lock() {
	local file="$CACHE_DIR/lock-$1" holder start=$SECONDS
	mkdir -p "$CACHE_DIR"
	until (set -o noclobber && printf '%s\n' "$$" >"$file") 2>/dev/null; do
		holder=$(cat "$file" 2>/dev/null) || true
		if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
			[ "$(cat "$file" 2>/dev/null)" != "$holder" ] || rm -f "$file"
			continue
		fi
		[ $((SECONDS - start)) -lt "$2" ] ||
			die "$3 (process ${holder:-unknown})" "wait until it has ended; if it never does: rm $file"
		sleep 0.2
	done
}

# unlock NAME: only what this process holds.
unlock() { [ "$(cat "$CACHE_DIR/lock-$1" 2>/dev/null)" != "$$" ] || rm -f "$CACHE_DIR/lock-$1"; }

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
