#!/usr/bin/env bash
# the console must show each refusal on which a scenario insists, in a real browser, and nothing of somebody else's making
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin
port=$((20000 + $$ % 10000))
address=http://127.0.0.1:$port/
said=$scratch/said
shots=$CACHE_DIR/console-$project
ours=''
put_away() {
	[ -z "$ours" ] || kill -TERM -- "-$ours"
	docker rm --force "$project-port"
} >/dev/null 2>&1

# refused WORDS COMMAND...: one line that says what is in the way, and another that says what helps.
refused() {
	local words=$1 status=0
	shift
	output=$(env OPEN=0 "$@" bash "$LAB_DIR/scripts/console.sh" 2>&1) || status=$?
	if ! { [ "$status" -eq 1 ] && grep -F "error: $words" <<<"$output" >/dev/null && grep "^hint: " <<<"$output" >/dev/null; }; then fail "it does not say \"$words\", but: $output"; fi
	passed "$words"
}

runs() { grep -F "$address" "$said"; }
connects() { (: <"/dev/tcp/$1/$port"); }
elsewhere() { hostname -I | tr ' ' '\n' | grep -m 1 '^[0-9.]*$'; }
server() { pgrep -f "bin/console serve .* -port $port\$"; }
gone() { ! server && ! [ -e "$CACHE_DIR/console-socket-$project" ]; }

step "What is in its way it says at once"
refused 'PORT is "eighty"' PORT=eighty
refused "no lab of the name $project-none is running" "COMPOSE_PROJECT_NAME=$project-none"
docker run --detach --name "$project-port" --label com.docker.compose.project= --publish "127.0.0.1:$port:1" "$WORKLOAD_IMAGE" node >/dev/null
refused "the port $port is in use on this machine" "PORT=$port"
docker rm --force "$project-port" >/dev/null

step "It starts, and shows its address"
set -m # so that Ctrl-C can be sent to it
env OPEN=0 PORT="$port" bash "$LAB_DIR/scripts/console.sh" >"$said" 2>&1 </dev/null &
ours=$!
set +m
eventually 60 "it says where it is" runs
refused "a console of the lab $project is running already" "PORT=$((port + 1))"
expect "it listens on 127.0.0.1" connects 127.0.0.1
[ -n "$(elsewhere)" ] || fail "this machine has no other address"
! connects "$(elsewhere)" 2>/dev/null || fail "it listens on $(elsewhere) too"
passed "and on no other address of this machine"
socket=$(cat "$CACHE_DIR/console-socket-$project") || fail "nobody knows by which socket it is fed"
expect "only its owner can feed it" test "$(stat -c %a "${socket%/*}")" = 700

step "A browser looks at it, while every scenario runs"
if command -v chromium >/dev/null 2>&1; then
	mkdir -p "$shots"
	(cd "$LAB_DIR/scripts/dev/tools/browser" && CGO_ENABLED=0 go build -o "$CACHE_DIR/bin/browser" .) || fail "the browser's driver cannot be built"
	compose_for="$COMPOSE --project-directory $(typed "$LAB_DIR")"
	changes
	wrong=''
	# To its end, whatever is wrong: it is playing scenarios here.
	while IFS= read -r line; do
		case $line in
		'ok '*) passed "${line#ok }" ;;
		*) say "$line" | indent ;;
		esac
		case $line in 'FAIL '*) wrong=${wrong:-${line#FAIL }} ;; esac
	done < <("$CACHE_DIR/bin/browser" -url "$address" -shots "$shots" -stop "$compose_for stop spire-server" \
		-start "$compose_for up --detach --no-deps --wait spire-server" -feed "$(typed "$CONSOLE") feed log -socket $(typed "$socket")" \
		"$LAB_DIR"/scripts/scenarios/*.sh 2>&1)
	[ -z "$wrong" ] || fail "$wrong; screenshots are in ${shots#"$LAB_DIR"/}"
	wait_until 60 "a client is served again" served || fail "the lab is not whole"
else
	[ "${CI:-}" != true ] || fail "there is no chromium on this machine, and CI needs it"
	say "  skipped: no chromium on this machine (on Debian: apt-get install chromium)"
fi

step "What it costs"
read -r kib percent < <(ps -o rss=,pcpu= -p "$(server | paste -s -d , -)" | sort -n | tail -n 1) # the shim is the other
say "    $((kib / 1024)) MiB, $percent % of a core"
expect "it has less than 30 MiB" test "$kib" -lt $((30 * 1024))

step "Ctrl-C ends it, and nothing of it stays"
# Where whoever runs this ignores Ctrl-C, so does all that it starts.
signal=INT
if bash -c 'kill -INT $$'; then signal=TERM; fi
kill "-$signal" -- "-$ours"
eventually 60 "its process and its socket are gone" gone
expect "it says so" grep -F 'the console has ended' "$said"
