# Sourced by every scenario and check: the words they are written in.
#
#   step SENTENCE                   the next step; from here on only new log lines count
#   run [NAME=VALUE] COMMAND...     shows a docker compose command, runs it, keeps $output and $exit_status;
#                                   one that does not end within 2 minutes fails
#   spire ARG...                    the same, for the CLI of the SPIRE server
#   tool COMMAND...                 the same, in the container of the tools (curl, openssl)
#   tool_as USER COMMAND...         the same, as another user of the host
#   s_client ADDRESS OPTION...      the same, as client-workload: one request by openssl s_client,
#                                   which reads until the server closes
#   fetch USER                      the user's SVID, key and bundle, as files in /work of tools
#   only REGEX COMMAND...           any of these; of its output only the matching lines are shown
#   keep FILE COMMAND...            runs a docker compose command into a file of that container, unseen
#   pipe COMMAND... -- COMMAND...   shows and runs two docker compose commands; the second reads what
#                                   the first prints
#   cast SERVICE...                 starts services of the cast, which go when the scenario ends
#   absent SERVICE                  stops a service of the lab, which comes back when the scenario ends
#   present SERVICE                 brings it back before that, and waits until the clients are served
#   forge SERVICE NAME ID           makes with openssl, in a service of the cast, a CA of its own (ca.pem)
#                                   and under it NAME.pem and NAME.key, an X.509-SVID but for its CA
#   join HOST SERVER ID             starts a host of the cast, and has its agent join that SPIRE server
#                                   with a $token, as ID
#   explain TEXT                    what the step has shown
#
#   expect_success WHY              the last command exited with 0
#   expect_exit STATUS WHY          the last command exited with STATUS
#   expect_output TEXT WHY          the last command printed this text
#   expect_no_output TEXT WHY       ... and this it did not print
#   expect_soon SECONDS TEXT WHY COMMAND...   shows a docker compose command and repeats it until it
#                                   prints this text
#   expect_refused ALERT REGEX WHY [--cert FILE --key FILE]   with this certificate, or none, curl gets
#                                   nothing from the server and openssl reads this alert; the server
#                                   logs for both that the handshake failed, and a reason that matches
#   expect_log SERVICE REGEX WHY    a line logged since the step began matches, within 10 s
#   expect_log_within SECONDS TIME SERVICE REGEX WHY   ... and the first such line came so soon after
#                                   TIME, which is of engine_time
#   expect_no_log SERVICE REGEX WHY no line logged since the step began matches
#   expect WHY COMMAND...           a condition that must hold now
#   eventually SECONDS WHY COMMAND...   a condition that must hold within a time; told while it lasts
#
#   traffic_begins                  `steady` sends a request every 250 ms, each over a new connection
#   traffic_ends                    stops it, and accounts for every request: $sent, $served, $failed,
#                                   each reason with its number, $received and $refused by the server
#   expect_lossless WHY             of that traffic nothing failed, and the server saw all of it
#   expect_outage REGEX WHY TIME    its failures came in one piece, all of them with these words, and
#                                   none before TIME; whatever was sent before and after was served
#
#   short_lived SECONDS [SERVICE...]  SVIDs that live so long, for server and client or the one named:
#                                   waits until the running programs hold such, and is put back
#   held_until SERVICE              when the SVID that the running program holds expires, by its log
#   seconds_left SERVICE            the same, counted from now
#   past TIME                       is this time over? By the clock of this machine
#   countdown SERVICE               waits until that SVID has expired, and tells how long it still has
#   quick QUICK FULL                the first of the two with QUICK=1 in the environment, else the second
#
#   see_processes SERVICE...        shows which process each of them is, and remembers it
#   expect_same_processes WHY       each of them is that process still
#
#   restore COMMAND...              run when the scenario ends, however it ends; the last one first.
#                                   Only words of this file and programs: if the scenario is killed
#                                   outright, the next one to run does it.
#   reset_entries                   the lab's registration entries as they were
#   long_lived                      the same, and both programs hold SVIDs of the usual lifetime
#   remove_entry ID                 an entry that a scenario made
#   bring_back SERVICE              what was stopped; waits until the clients are served
#   start_spire_server              with its usual settings; waits until it answers
#   wake                            whatever is paused
#   remove_host ID                  a host that has joined with a token
#   old_disk                        the SPIRE server has its data back, and the empty disk is gone
#   readmit AGENT_ID                the host's agent, banned or not
#   end_federation TRUST_DOMAIN     with its bundle, which is taken from every entry
#   one_authority                   what was begun with `localauthority x509` is finished: one CA is left
#
# LOGS names the services whose logs are watched: set it before `begin`.
# Every expectation is a check: it is counted, and the first that fails ends the scenario.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=host.sh
. "$(dirname "${BASH_SOURCE[0]}")/host.sh"

