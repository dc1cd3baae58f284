# Requests all the while: what became of each, on both sides; and which process has gone on.
# shellcheck shell=bash

traffic_begins() {
	traffic_began=$(engine_time)
	run docker compose up --detach --no-deps --force-recreate steady
	wait_until 30 "the first request of the traffic is served" steady_logged '^Success!!!$' ||
		fail "the traffic does not begin: $(log_of steady | tail -n 1)"
	traffic_address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container_of steady)")
}

steady_logged() { log_of steady | has "$1"; }

traffic_ends() {
	local said
	run docker compose stop steady
	traffic=$(log_of steady --timestamps | sed 's/^/client /' && log_of server --since "$traffic_began" | sed 's/^/server /')
	said=$(account_for_traffic) || fail "$said"
	read -r sent served failed received refused <<<"$said"
	sed 1d <<<"$said"
	passed "every request is accounted for"
}

account_for_traffic() { in_image account traffic -address "$traffic_address" "$@" <<<"$traffic"; }

expect_lossless() {
	local said
	said=$(account_for_traffic -lossless) || fail "$1: $said"
	passed "$1: $said"
}

expect_outage() {
	local said
	said=$(account_for_traffic -outage "$1" -from "$3") || fail "$2: $said"
	sed '$d' <<<"$said" | indent
	passed "$2: $(tail -n 1 <<<"$said")"
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
	indent <<<"$processes"
}

expect_same_processes() {
	local now
	# shellcheck disable=SC2046 # a list of services
	now=$(processes_of $(cut -d ' ' -f 1 <<<"$processes"))
	[ "$now" = "$processes" ] || fail "$1: they were
$processes
and are
$now"
	passed "$1"
}
