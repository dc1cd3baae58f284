#!/usr/bin/env bash
# Registers the nodes of the cluster as one host, and its two workloads, with the real spire-server
# CLI, printing each command before it runs. Safe to repeat: an entry that exists is set to what
# stands here. Its arguments go to kubectl, such as --context NAME.
set -euo pipefail

host=spiffe://example.org/host
server=(kubectl ${1+"$@"} --namespace spiffe-lab-spire exec spire-server-0 -- /opt/spire/bin/spire-server)

# spire ARG...: shows the command, runs it, and shows what it printed only if it fails.
spire() {
	local output
	printf '$ spire-server %s\n' "$*"
	output=$("${server[@]}" "$@" 2>&1) || { printf '%s\n' "$output" && exit 1; }
}

# entry ENTRY_ID SPIFFE_ID PARENT_ID SELECTOR...
entry() {
	local id=$1 fields=(-parentID "$3" -spiffeID "$2") selector output
	for selector in "${@:4}"; do fields+=(-selector "$selector"); done
	if output=$("${server[@]}" entry show -entryID "$id" 2>&1); then
		spire entry update -entryID "$id" "${fields[@]}"
	else
		case $output in
		*'code = NotFound'*) spire entry create -entryID "$id" "${fields[@]}" ;;
		*) printf '%s\n' "$output" && exit 1 ;;
		esac
	fi
}

# The parent of an alias is the SPIRE server: every agent that this cluster vouches for is the host.
entry host "$host" spiffe://example.org/spire/server k8s_psat:cluster:lab
entry server spiffe://example.org/server "$host" k8s:ns:spiffe-lab k8s:sa:server-workload
entry client spiffe://example.org/client "$host" k8s:ns:spiffe-lab k8s:sa:client-workload