name=${0##*/}
name=${name%.sh}
checks=0
steps=0
output=''
exit_status=0
failure=''
marks=''
journal=''
held=''
traffic_mark=''
traffic_address=''
outcomes=''
processes=''
token=''
sent=0 served=0 failed=0 received=0 refused=0
began=$SECONDS
run_limit=${RUN_LIMIT:-120}

indent() { sed 's/^/    /'; }

# log_of SERVICE: all that the service's container has logged; nothing if there is none.
log_of() {
	local container
	container=$(container_of "$1")
	[ -z "$container" ] || docker logs "$container" 2>&1
}

# has REGEX: a line of what comes in matches. Reads it to its end: a grep that leaves at the first
# match would fail whoever still writes, and with pipefail the match would count for nothing.
has() { grep -E -- "$1" >/dev/null; }

# mark_of SERVICE: how far its log has come, "container lines".
mark_of() {
	local container lines=0
	container=$(container_of "$1")
	[ -z "$container" ] || lines=$(docker logs "$container" 2>&1 | wc -l)
	say "${container:-none} $((lines))"
}

# lines_since SERVICE CONTAINER LINES: what it has logged since; a container that was made anew
# counts from its first line.
lines_since() {
	local now lines=$3
	now=$(container_of "$1")
	[ "$now" = "$2" ] || lines=0
	[ -z "$now" ] || docker logs ${with_time:+--timestamps} "$now" 2>&1 | tail -n "+$((lines + 1))"
}

mark_logs() {
	local service
	marks=''
	for service in ${LOGS:-server}; do
		marks="$marks$service $(mark_of "$service")
"
	done
}

# new_lines SERVICE: what it has logged since the step began.
new_lines() {
	local service container lines
	while read -r service container lines; do
		[ "$service" = "$1" ] || continue
		lines_since "$service" "$container" "$lines"
		return
	done <<<"$marks"
	fail "the log of $1 is not watched here: add it to LOGS"
}

begin() {
	say "${bold}$name${plain}: $(sed -n '2s/^# //p' "$0")"
	ensure_compose
	project=$(project_name)
	journal=$CACHE_DIR/restore-$project
	if [ "${LAB_SCENARIO:-}" != "$project" ]; then
		lock "scenario-$project" 0 "another scenario is running on this lab"
		held="scenario-$project"
		export LAB_SCENARIO=$project
	else
		journal=$journal-$name # a scenario within a check
	fi
	trap finish EXIT
	trap 'failure="interrupted"; exit 130' INT
	trap 'failure="terminated"; exit 143' TERM
	if [ -s "$journal" ]; then
		say "${dim}a scenario was cut off here: putting back what it changed ...${plain}"
		put_back "$journal" || fail "could not put back what the scenario before changed"
	fi
	: >"$journal"
	say "begin $name: $(sed -n '2s/^# //p' "$0")" >"$CACHE_DIR/screen-$project"
	if ! whole || ! client_served >/dev/null 2>&1; then
		say "${dim}starting the lab ...${plain}"
		output=$(bash "$LAB_DIR/scripts/up.sh" 2>&1) || {
			say "$output"
			fail "the lab does not start: $(sed -n 's/^error: //p' <<<"$output" | tail -n 1)"
		}
	fi
}

# whole: every service of the lab that lasts is running, paused or not.
whole() {
	[ "$(docker ps --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False --format '{{.Label "com.docker.compose.service"}}' |
		grep -cxE 'node|spire-server|spire-agent|server|client')" -eq 5 ]
}

# on_screen WORD TEXT: each line, for the console, which shows what a room sees of it.
on_screen() { sed "s/^/$1 /" <<<"$2" | head -n 60 >>"$CACHE_DIR/screen-$project"; }

fail() {
	failure=$1
	exit 1
}

# put_back JOURNAL: runs what `restore` wrote there, the last line first.
put_back() {
	local commands=() command status=0 i
	while IFS= read -r command; do commands+=("$command"); done <"$1"
	for ((i = ${#commands[@]} - 1; i >= 0; i--)); do
		if ! output=$(eval "${commands[$i]}" 2>&1); then
			say "could not put back: ${commands[$i]}"
			say "$output" | indent
			status=1
		fi
	done
	rm -f "$1"
	return "$status"
}

finish() {
	local status=$?
	trap '' INT TERM
	trap - EXIT
	if [ -e "$journal" ] && ! put_back "$journal"; then
		status=1
		failure=${failure:-"could not put back what it changed"}
	fi
	[ -z "$held" ] || unlock "$held"
	say
	if [ "$status" -eq 0 ] && [ "$checks" -eq 0 ]; then
		status=1
		failure='it checked nothing'
	fi
	if [ "$status" -eq 0 ]; then
		[ ! -f "${0%.sh}.md" ] || say "  why it is so: scripts/scenarios/$name.md"
		say "${green}PASS${plain} $name ($checks checks, $((SECONDS - began)) s)"
		on_screen end "PASS ($checks checks)"
		exit 0
	fi
	for service in $(xargs -n 1 <<<"${LOGS:-server} spire-agent spire-server" | awk '!seen[$0]++'); do
		say "--- the last lines of $service"
		log_of "$service" | tail -n 15 | indent || true
	done
	on_screen end "FAIL: ${failure:-a command failed}"
	say "${red}FAIL${plain} $name: ${failure:-a command failed with exit status $status} ($checks checks, $((SECONDS - began)) s)"
	[ "$status" -ge 128 ] || status=1
	exit "$status"
}

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

# quoted WORD...: as one could type it.
quoted() {
	local word line=''
	for word in "$@"; do
		case $word in
		*[!A-Za-z0-9_./:=@%+,-]* | '') line="$line '$word'" ;;
		*) line="$line $word" ;;
		esac
	done
	say "${line# }"
}

run() {
	local start=$SECONDS setting=''
	show_command "$@"
	if [[ $1 == [A-Z]*=* ]]; then
		setting=$1
		shift
	fi
	execute "$@"
	show_result
	[ $((SECONDS - start)) -lt "$run_limit" ] || fail "this did not end within $run_limit s: docker compose $(quoted "$@")"
}

show_command() {
	local with=''
	if [[ $1 == [A-Z]*=* ]]; then
		with="$1 "
		shift
	fi
	say "  ${cyan}\$ ${with}docker compose $(quoted "$@")${shown:+ | grep -E $(quoted "$shown")}${plain}"
	on_screen command "${with}docker compose $(quoted "$@")"
}

execute() {
	exit_status=0
	case $1 in
	# Typed at a terminal, exec has one; here its output is read.
	exec | run) output=$(limited "$1" -T "${@:2}") || exit_status=$? ;;
	*) output=$(limited "$@") || exit_status=$? ;;
	esac
}

