#!/usr/bin/env bash
# What make does for a learner or trainer, where there is no make: lab.sh TARGET [NAME=VALUE]...
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

# What stands after the target, as after make's.
target=${1:-help}
for setting in "${@:2}"; do
	case $setting in
	[A-Za-z]*=*) export "${setting?}" ;;
	esac
done

need_running() {
	[ -n "$(compose ps --quiet --status running client)" ] || die "the lab is not running" "make up"
}

# shown COMMAND...: the command as one can type it, then what it says.
shown() {
	say "${dim}\$ docker compose $*${plain}"
	compose "$@"
}

scenario_file() {
	local file="$LAB_DIR/scripts/scenarios/$1.sh"
	[ -f "$file" ] || die "there is no scenario \"$1\"" "make scenarios lists them"
	say "$file"
}

case $target in
help) awk -F ':.*## ' '/^##@ / {exit} /^[a-z%A-Z0-9-]+:.*## / {sub("%", "NAME", $1); printf "  scripts/lab.sh %-14s %s\n", $1, $2}' "$LAB_DIR/Makefile" ;;
classroom) exec bash "$LAB_DIR/scripts/classroom.sh" up "${N:-}" ;;
classroom-down) exec bash "$LAB_DIR/scripts/classroom.sh" down ;;
down)
	ensure_compose
	remove_lab
	;;
status)
	need_running
	shown ps --all --format 'table {{.Service}}\t{{.Status}}'
	say
	if client_served >/dev/null 2>&1; then
		say "${green}the client's latest request was served${plain}"
	else
		say "${red}the client's latest request was not served:${plain} $(client_served 2>&1 || true)"
		exit 1
	fi
	;;
logs)
	if [ -n "${all:-}" ]; then
		compose logs --follow
	else
		compose logs --follow bootstrap server client
	fi
	;;
entries)
	need_running
	shown exec spire-server /opt/spire/bin/spire-server entry show
	;;
svid)
	need_running
	while IFS=: read -r user _ uid _; do
		[ "$uid" -ne 0 ] || continue
		say "${bold}$user (uid $uid)${plain}"
		shown exec -T --user "$user" client svid </dev/null || true
		say
	done <"$LAB_DIR/spire/host/passwd"
	;;
scenarios)
	for file in "$LAB_DIR"/scripts/scenarios/*.sh; do
		name=${file##*/}
		printf '  %-22s %s\n' "${name%.sh}" "$(sed -n '2s/^# //p' "$file")"
	done
	say
	say "run one with: make scenario-NAME"
	;;
scenario | scenario-*)
	name=${target#scenario}
	[ -n "$name" ] || name=-${2:-}
	file=$(scenario_file "${name#-}")
	[ ! -s "$CACHE_DIR/fault-$(project_name)" ] ||
		die "a fault is open in this lab: a scenario begins with a lab that is well" "make check, or make reset; or play it in another lab: COMPOSE_PROJECT_NAME=other make $target"
	exec bash "$file"
	;;
faults) exec bash "$LAB_DIR/scripts/faults.sh" list ;;
break | ticket | check | hint | give-up | reset) exec bash "$LAB_DIR/scripts/faults.sh" "$target" ;;
k8s-*)
	exec "$LAB_DIR/scripts/kubernetes.sh" "${1#k8s-}"
	;;
clean)
	ensure_compose
	remove_lab
	link="${DOCKER_CONFIG:-${HOME:-}/.docker}/cli-plugins/docker-compose"
	if [ "$(readlink "$link" 2>/dev/null)" = "$CACHE_DIR/bin/docker-compose" ]; then rm -f "$link"; fi
	rm -rf "$CACHE_DIR"
	;;
*)
	# The longer ones are scripts of their own.
	if grep -q "^$target: ##" "$LAB_DIR/Makefile" && [ -f "$LAB_DIR/scripts/$target.sh" ]; then
		exec bash "$LAB_DIR/scripts/$target.sh"
	fi
	die "unknown command \"$target\"" "make, or scripts/lab.sh, lists the commands"
	;;
esac
