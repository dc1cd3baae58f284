#!/usr/bin/env bash
# Registers the nodes of the cluster as one host, and its two workloads, with the real spire-server
# CLI, printing each command before it runs. Safe to repeat: an entry that exists is not changed. Where
# it differs from what stands here, the difference is printed, and the command that restores it.
# Its arguments go to kubectl, such as --context NAME.
set -euo pipefail

host=spiffe://example.org/host
server=(kubectl ${1+"$@"} --namespace spiffe-lab-spire exec spire-server-0 -- /opt/spire/bin/spire-server)

# spire ARG...: shows the command, runs it, and shows what it printed only if it fails.
spire() {
	local output
	printf '$ spire-server %s\n' "$*"
	output=$("${server[@]}" "$@" 2>&1) || { printf '%s\n' "$output" && exit 1; }
}

# entry ENTRY_ID SPIFFE_ID PARENT_ID SELECTOR...: the selectors are in alphabetical order, as SPIRE prints them.
entry() {
	local id=$1 fields=(-entryID "$1" -parentID "$3" -spiffeID "$2") own selector output
	own="Entry ID                : $1
SPIFFE ID               : $2
Parent ID               : $3
X509-SVID TTL           : default
JWT-SVID TTL            : default"
	for selector in "${@:4}"; do
		fields+=(-selector "$selector")
		own="$own
Selector                : $selector"
	done
	if output=$("${server[@]}" entry show -entryID "$id" 2>&1); then
		output=$(grep -vE '^(Found .*|Revision .*|)$' <<<"$output")
		if [ "$output" = "$own" ]; then
			printf '  entry for %s is as it should be\n' "$2"
			return
		fi
		printf "  The entry %s differs from the lab's own entry (-: the lab's own, +: found). It is not changed.\n" "$id"
		diff <(printf '%s\n' "$own") <(printf '%s\n' "$output") | sed -n 's/^</  -/p; s/^>/  +/p' || true # diff says so too
		printf "  To restore the lab's own entry:\n  %s\n" "${server[*]} entry update ${fields[*]}"
	else
		case $output in
		*'code = NotFound'*) spire entry create "${fields[@]}" ;;
		*) printf '%s\n' "$output" && exit 1 ;;
		esac
	fi
}

# The parent of an alias is the SPIRE server: every agent that this cluster vouches for is the host.
entry host "$host" spiffe://example.org/spire/server k8s_psat:cluster:lab
entry server spiffe://example.org/server "$host" k8s:ns:spiffe-lab k8s:sa:server-workload
entry client spiffe://example.org/client "$host" k8s:ns:spiffe-lab k8s:sa:client-workload