# limited ARG...: Compose, and a watch over it; for a subshell. What changes the lab is not cut off by
# Ctrl-C, for the engine would go on with it, or leave it half done: it has a process group of its own,
# and what is to be put back waits for it. What only runs in the lab ends at once.
limited() {
	local pid
	case $1 in
	exec | run | logs)
		pid=$(exec sh -c 'echo $PPID') # of this subshell, which becomes Compose
		watch_over "$pid" &
		exec env ${setting:+"$setting"} "$COMPOSE" --project-directory "$LAB_DIR" "$@" 2>&1 </dev/null
		;;
	esac
	trap '' INT
	set -m
	# Only the command itself gets the setting: what is put back must not.
	env ${setting:+"$setting"} "$COMPOSE" --project-directory "$LAB_DIR" "$@" 2>&1 </dev/null &
	pid=$!
	set +m
	watch_over "$pid" &
	wait "$pid"
}

# watch_over PID: ends it when it has run for too long.
watch_over() {
	local seconds=0
	exec >/dev/null 2>&1
	while [ "$seconds" -lt "$run_limit" ]; do
		sleep 1
		kill -0 "$1" || exit 0
		seconds=$((seconds + 1))
	done
	kill -TERM "$1"
}

show_result() {
	on_screen said "$output"
	# Compose's own progress is not what a step is about.
	grep -vE '^( (Container|Volume|Network) |Going to |$)' <<<"$output" | grep -E -- "${shown:-}" | indent || true
	[ "$exit_status" -eq 0 ] || say "    ${dim}exit status $exit_status${plain}"
}

