#!/usr/bin/env bash
# Runs a scenario or a check, and sees that it leaves the lab as it found it: check-cleanup.sh FILE
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"

# state: what there is of containers, volumes and registration entries.
state() {
	docker ps --all --filter "label=com.docker.compose.project=$project" --format '{{.Label "com.docker.compose.service"}} is {{.State}}' | sort
	docker volume ls --filter "label=com.docker.compose.project=$project" --format 'volume {{.Name}}' | sort
	inside spire-server '' /opt/spire/bin/spire-server entry show | sed -n -E 's/ +: /: /; /^(Revision:|Found )/!s/^[A-Z]/entry: &/p'
}

file=$1
name=${file##*/}
name=${name%.sh}
ensure_compose
project=$(project_name)
trap 'exit 143' TERM # once the scenario has put back what it changed
before=$(state) || before='no lab'
"$file" || exit $?
[ "$before" != 'no lab' ] || exit 0
after=$(state) || after='no lab'
[ "$before" != "$after" ] || exit 0
difference=$(diff <(say "$before") <(say "$after") | sed -n 's/^</gone:/p; s/^>/new:/p') || true # diff says so too
say "${red}FAIL${plain} $name: it did not leave the lab as it found it: ${difference//$'\n'/, } (0 checks, 0 s)"
exit 1
