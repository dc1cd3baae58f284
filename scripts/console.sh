#!/usr/bin/env bash
# Shows the running lab in a browser, on this machine only: who spoke to whom, as whom, and who refused.
#
#   console.sh      PORT=8089, OPEN=0 opens no browser; Ctrl-C ends it
#
# Asks the engine and SPIRE's CLI, follows all logs, and feeds both into the program console (services/console),
# which serves the page on 127.0.0.1. What feeds it comes by a socket in a folder that only its owner can enter.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

port=${PORT:-8089}
case $port in
'' | *[!0-9]* | 0* | ??????*) die "PORT is \"$port\"" "a number from 1024 to 65535, such as 8089" ;;
esac
ensure_compose
project=$(project_name)
work=$(mktemp -d)
feed=$work/FEED                               # the socket
known=$CACHE_DIR/console-socket-$project # where it is, for handshake.sh

lab_containers() { docker ps --quiet --filter "label=com.docker.compose.project=$project"; }

cleanup() {
	local status=$? job
	trap '' INT TERM
	for job in $(jobs -p); do kill -TERM -- "-$job" 2>/dev/null || true; done
	[ -z "${ours:-}" ] || { rm -f "$known" && unlock "console-$project"; }
	rm -rf "$work"
	exit "$status"
}

# start: the server, in the background; $server is its process.
start() {
	(lock "console-$project" 0 "a console of the lab $project is running already") 2>/dev/null ||
		die "a console of the lab $project is running already" "end it with Ctrl-C where it runs"
	ours=1
	"$CONSOLE" serve -socket "$feed" -listen "127.0.0.1:$port" -project "$project" -port "$port" >"$work/SERVED" 2>&1 &
	server=$!
	wait_until 10 "the console serves its page" serves_or_ends || die "the console does not serve" "try again; the machine is busy"
	if ! serves; then
		case $(cat "$work/SERVED") in
		*'address already in use'* | *'Only one usage of each socket address'*) die "the port $port is in use on this machine" "make console PORT=$((port + 1))" ;;
		*) die "the console does not start: $(tail -n 1 "$work/SERVED")" "make console PORT=$((port + 1))" ;;
		esac
	fi
	say "$feed" >"$known"
}

serves() { grep 'serving on' "$work/SERVED" >/dev/null; }
serves_or_ends() { serves || ! kill -0 "$server" 2>/dev/null; }

feed() { "$CONSOLE" feed "$1" -socket "$feed" >/dev/null 2>&1; }

# logs ARG...: asked for by the project's name Compose follows what starts later, too.
logs() { (cd / && "$COMPOSE" --project-name "$project" logs --timestamps --no-color "$@" 2>/dev/null); }

# follow_logs: begins with the last lines of each, in the order of their time.
follow_logs() {
	local since
	since=$(engine_time)
	logs --tail 40 --until "$since" | LC_ALL=C sort -t '|' -k 2 || true
	while true; do
		logs --follow --since "$since" || true
		since=$(engine_time) || return 0
		sleep 1 # the lab is down
	done
}

lessons() {
	local file
	for file in "$LAB_DIR"/scripts/scenarios/[a-z]*.md; do
		file=${file##*/}
		say "${file%.md} $(base64 <"$LAB_DIR/scripts/scenarios/$file" | tr -d '\n')"
	done
}

# ask NAME COMMAND...: in the background; its answer is there once it is whole.
ask() {
	{ "${@:2}" </dev/null 2>/dev/null | tr -d '\n' >"$work/$1.part" && mv "$work/$1.part" "$work/$1"; } &
	asked="$asked $!"
}

answer() { if [ -s "$work/$1" ]; then cat "$work/$1"; else printf null; fi; }

# shellcheck disable=SC2016 # the template's own variable
as_container='{"service":{{json (index .Config.Labels "com.docker.compose.service")}},"user":{{json .Config.User}},"status":{{json .State.Status}},"addresses":[{{$n := 0}}{{range .NetworkSettings.Networks}}{{if .IPAddress}}{{if $n}},{{end}}{{$n = 1}}{{json .IPAddress}}{{end}}{{end}}]}'

containers() {
	docker ps --all --quiet --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False |
		xargs docker inspect --format "$as_container" | paste -s -d , -
}

# facts: one line. What does not answer within 2 s is null.
facts() {
	local cli=/opt/spire/bin/spire-server asked='' pid watch
	rm -f "$work"/[a-z]*
	ask containers containers
	ask entries inside spire-server '' $cli entry show -output json
	ask agents inside spire-server '' $cli agent list -output json
	ask authorities inside spire-server '' $cli localauthority x509 show -output json
	ask client inside client client-workload observer -limit 1s
	ask server inside server server-workload observer -limit 1s
	# shellcheck disable=SC2086 # a list of processes
	(sleep 2 && for pid in $asked; do pkill -P "$pid"; kill "$pid"; done) >/dev/null 2>&1 &
	watch=$!
	for pid in $asked; do wait "$pid" 2>/dev/null || true; done
	kill "$watch" 2>/dev/null || true
	say "{\"containers\":[$(cat "$work/containers" 2>/dev/null)],\"entries\":$(answer entries),\"agents\":$(answer agents),\"authorities\":$(answer authorities),\"observations\":[$(answer client),$(answer server)]}"
}

# answers: gives the console what it wants, when it wants it.
answers() {
	local what as
	while read -r what as; do
		case $what in
		facts)
			# One that waits in vain asks all the same, and leaves the lock to whoever has it.
			if (lock "asks-$project" 20 "a scenario pauses the lab") 2>/dev/null; then
				facts
				unlock "asks-$project"
			else
				facts
			fi
			;;
		handshake) AS=$as bash "$LAB_DIR/scripts/handshake.sh" >/dev/null 2>&1 </dev/null & ;;
		esac
	done
}

# open_browser: where there is one, and somebody to look at it.
open_browser() {
	[ "${OPEN:-1}" != 0 ] && [ -t 1 ] || return 0
	if [ "$(uname -s)" = Darwin ]; then
		open "$1"
	elif command -v wslview >/dev/null 2>&1; then
		wslview "$1"
	elif [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && command -v xdg-open >/dev/null 2>&1; then
		xdg-open "$1"
	elif [ -n "${MSYSTEM:-}" ]; then
		start "" "$1"
	fi >/dev/null 2>&1 || true
}

[ -n "$(lab_containers)" ] || die "no lab of the name $project is running" "make up"
mkdir -p "$CACHE_DIR"
trap cleanup EXIT
trap 'say "the console has ended" && exit 0' INT
trap 'say "the console has ended" && exit 143' TERM
# Each in a process group of its own, which can be ended with all that it runs.
set -m
start
mkfifo "$work/FACTS"
lessons | feed lesson &
follow_logs | feed log &
tail -n +1 -F "$CACHE_DIR/screen-$project" 2>/dev/null | feed screen &
# shellcheck disable=SC2094 # a fifo
"$CONSOLE" facts -socket "$feed" <"$work/FACTS" 2>/dev/null | answers >"$work/FACTS" &
set +m
say "${bold}http://127.0.0.1:$port/${plain} shows the lab $project; Ctrl-C ends it"
open_browser "http://127.0.0.1:$port/"
if ! wait "$server"; then die "the console's page has ended: $(tail -n 1 "$work/SERVED")" "make console"; fi
say "the console has ended"