spire() { run exec spire-server /opt/spire/bin/spire-server "$@"; }

tool() { run exec tools "$@"; }

tool_as() { run exec --user "$1" tools "${@:2}"; }

# In TLS 1.3 a session ticket, and a refusal too, comes after the handshake: so it reads on.
s_client() {
	local words
	printf -v words '%s ' -connect "$@"
	tool_as client-workload sh -c "printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | openssl s_client -ign_eof ${words}2>&1"
}

fetch() {
	tool_as "$1" spire-agent api fetch x509 -write /work
	[ "$exit_status" -eq 0 ] || fail "$1 gets no SVID"
}

only() {
	local shown=$1
	"${@:2}"
}

pipe() {
	local giver=()
	while [ "$1" != -- ]; do
		giver+=("$1")
		shift
	done
	shift
	# Neither has a terminal.
	set -- "$1" -T "${@:2}"
	giver=("${giver[0]}" -T "${giver[@]:1}")
	say "  ${cyan}\$ docker compose $(quoted "${giver[@]}") | docker compose $(quoted "$@")${plain}"
	exit_status=0
	output=$({ compose "${giver[@]}" </dev/null | compose "$@"; } 2>&1) || exit_status=$?
	grep . <<<"$output" | indent || true
	[ "$exit_status" -eq 0 ] || say "    ${dim}exit status $exit_status${plain}"
}

# keep FILE COMMAND...: what has a private key in it is not for the screen.
keep() {
	local file=$1
	shift
	say "  ${cyan}\$ docker compose $(quoted "$@") | docker compose exec -T tools sh -c 'cat >$file'${plain}"
	exit_status=0
	output=$(compose "$1" -T "${@:2}" 2>&1 </dev/null) || exit_status=$?
	if [ "$exit_status" -ne 0 ]; then
		say "$output" | indent
		say "    ${dim}exit status $exit_status${plain}"
		return
	fi
	# shellcheck disable=SC2016 # it is the shell in the container that expands
	compose exec -T tools sh -c 'umask 077 && cat >"$1"' sh "$file" <<<"$output" || fail "$file could not be kept"
	say "    ${dim}kept in /work/$file of tools, which is removed with the scenario${plain}"
}

cast() {
	local service
	if ! docker image inspect "$TOOLS_IMAGE" >/dev/null 2>&1; then
		say "  ${dim}building the image of the tools, once ...${plain}"
		output=$(build_tools_image 2>&1) || {
			say "$output" | indent
			fail "the image of the tools cannot be built"
		}
	fi
	restore compose rm --stop --force "$@"
	run up --detach --no-deps "$@"
	[ "$exit_status" -eq 0 ] || fail "could not start $*"
}

absent() {
	restore bring_back "$1"
	run stop "$1"
	[ "$exit_status" -eq 0 ] || fail "could not stop $1"
}

present() {
	run up --detach --no-deps "$1"
	expect_soon 20 "Success!!!" "the client is served" exec --user client-workload client client
	eventually 15 "the client that has been running all along is served too" client_served
}

forge() {
	run exec "$1" openssl req -x509 -batch -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \
		-keyout ca.key -out ca.pem -subj '/O=Home-made CA' -addext basicConstraints=critical,CA:TRUE
	[ "$exit_status" -eq 0 ] || fail "the home-made CA could not be made"
	run exec "$1" openssl req -x509 -batch -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \
		-CA ca.pem -CAkey ca.key -keyout "$2.key" -out "$2.pem" -subj /O=SPIRE \
		-addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
		-addext extendedKeyUsage=serverAuth,clientAuth -addext "subjectAltName=URI:$3"
	[ "$exit_status" -eq 0 ] || fail "the home-made certificate could not be made"
}

