#!/usr/bin/env bash
# Does one real handshake with the lab's server, and tells its steps:
#
#   handshake.sh    AS=client-workload, server-workload, or nobody, who shows no certificate
#
# openssl s_client plays the client, in a container of the tools that is removed; services/internal/console
# explains what it traced. A console that is running shows it too.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

as=${AS:-client-workload}
ensure_compose
project=$(project_name)
case $as in
client-workload | server-workload)
	user=$as
	show='-cert svid.0.pem -key svid.0.key'
	;;
nobody)
	user=client-workload # for the trust bundle; it keeps its SVID to itself
	show=
	;;
*) die "AS is \"$as\"" "client-workload, server-workload or nobody" ;;
esac
[ -n "$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.service=server)" ] ||
	die "no server of the lab $project is running" "make up"
has_image "$TOOLS_IMAGE" || part build-tools

# shellcheck disable=SC2016 # the shell in the container expands
trace=$(compose run --rm --no-deps -T --user "$user" tools sh -c "
	spire-agent api fetch x509 -write /scratch >/dev/null || exit 3
	printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect server:8443 -CAfile bundle.0.pem $show -trace -ign_eof 2>&1
	exit 0" </dev/null 2>&1) ||
	die "$user gets no SVID to show: $(tail -n 1 <<<"$trace")" "make svid; make entries"
"$CONSOLE" handshake -as "$as" <<<"$trace"
socket=$(cat "$CACHE_DIR/console-socket-$project" 2>/dev/null) || socket=''
[ ! -S "$socket" ] || "$CONSOLE" feed trace -socket "$socket" -as "$as" <<<"$trace"
