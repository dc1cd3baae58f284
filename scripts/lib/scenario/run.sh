# Commands, as a learner could type them, and what they must show.
# shellcheck shell=bash

indent() { sed 's/^/    /'; }

explain() { say "$1" | fold -s -w 92 | sed 's/^/  /'; }

step() {
	steps=$((steps + 1))
	say
	say "${bold}$steps. $1${plain}"
	on_screen step "$steps. $1"
	if [ -n "${PAUSE:-}" ] && [ -r /dev/tty ]; then
		printf '%s' "${dim}   Enter to go on ...${plain}"
		read -r _ </dev/tty
	fi
	mark_logs
}

# on_screen WORD TEXT: each line, for the console, which shows a room what a scenario does.
on_screen() { sed -n "1,60s/^/$1 /p" <<<"$2" >>"$CACHE_DIR/screen-$project"; }

# typed WORD...: as one could type it. A pipe is a word of its own.
typed() {
	local word line=''
	for word in "$@"; do
		case $word in
		'|') line="$line |" ;;
		*[!A-Za-z0-9_./:=@%+,-]* | '') line="$line '${word//\'/\'\\\'\'}'" ;;
		*) line="$line $word" ;;
		esac
	done
	say "${line# }"
}

run() {
	local start=$SECONDS
	show_command "$@"
	execute "$@"
	show_result
	[ $((SECONDS - start)) -lt "$run_limit" ] || fail "this did not end within $run_limit s: $(typed "$@")"
}

show_command() {
	say "  ${cyan}\$ $(typed "$@")${plain}"
	on_screen command "$(typed "$@")"
}

show_result() {
	on_screen said "$output"
	# Compose's own progress is not what a step is about.
	grep -vE '^( (Container|Volume|Network) |Going to |$)' <<<"$output" | indent || true
	[ "$exit_status" -eq 0 ] || say "    ${dim}exit status $exit_status${plain}"
}

# execute WORD...: as a shell would, but that `docker compose` is this lab's, has no terminal, for its
# output is read, and ends in time. While it pauses a container the console asks nothing there: Docker Engine
# 20.10 never lets go of one in which it was just about to start a process.
execute() {
	local pauses='' line program='bounded "$run_limit" env' lab='"$COMPOSE" --project-directory "$LAB_DIR"'
	reads_only "$@" || changes
	case " $* " in *' pause '*) pauses=yes ;; esac
	line=$program
	while [ $# -gt 0 ]; do
		case "$1 ${2:-} ${3:-}" in
		'docker compose exec' | 'docker compose run') line="$line $lab $3 -T" && shift 3 ;;
		'docker compose '*) line="$line $lab" && shift 2 ;;
		'| '*) line="$line | $program" && shift ;;
		*) line="$line $(printf '%q' "$1")" && shift ;;
		esac
	done
	exit_status=0
	[ -z "$pauses" ] || lock "asks-$project" 20 "the console asks the lab something"
	output=$(eval "$line" 2>&1 </dev/null) || exit_status=$?
	[ -z "$pauses" ] || unlock "asks-$project"
}

# reads_only WORD...: does this leave the lab as it is? What is not known to does not.
reads_only() {
	case " $* " in
	*' /opt/spire/bin/spire-server '*' show '* | *' /opt/spire/bin/spire-server '*' mint '*) ;;
	*' spire-server '* | *' exec --detach '*) return 1 ;;
	' docker compose exec '* | ' docker compose logs '* | ' docker compose ps '*) ;;
	*) return 1 ;;
	esac
}

# server_cli ARG...: the CLI of the SPIRE server, unseen: for conditions.
server_cli() { inside spire-server '' /opt/spire/bin/spire-server "$@"; }
spire_server_answers() { server_cli healthcheck; }

# served: a client that starts now, and the one that runs.
served() { inside client client-workload client -wait 2s -timeout 2s && client_served; }

passed() {
	checks=$((checks + 1))
	say "  ${green}ok${plain} $1"
}

fail() {
	failure=$1
	exit 1
}

expect_exit() {
	[ "$exit_status" -eq "$1" ] || fail "$2: exit status is $exit_status, not $1"
	passed "$2"
}

expect_success() { expect_exit 0 "$1"; }

expect_output() {
	[[ $output == *"$1"* ]] || fail "$2: the output lacks: $1"
	passed "$2"
}

expect_no_output() {
	[[ $output != *"$1"* ]] || fail "$2: the output has: $1"
	passed "$2"
}

expect() {
	"${@:2}" >/dev/null 2>&1 || fail "$1: this does not hold: $(typed "${@:2}")"
	passed "$1"
}

eventually() {
	tell_wait "$@" || fail "$2: not within $1 s: $(typed "${@:3}")"
	passed "$2"
}

expect_soon() {
	show_command "${@:4}"
	if ! tell_wait "$1" "$3" prints "$2" "${@:4}"; then
		show_result
		fail "$3: after $1 s the output lacks: $2"
	fi
	show_result
	passed "$3"
}

prints() {
	execute "${@:2}"
	[[ $output == *"$1"* ]]
}

# tell_wait SECONDS WHAT COMMAND...: never a silent minute; on a terminal one line that counts.
tell_wait() {
	local limit=$1 what=$2 start=$SECONDS told=0 now status=0
	shift 2
	until "$@" >/dev/null 2>&1; do
		now=$((SECONDS - start))
		if [ "$now" -ge "$limit" ]; then
			status=1
			break
		fi
		if [ "$now" -gt "$told" ] && [ -t 1 ]; then
			printf '\r  %s... %s s of at most %s: %s%s' "$dim" "$now" "$limit" "$what" "$plain"
			told=$now
		elif [ "$now" -ge $((told + 10)) ]; then
			say "  ... $now s of at most $limit: $what"
			told=$now
		fi
		sleep 0.2
	done
	if [ -t 1 ] && [ "$told" -gt 0 ]; then printf '\r\e[K'; fi
	return "$status"
}