join() {
	local cli=/opt/spire/bin/spire-server
	[ "$2" != spire-server ] || restore remove_host "$3"
	cast "$1"
	pipe exec "$2" "$cli" bundle show -- exec "$1" sh -c 'cat >/work/bundle.pem'
	expect_success "$1 can tell the true SPIRE server from any other"
	run exec "$2" "$cli" token generate -spiffeID "$3"
	token=$(sed -n 's/^Token: //p' <<<"$output")
	[ -n "$token" ] || fail "$2 made no token"
	run exec --detach "$1" spire-agent run -config "/etc/spire/$1/agent.conf" -joinToken "$token" -logFile /proc/1/fd/1
	expect_log "$1" "Node attestation was successful.*/spire/agent/join_token/$token\"" "its agent has joined"
	expect_log "$2" "Agent attestation request completed.*/spire/agent/join_token/$token\"" "$2 knows it by the token"
	expect_log "$1" 'Starting agent APIs' "it serves the Workload API to the programs of $1"
}

build_tools_image() {
	bash "$LAB_DIR/scripts/build.sh" tools
}

passed() {
	checks=$((checks + 1))
	say "  ${green}ok${plain} $1"
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
	local why=$1
	shift
	"$@" >/dev/null 2>&1 || fail "$why: this does not hold: $(quoted "$@")"
	passed "$why"
}

eventually() {
	local limit=$1 why=$2
	shift 2
	tell_wait "$limit" "$why" "$@" || fail "$why: not within $limit s: $(quoted "$@")"
	passed "$why"
}

expect_soon() {
	local limit=$1 text=$2 why=$3
	shift 3
	show_command "$@"
	if ! tell_wait "$limit" "$why" prints "$text" "$@"; then
		show_result
		fail "$why: after $limit s the output lacks: $text"
	fi
	show_result
	passed "$why"
}

expect_refused() {
	local alert=$1 regex="TLS handshake error from [^ ]+: $2" why=$3
	shift 3
	tool curl -sSk "$@" "https://server:8443/$name"
	expect_no_output "Success!!!" "curl is not served"
	expect_log server "$regex" "$why"
	expect_no_log server "\"/$name\"" "no request came through"
	explain "curl sends its request before it reads the refusal: what it says differs from run to run. openssl sends nothing, and reads what it is told."
	mark_logs
	tool openssl s_client -connect server:8443 "$@" -brief -ign_eof
	expect_exit 1 "the connection failed"
	expect_output "alert $alert" "openssl is told by an alert: $alert"
	expect_log server "$regex" "the server refused it for the same reason"
}

prints() {
	local text=$1
	shift
	execute "$@"
	[[ $output == *"$text"* ]]
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

traffic_begins() {
	restore compose rm --stop --force steady
	traffic_mark=$(mark_of server)
	run up --detach --no-deps --force-recreate steady
	wait_until 15 "the first request of the traffic is served" steady_logged '^Success!!!$' ||
		fail "the traffic does not begin: $(log_of steady | tail -n 1)"
	traffic_address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container_of steady)")
}

steady_logged() { log_of steady | has "$1"; }

# alike: the lines of one reason, which differ in addresses and times only, with their number.
alike() {
	sed -E 's/([0-9]+\.){3}[0-9]+:[0-9]+/ADDR/g; s/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/TIME/g' | sort | uniq -c | sort -rn
}

# server_saw: what the server has logged since the traffic began.
server_saw() {
	# shellcheck disable=SC2086 # a mark is two words
	lines_since server $traffic_mark
}

