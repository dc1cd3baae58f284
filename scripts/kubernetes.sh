#!/usr/bin/env bash
# The lab on Kubernetes, on the cluster of the current kubectl context: kubernetes.sh up, bad-id or
# down. Each names the cluster and asks first; YES=1 answers for scripts.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"
# shellcheck source=kubernetes/lib.sh
. "$(dirname "$0")/kubernetes/lib.sh"

up() {
	local kind name started=$SECONDS
	while read -r kind name; do
		[ "$(mark_of "$kind" "$name" </dev/null)" != foreign ] ||
			die "the $kind $name exists on this cluster, and is not the lab's: nothing was done"
	done <<<"$(outside)"
	manifests | kubectl apply --filename - >/dev/null
	ready "$SPIRE_NAMESPACE" statefulset/spire-server
	"$LAB_DIR/spire/kubernetes/entries.sh" --context "$context" | sed 's/^/  /'
	ready "$SPIRE_NAMESPACE" daemonset/spire-agent
	ready spiffe-lab deployment/server deployment/client
	say "the client is served ($((SECONDS - started)) s): $(kubectl --namespace spiffe-lab logs deployment/client --tail 1)"
	kubectl get pods --all-namespaces --selector 'app in (spire-server, spire-agent, server, client)' \
		--output 'custom-columns=NAMESPACE:.metadata.namespace,POD:.metadata.name,SERVICE ACCOUNT:.spec.serviceAccountName,STATUS:.status.phase'
	cat <<-END

		Try next:
		  make k8s-bad-id                                run the client under the server's service account
		  kubectl -n spiffe-lab logs deployment/server   what the server says
		  make k8s-down                                  remove everything
		  spire/kubernetes/README.md                     the lesson
	END
}

# expect WHAT COMMAND...
expect() {
	if "${@:2}"; then
		say "  ${green}ok${plain} $1"
	else
		say "  ${red}FAIL${plain} $1"
		failed=$((failed + 1))
	fi
}

says() { grep -Eq "$1" <<<"$2"; }

# story NAME SERVICE_ACCOUNT: runs the client, and shows what it said.
story() {
	once "$1" spiffe-lab "$2"
	say "  ${dim}pod $1, service account $2${plain}"
	say "$output" | sed 's/^/    /'
	say "    exit status $status"
}

bad_id() {
	local log failed=0 alert='Error connecting to "https://server:8443/": Get "https://server:8443/": remote error: tls: bad certificate'
	need_lab
	ready spiffe-lab deployment/server

	say "1. First the rightful client, to see that it works"
	story client-as-client client-workload
	expect "client-workload is served" test "$status/$output" = "0/Success!!!"

	say "2. The same image, the same command, now under the service account server-workload"
	story client-as-server server-workload
	expect "the client says that it was refused" test "$status" = 4
	expect "the client is told only that its certificate is bad" test "$(sed -n 1p <<<"$output")" = "$alert"
	log=$(kubectl --namespace spiffe-lab logs deployment/server --since-time "$born" | grep unexpected || true)
	say "  server logs: ${log:-nothing of it}"
	expect "the server refused, and says which SPIFFE ID it saw" says 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/server"$' "$log"

	[ "$failed" -eq 0 ] || die "$failed of the expectations were not met"
}

down() {
	local kind name removed=0
	while read -r kind name; do
		case $(mark_of "$kind" "$name" </dev/null) in
		marked) kubectl delete "$kind" "$name" --timeout 180s </dev/null && removed=$((removed + 1)) ;;
		foreign) say "the $kind $name is not the lab's, and stays" ;;
		esac
	done <<<"$(outside)"
	[ "$removed" -gt 0 ] || say "there was nothing of the lab on this cluster"
}

case "${1:-}" in
up)
	choose_cluster "start the lab on"
	up
	;;
bad-id)
	choose_cluster "run the lab's client on"
	bad_id
	;;
down)
	choose_cluster "remove the lab from"
	down
	;;
manifests) manifests ;;
*) die "unknown command \"${1:-}\"" "one of up, bad-id, down, manifests" ;;
esac
