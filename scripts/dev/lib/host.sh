# Sourced by the scripts of this folder. It has the lab's folder and versions, functions for messages, and the Compose that runs
# the lab. It works with bash 3.2, which macOS has.
# shellcheck shell=bash

# shellcheck source=environment.sh
. "${BASH_SOURCE[0]%/*}/environment.sh"

LAB_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
CACHE_DIR="$LAB_DIR/.cache"

# The program lab reads the settings from .env and the environment, and prints them.
settings=$("$LAB_DIR/scripts/lab" part settings) || exit 1
while IFS='=' read -r key value; do export "$key=$value"; done <<<"$settings"
unset settings key value

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
	bold='' red='' green='' plain=''
fi
# The scripts that source this file use these variables.
: "$bold$red$green$plain"

say() { printf '%s\n' "$*"; }

# die MESSAGE [HINT]
die() {
	printf 'error: %s\n' "$1" >&2
	[ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
	exit 1
}

# at_least VERSION MINIMUM: compares the major and the minor version, and ignores the rest.
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

# need_engine: checks that the lab works with the engine, and sets ENGINE_ARCH to the engine's architecture.
need_engine() { engine_settings engine; }

COMPOSE=
# ensure_compose: sets COMPOSE to the path of Compose. The program lab builds Compose if it is missing.
ensure_compose() { [ -n "$COMPOSE" ] || engine_settings compose; }

engine_settings() {
	local said key value
	said=$(part "$1") || exit 1
	while IFS='=' read -r key value; do export "$key=$value"; done <<<"$said"
}

# compose ARG...: runs Compose for this lab, from any directory.
compose() {
	ensure_compose
	"$COMPOSE" --project-directory "$LAB_DIR" "$@"
}

# wait_until SECONDS WHAT COMMAND...: polls a condition. If it does not hold in time, prints WHAT, and the last output of the
# condition.
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

# with_signs_of_life WHAT COMMAND...: prints a line every 10 s while the command runs.
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

# into FILE COMMAND...: writes the command's output to a file. with_signs_of_life can run it as its COMMAND.
into() { "${@:2}" >"$1" 2>&1; }

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# need_built: checks that the lab's images exist on this machine.
need_built() {
	local image
	for image in $(compose config --images); do
		has_image "$image" || die "no lab has been built on this machine yet: there is no image $image" "make up"
	done
}

# load_average: prints the load of the last minute, or nothing if the machine does not show it.
load_average() { uptime 2>/dev/null | sed -n 's/.*averages*: *\([0-9]*\)[.,]\([0-9]*\).*/\1.\2/p'; }

# part NAME: runs a hidden command of the program lab for these scripts.
part() { "$LAB_DIR/scripts/lab" part "$@"; }

# lock NAME SECONDS WHAT: lets one process at a time continue. After SECONDS, an error prints WHAT, and which process holds the
# lock. The lock is a file that only one process can create, as in services/internal/scenario/lock.go. The file has the PID of
# this process. The lock of a dead process passes to the next process.
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

# unlock NAME: removes a lock only if this process holds it.
unlock() { [ "$(cat "$CACHE_DIR/lock-$1" 2>/dev/null)" != "$$" ] || rm -f "$CACHE_DIR/lock-$1"; }