traffic_ends() {
	local said refusals
	run stop steady
	# TIME OUTCOME of each request; what has a time of its own is no request's outcome.
	outcomes=$(docker logs --timestamps "$(container_of steady)" 2>&1 | grep -vE '^[^ ]+ [0-9/]+ [0-9:]+ ')
	said=$(sed -nE 's/^[^ ]+ ([0-9]+) requests sent: ([0-9]+) served, ([0-9]+) failed$/\1 \2 \3/p' <<<"$outcomes")
	[ -n "$said" ] || fail "the traffic ended without an account: $(tail -n 1 <<<"$outcomes")"
	read -r sent served failed <<<"$said"
	outcomes=$(grep -v ' requests sent: ' <<<"$outcomes")
	[ "$(grep -c . <<<"$outcomes") $(grep -c ' Success!!!$' <<<"$outcomes")" = "$sent $served" ] ||
		fail "the traffic's account ($said) is not what its log shows: $(grep -c . <<<"$outcomes") outcomes, $(grep -c ' Success!!!$' <<<"$outcomes") of them served"
	received=$(server_saw | grep -c 'Request received from .* GET "/steady"' || true)
	refusals=$(server_saw | sed -n "s/^.* \\(http: TLS handshake error from $traffic_address:.*\\)/\\1/p")
	refused=$(grep -c . <<<"$refusals" || true)
	say "    $sent requests: $served served, $failed failed; the server received $received, and refused $refused"
	if [ "$failed" -gt 0 ]; then
		say "    the client's reasons:"
		cut -d ' ' -f 2- <<<"$outcomes" | grep -v '^Success!!!$' | alike | indent
	fi
	if [ "$refused" -gt 0 ]; then
		say "    the server's reasons:"
		alike <<<"$refusals" | indent
	fi
	passed "every request is accounted for"
}

expect_lossless() {
	[ "$failed" -eq 0 ] || fail "$1: $failed of $sent requests failed"
	[ "$received" -eq "$sent" ] || fail "$1: the client sent $sent requests, the server received $received"
	passed "$1: $sent sent, $served served, 0 failed"
}

between() { [ "$1" -le "$2" ] && [ "$2" -le "$3" ]; }

expect_outage() {
	local other timeouts pieces first
	[ "$failed" -gt 0 ] || fail "$2: not one of $sent requests failed"
	other=$(grep -v ' Success!!!$' <<<"$outcomes" | grep -Ev -- "$1" | head -n 1 || true)
	[ -z "$other" ] || fail "$2: a request failed for another reason: $other"
	pieces=$(awk '{ now = ($2 == "Success!!!") } now != before { n++ } { before = now } END { print n + 0, now }' <<<"$outcomes")
	[ "$pieces" = "3 1" ] || fail "$2: the failures did not come in one piece, with service before and after"
	# Of a request that timed out nobody knows how far it came.
	timeouts=$(grep -c 'Client\.Timeout' <<<"$outcomes" || true)
	between "$served" "$received" $((served + timeouts)) ||
		fail "$2: the client was served $served times, the server received $received requests"
	between $((failed - timeouts)) "$refused" "$failed" ||
		fail "$2: $failed requests failed, $timeouts of them for want of an answer, and the server refused $refused"
	first=$(awk '$2 != "Success!!!" { print $1; exit }' <<<"$outcomes")
	[[ ! $first < ${3%Z} ]] || fail "$2: the first request failed at $first already, before $3"
	awk -v failed="$failed" '{ now = ($2 == "Success!!!"); time = substr($1, 12, 10) }
		now && !gone { until = time } !now && !gone { gone = time } now && gone && !back { back = time }
		END { printf "    served until %s, %d failures from %s on, served again from %s on\n", until, failed, gone, back }' <<<"$outcomes"
	passed "$2: $sent sent, $served served, $failed failed, all in one piece"
}

held_until() { log_of "$1" | sed -n 's/^.* expires \(.*Z\)$/\1/p' | tail -n 1; }

past() { [[ $(date -u '+%Y-%m-%dT%H:%M:%SZ') > $1 ]]; }

seconds_left() {
	local expires now
	expires=$(held_until "$1" | sed -nE 's/^.*T(..):(..):(..)Z$/(10#\1 * 60 + 10#\2) * 60 + 10#\3/p')
	[ -n "$expires" ] || return 1
	now=$(date -u '+(10#%H * 60 + 10#%M) * 60 + 10#%S')
	# The nearer way over midnight: no SVID here lives half a day.
	# shellcheck disable=SC2004 # they are terms, not names
	say $((($expires - ($now) + 129600) % 86400 - 43200))
}

# lives_at_most SECONDS SERVICE..., lives_longer SECONDS SERVICE...: the SVIDs of running programs.
lives_at_most() {
	local service
	for service in "${@:2}"; do [ "$(seconds_left "$service")" -le "$1" ] || return 1; done
}
lives_longer() {
	local service
	for service in "${@:2}"; do [ "$(seconds_left "$service")" -gt "$1" ] || return 1; done
}

