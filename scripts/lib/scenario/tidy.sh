# How a scenario begins and ends. One that passes has undone what it did, in steps of its own; the services of
# extras.yaml, and entries whose ID begins with "scenario-", are removed for it. One that ends in another way leaves a
# marker, and the lab is made anew: at once, or by whoever comes next.
# shellcheck shell=bash

# put_away: what a check has made outside the lab goes here; it says how by a function of this name.
put_away() { :; }

begin() {
	say "${bold}$name${plain}: $(sed -n '2s/^# //p' "$0")"
	exec 3>&1 4>&2 # what runs when a signal comes may have others
	ensure_compose
	project=$(project_name)
	unfinished=$CACHE_DIR/unfinished-$project
	if [ "${LAB_SCENARIO:-}" = "$project" ]; then
		nested=1
	else
		lock "scenario-$project" 0 "another scenario is running on this lab"
		held=scenario-$project
		export LAB_SCENARIO=$project
	fi
	trap finish EXIT
	trap 'failure=interrupted; exit 130' INT
	trap 'failure=terminated; exit 143' TERM
	scratch=$(mktemp -d)
	say "begin $name: $(sed -n '2s/^# //p' "$0")" >"$CACHE_DIR/screen-$project"
	if [ -e "$unfinished" ] && [ -z "$nested" ]; then
		say "${dim}$(cat "$unfinished") was cut off here. Making the lab anew: entries that you made by hand are gone ...${plain}"
		make_anew || fail "the lab cannot be made anew: $(sed -n 's/^error: //p' <<<"$output" | tail -n 1)"
	elif ! whole || ! client_served >/dev/null 2>&1; then
		say "${dim}starting the lab ...${plain}"
		output=$(bash "$LAB_DIR/scripts/up.sh" 2>&1) || {
			say "$output"
			fail "the lab does not start: $(sed -nE 's/^error: //p; /^LAB[0-9]+: /p' <<<"$output" | tail -n 2 | awk 'NR > 1 { printf "; " } { printf "%s", $0 }')"
		}
	fi
	mark_logs
}

# changes: from here on the lab is not as it was found.
changes() { [ -e "$unfinished" ] || say "$name" >"$unfinished"; }

# of_lab FORMAT: that of each container of the lab, but for those of `docker compose run`.
of_lab() {
	docker ps "$@" --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False
}

# whole: every service of the lab that lasts is running, paused or not.
whole() {
	local lasting
	lasting=$(declared services compose.yaml | grep -vx bootstrap)
	[ "$(of_lab --format '{{.Label "com.docker.compose.service"}}' | grep -cxF "$lasting")" -eq "$(wc -l <<<"$lasting")" ]
}

# make_anew: down and up; $output has what they say. What was under way when a scenario was cut off the
# engine does to its end, and may be in the way of the first attempt.
make_anew() {
	local try
	for try in 1 2 3; do
		of_lab --quiet --filter status=paused | xargs -n 1 docker unpause >/dev/null 2>&1 || true
		if output=$( (remove_lab && bash "$LAB_DIR/scripts/up.sh") 2>&1); then return 0; fi
		sleep "$try"
	done
	return 1
}

# tidy_up: what every scenario may leave. Says what is in the way.
tidy_up() {
	local left entry volume=${project}_spire-server-empty-disk
	left=$(of_lab --all --format '{{.Label "com.docker.compose.service"}} {{.ID}}' |
		grep -E "^($(declared services scripts/scenarios/extras.yaml | paste -s -d '|' -)) " | cut -d ' ' -f 2) || true
	# shellcheck disable=SC2086 # a list of containers
	[ -z "$left" ] || docker rm --force $left >/dev/null || return 1
	wait_until 30 "the SPIRE server answers" spire_server_answers || return 1
	left=$(server_cli entry show) || return 1
	for entry in $(sed -n 's/^Entry ID *: \(scenario-.*\)$/\1/p' <<<"$left"); do
		server_cli entry delete -entryID "$entry" >/dev/null || return 1
	done
	[ -z "$(docker volume ls --quiet --filter "name=^$volume\$")" ] || docker volume rm "$volume" >/dev/null
}

finish() {
	local status=$?
	set +e
	trap - EXIT
	trap : INT TERM # not ignored: whatever is started from here on would ignore them too
	exec >&3 2>&4
	put_away
	rm -rf "$scratch"
	if [ "$status" -eq 0 ] && [ "$checks" -eq 0 ]; then
		status=1
		failure='it checked nothing'
	fi
	if [ "$status" -eq 0 ] && [ -e "$unfinished" ]; then
		if ! tidy_up; then
			status=1
			failure='what it made cannot be removed'
		elif [ -z "$nested" ]; then
			rm -f "$unfinished"
		fi
	fi
	say
	if [ "$status" -eq 0 ]; then
		[ ! -f "${0%.sh}.md" ] || say "  why it is so: scripts/scenarios/$name.md"
		on_screen end "PASS ($checks checks)"
		say "${green}PASS${plain} $name ($checks checks, $((SECONDS - began)) s)"
	else
		[ "$status" -ge 128 ] || last_lines
		[ ! -e "$unfinished" ] || [ -n "$nested" ] || leave_scene
		on_screen end "FAIL: ${failure:-a command failed}"
		say "${red}FAIL${plain} $name: ${failure:-a command failed with exit status $status} ($checks checks, $((SECONDS - began)) s)"
		[ "$status" -ge 128 ] || status=1
	fi
	[ -z "$held" ] || unlock "$held"
	exit "$status"
}

last_lines() {
	local service
	for service in $(of_lab --all --format '{{.Label "com.docker.compose.service"}}' | sort); do
		say "--- the last lines of $service"
		log_of "$service" --tail 15 | indent
	done
}

leave_scene() {
	if [ -n "${KEEP:-}" ]; then
		say "The scene is left as it is, to be looked at:"
		say "  docker compose --profile '*' ps --all"
		say "  docker compose --profile '*' logs --timestamps SERVICE"
		say "The scenario that comes next makes the lab anew. So do make down and make up."
		return
	fi
	say "Making the lab anew: entries that you made by hand are gone ... (KEEP=1 would leave the scene as it is)"
	if ! make_anew; then
		indent <<<"$output"
		say "That did not work: make down, then make up, or the scenario that comes next."
	fi
}
