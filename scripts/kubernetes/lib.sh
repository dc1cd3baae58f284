# What the Kubernetes commands and their checks share: which cluster, how the manifests are filled in,
# how the client is run once. Sourced after lib/host.sh.
# shellcheck shell=bash

SPIRE_NAMESPACE=spiffe-lab-spire
MARK=app.kubernetes.io/managed-by
context=

# The context that was confirmed, also if somebody changes the current one meanwhile.
kubectl() { command kubectl --context "$context" "$@"; }

# choose_cluster WHAT: names the cluster of the current context, asks, and sees that it answers.
# Nothing is sent to it before that.
choose_cluster() {
	local answer='' server said
	type -P kubectl >/dev/null || # the program, not the function
		die "kubectl was not found: install it (https://kubernetes.io/docs/tasks/tools/) and point it at a cluster such as kind's"
	context=$(command kubectl config current-context 2>/dev/null) ||
		die "kubectl has no current context: choose one with kubectl config use-context NAME"
	server=$(kubectl config view --minify --output 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null) || true
	[ -n "$server" ] ||
		die "kubectl's current context \"$context\" names no cluster: kubectl config get-contexts lists those there are"
	if [ "${YES:-}" != 1 ]; then
		[ -t 0 ] || die "this would $1 the cluster of kubectl's context \"$context\" ($server): confirm it with YES=1"
		read -r -p "This will $1 the cluster of kubectl's context \"$context\" ($server). Go on? [y/N] " answer || true
		case $answer in
		[yY] | [yY][eE][sS]) ;;
		*) die "nothing was done" ;;
		esac
	fi
	said=$(kubectl get --raw /version --request-timeout 10s 2>&1) ||
		die "the cluster of context \"$context\" ($server) cannot be used: $(tail -n 1 <<<"$said")"
	[ "${YES:-}" != 1 ] || say "on the cluster of kubectl's context \"$context\" ($server)"
}

# fill_in: the names in ${...}, as Compose does it with compose.yaml.
fill_in() {
	local text name
	text=$(cat)
	for name in SPIRE_REGISTRY SPIRE_VERSION LAB_TAG "$@"; do
		text=${text//"\${$name}"/${!name}}
	done
	say "$text"
}

manifests() { command kubectl kustomize "$LAB_DIR/spire/kubernetes" | fill_in; }

# mark_of KIND NAME: "none" if it does not exist, "marked" if the lab made it, else "foreign".
mark_of() {
	local found
	found=$(kubectl get "$1" "$2" --ignore-not-found --output "jsonpath={.kind} {.metadata.labels.${MARK//./\\.}}")
	case $found in
	'') say none ;;
	*' spiffe-lab') say marked ;;
	*) say foreign ;;
	esac
}

# What stands outside the lab's own namespaces, and these themselves.
outside() {
	say "namespace spiffe-lab"
	say "namespace $SPIRE_NAMESPACE"
	for role in spiffe-lab-spire-server spiffe-lab-spire-agent; do
		say "clusterrolebinding $role"
		say "clusterrole $role"
	done
}

need_lab() {
	[ "$(mark_of namespace spiffe-lab)" = marked ] || die "the lab is not on the cluster of context \"$context\": make k8s-up"
}

# once NAME NAMESPACE SERVICE_ACCOUNT: the client, one request, as a pod of its own. What it says is in
# $output, its exit status in $status, the pod's time of birth in $born, by the cluster's clock.
once() {
	local NAME=$1 NAMESPACE=$2 SERVICE_ACCOUNT=$3
	kubectl --namespace "$2" delete pod "$1" --ignore-not-found --now >/dev/null
	fill_in NAME NAMESPACE SERVICE_ACCOUNT <"$LAB_DIR/spire/kubernetes/client-once.yaml" | kubectl apply --filename - >/dev/null
	: "$NAME" "$NAMESPACE" "$SERVICE_ACCOUNT"
	wait_until 120 "the pod $1 has ended" pod_ended "$2" "$1" || die "the pod $1 did not run: $(why "$2")"
	born=$(kubectl --namespace "$2" get pod "$1" --output 'jsonpath={.metadata.creationTimestamp}')
	status=$(kubectl --namespace "$2" get pod "$1" --output 'jsonpath={.status.containerStatuses[0].state.terminated.exitCode}')
	output=$(kubectl --namespace "$2" logs "$1" 2>&1)
	kubectl --namespace "$2" delete pod "$1" --now >/dev/null
	# The scripts that source this file read them.
	: "$born" "$status" "$output"
}

pod_ended() {
	case $(kubectl --namespace "$1" get pod "$2" --output 'jsonpath={.status.phase}') in
	Succeeded | Failed) ;;
	*) say "$(why "$1")" && return 1 ;;
	esac
}

# why NAMESPACE: what its pods wait for.
why() {
	kubectl --namespace "$1" get pods --output 'jsonpath={range .items[*]}{range .status.containerStatuses[*]}{.name}{": "}{.state.waiting.reason}{" "}{.state.waiting.message}{"\n"}{end}{end}' |
		grep -v ':  *$' | sort -u | tr '\n' ' '
}

# ready NAMESPACE RESOURCE...: waits until all of its pods are.
ready() {
	local namespace=$1 resource said
	shift
	for resource in "$@"; do
		said=$(kubectl --namespace "$namespace" rollout status "$resource" --timeout 180s 2>&1) && continue
		said=$(why "$namespace")
		case $said in
		*ErrImageNeverPull*) die "a node does not have the image spiffe-lab/workload:$LAB_TAG" "kind load docker-image spiffe-lab/workload:$LAB_TAG, or k3d image import spiffe-lab/workload:$LAB_TAG; see spire/kubernetes/README.md" ;;
		esac
		die "$resource in $namespace is not ready after 180 s: ${said:-no pod was made}" "kubectl --namespace $namespace describe pods"
	done
}