short_lived() {
	local seconds=$1 service
	shift
	[ $# -gt 0 ] || set -- server client
	restore long_lived
	for service in "$@"; do
		spire entry update -entryID "$service" -parentID spiffe://example.org/host -spiffeID "spiffe://example.org/$service" -selector "unix:user:$service-workload" -x509SVIDTTL "$seconds"
		expect_success "SVIDs of $service live $seconds s from now on"
	done
	eventually 15 "what runs as $* holds an SVID that lives $seconds s at most" lives_at_most "$seconds" "$@"
}

long_lived() {
	reset_entries && wait_until 30 "both programs hold an SVID of the usual lifetime" lives_longer 600 server client
}

countdown() {
	local left before='' line
	while :; do
		left=$(seconds_left "$1") || fail "$1 has not logged which SVID it holds"
		[ "$left" -le "${before:-$left}" ] || fail "$1 got a new SVID before the old one expired"
		[ "$left" -ge 0 ] || break
		if [ "$left" != "$before" ] && { [ -t 1 ] || [ -z "$before" ] || [ $((left % 5)) -eq 0 ]; }; then
			line="... $left s until the SVID of $1 expires$(so_far)"
			if [ -t 1 ]; then printf '\r\e[K  %s' "$dim$line$plain"; else say "  $line"; fi
		fi
		before=$left
		sleep 0.2
	done
	if [ -t 1 ]; then printf '\r\e[K'; fi
	passed "the SVID of $1 has expired, by the clock"
}

# so_far: how the traffic fares, if there is any.
so_far() {
	[ -n "$traffic_mark" ] || return 0
	log_of steady | awk '/^Success!!!$/ { served++ } /^Error / { failed++ } END { printf "; the traffic so far: %d served, %d failed", served, failed }'
}

# processes_of SERVICE...: their PIDs, as the engine counts them, and since when they run.
processes_of() {
	local service
	for service in "$@"; do
		docker inspect --format "$service is process {{.State.Pid}}, running since {{.State.StartedAt}}, restarted {{.RestartCount}} times" "$(container_of "$service")"
	done
}

see_processes() {
	processes=$(processes_of "$@")
	say "$processes" | indent
}

expect_same_processes() {
	local now service services=''
	while read -r service _; do services="$services $service"; done <<<"$processes"
	# shellcheck disable=SC2086 # a list of words
	now=$(processes_of $services)
	[ "$now" = "$processes" ] || fail "$1: they were
$processes
and are
$now"
	passed "$1"
}

quick() { if [ -n "${QUICK:-}" ]; then say "$1"; else say "$2"; fi; }

logged() { new_lines "$1" | has "$2"; }

expect_log() {
	wait_until 10 "a line of $1 that matches $2" logged "$1" "$2" || fail "$3: $1 did not log: $2"
	say "    $1 logs: $(new_lines "$1" | grep -E -- "$2" | tail -n 1)"
	passed "$3"
}

expect_log_within() {
	local with_time=1 first after
	wait_until 10 "a line of $3 that matches $4" logged "$3" "$4" || fail "$5: $3 did not log: $4"
	first=$(new_lines "$3" | grep -E -m 1 -- "$4" || true)
	after=$(seconds_between "$2" "${first%% *}")
	[[ $after != -* ]] || after=0 # before whoever asked for it was told that it is done
	say "    $3 logs, $after s later: ${first#* }"
	awk -v after="$after" -v limit="$1" 'BEGIN {exit !(after <= limit)}' || fail "$5: it took $after s, not $1 s at most"
	passed "$5"
}

expect_no_log() {
	! logged "$1" "$2" || fail "$3: $1 logged: $(new_lines "$1" | grep -E -- "$2" | tail -n 1)"
	passed "$3"
}

restore() { printf '%q ' "$@" >>"$journal" && printf '\n' >>"$journal"; }

reset_entries() { compose run --rm --no-deps -T bootstrap; }

server_cli() { compose exec -T spire-server /opt/spire/bin/spire-server "$@" </dev/null; }

remove_entry() {
	local entries
	wait_until 30 "the SPIRE server answers" spire_server_answers || return 1
	entries=$(server_cli entry show) || return 1
	! has "^Entry ID *: $1\$" <<<"$entries" || server_cli entry delete -entryID "$1"
}

# The token's agent is the parent of the entry that names the host. Evicting it removes that entry
# too; one whose token was never used is left.
remove_host() {
	local entries agents entry agent
	entries=$(server_cli entry show -spiffeID "$1") && agents=$(server_cli agent list) || return 1
	while read -r entry agent; do
		! has " $agent\$" <<<"$agents" || server_cli agent evict -spiffeID "$agent" || return 1
		remove_entry "$entry" || return 1
	done < <(awk '/^Entry ID/ {entry = $NF} /^Parent ID.*\/spire\/agent\/join_token\// {print entry, $NF}' <<<"$entries")
}

# authority Active|Prepared|Old: its ID, from what `localauthority x509 show` prints; nothing if there is none.
authority() { awk -v state="$1" '/ X.509 authority:$/ {mine = $1 == state} mine && /^ *Authority ID: / {print $NF}'; }

one_authority() {
	local prepared old said
	prepared=$(server_cli localauthority x509 show | authority Prepared)
	[ -z "$prepared" ] || server_cli localauthority x509 activate -authorityID "$prepared" || return 1
	reset_entries || return 1 # the host's credential, of the active CA
	old=$(server_cli localauthority x509 show | authority Old)
	[ -n "$old" ] || return 0
	if ! said=$(server_cli localauthority x509 taint -authorityID "$old" 2>&1); then
		case $said in
		*'no ca found'*) return 0 ;; # it is revoked
		*'already tainted'*) ;;
		*) say "$said" && return 1 ;;
		esac
	fi
	# Now each SVID is issued anew; a restart of the agent does not leave that to time.
	compose restart spire-agent &&
		wait_until 30 "the client is served with an SVID of the new CA" inside client client-workload client &&
		server_cli localauthority x509 revoke -authorityID "$old" &&
		reset_entries && # the bundle, without the old CA
		wait_until 30 "the client is served after the old CA was revoked" inside client client-workload client
}

