# What the services log. Only what was logged since the step began counts, by the engine's clock.
# shellcheck shell=bash

mark_logs() { step_began=$(engine_time); }

# log_of SERVICE [OPTION...]: all that its container has logged. One that is not there has no log, which
# is another thing than an empty one.
log_of() {
	local container
	container=$(container_of "$1")
	[ -n "$container" ] || { say "there is no container of $1, and so no log" >&2 && return 1; }
	docker logs "${@:2}" "$container" 2>&1
}

# new_lines SERVICE [OPTION...]
new_lines() { log_of "$1" --since "$step_began" "${@:2}"; }

# has REGEX: a line of what comes in matches. Reads it to its end: a grep that leaves at the first
# match would fail whoever still writes, and with pipefail the match would count for nothing.
has() { grep -E -- "$1" >/dev/null; }

logged() { new_lines "$1" | has "$2"; }

expect_log() {
	wait_until "$log_limit" "a line of $1 that matches $2" logged "$1" "$2" || fail "$3: $1 did not log: $2"
	say "    $1 logs: $(new_lines "$1" | grep -E -- "$2" | tail -n 1)"
	passed "$3"
}

expect_log_within() {
	local first after
	wait_until "$log_limit" "a line of $3 that matches $4" logged "$3" "$4" || fail "$5: $3 did not log: $4"
	first=$(new_lines "$3" --timestamps | grep -E -- "$4" | sed -n 1p)
	after=$(in_image account seconds -most "$1" "$2" "${first%% *}") || fail "$5: $after"
	say "    $3 logs, $after s later: ${first#* }"
	passed "$5"
}

expect_no_log() {
	local lines
	lines=$(new_lines "$1" 2>&1) || fail "$3: the log of $1 cannot be read: $lines"
	! has "$2" <<<"$lines" || fail "$3: $1 logged: $(grep -E -- "$2" <<<"$lines" | tail -n 1)"
	passed "$3"
}
