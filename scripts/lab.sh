#!/usr/bin/env bash
# The short commands behind the Makefile: lab.sh COMMAND.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

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

case "${1:-}" in
down)
	ensure_compose
	need_own
	project=$(project_name)
	compose --profile '*' down --volumes --remove-orphans
	# Compose leaves a volume that no service has just now: the disk of server-wiped. What only bears
	# the project's label is somebody's.
	declared=$(declared_volumes)
	for volume in $(docker volume ls --quiet --filter "label=com.docker.compose.project=$project"); do
		if grep -qxF "$volume" <<<"$declared"; then
			docker volume rm "$volume"
		else
			say "the volume $volume stays: the lab did not make it"
		fi
	done
	rm -f "$CACHE_DIR/restore-$project"
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
	if [ "${2:-}" = all ]; then
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
scenario)
	file=$(scenario_file "${2:-}")
	exec "$file"
	;;
k8s-*)
	exec "$LAB_DIR/scripts/kubernetes.sh" "${1#k8s-}"
	;;
clean)
	link="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins/docker-compose"
	if [ "$(readlink "$link" 2>/dev/null)" = "$CACHE_DIR/bin/docker-compose" ]; then rm -f "$link"; fi
	rm -rf "$CACHE_DIR"
	;;
*)
	die "unknown command \"${1:-}\"" "make lists the commands"
	;;
esac