readmit() {
	local banned
	banned=$(server_cli agent list -banned true) || return 1
	! has " $1\$" <<<"$banned" || server_cli agent evict -spiffeID "$1" || return 1
	# The longer it was kept out, the longer Docker waits before it starts it again.
	compose restart spire-agent && wait_until 30 "a program gets an identity" inside client client-workload svid
}

old_disk() {
	local volume=${project:?}_spire-server-empty-disk
	[ -n "$(docker volume ls --quiet --filter "name=^$volume\$")" ] || return 0
	if [ -n "$(docker ps --all --quiet --filter "volume=$volume")" ]; then
		compose rm --stop --force spire-agent || return 1
	fi
	wait_until 60 "the lab is up on its old disk, and a new client is served" up_and served && docker volume rm "$volume"
}

end_federation() {
	local relationships bundles
	relationships=$(server_cli federation list) && bundles=$(server_cli bundle list) || return 1
	! has "^Trust domain *: $1\$" <<<"$relationships" || server_cli federation delete -id "$1" || return 1
	! has "^\* $1\$" <<<"$bundles" || server_cli bundle delete -id "spiffe://$1" -mode dissociate
}

spire_server_answers() { inside spire-server '' /opt/spire/bin/spire-server healthcheck; }

# up_and CONDITION SERVICE...: `up` until the condition holds. Once is not enough where a scenario was
# killed in the middle of a `stop`: until the engine is done Compose takes the container to be running.
up_and() { compose up --detach ${2:+--no-deps} "${@:2}" && "$1"; }

# served: a client that starts now, and the one that runs.
served() { inside client client-workload client -wait 2s -timeout 2s && client_served; }

bring_back() { wait_until 60 "the clients are served, with $1" up_and served "$1"; }

start_spire_server() { wait_until 60 "the SPIRE server answers" up_and spire_server_answers spire-server; }

wake() {
	local paused
	paused=$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter status=paused)
	# shellcheck disable=SC2086 # a list of containers
	[ -z "$paused" ] || docker unpause $paused
}

explain() { say "$1" | fold -s -w 92 | sed 's/^/  /'; }
