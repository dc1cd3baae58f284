#!/usr/bin/env bash
# Checks the lab on Kubernetes, on the cluster of the current kubectl context, and removes the lab at the end. Ends with
# "N passed, N failed". With ONLY=rbac it runs only two checks: "success", which starts the lab, and "rbac".
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"

passed=0
failed=0
spire=spiffe-lab-spire
mark=app.kubernetes.io/managed-by
[ "${YES:-}" = 1 ] || die "this would test the lab on the cluster of the current kubectl context" "confirm it with YES=1"
context=$(command kubectl config current-context)

# Uses the context that was confirmed, even if the current context changes.
kubectl() { command kubectl --context "$context" "$@"; }
lab() { "$LAB_DIR/scripts/lab" "$@" --yes; }
manifests() { "$LAB_DIR/scripts/lab" k8s-manifests; }

# mark_of KIND NAME: prints "none" if the object does not exist, "marked" if the lab created it, else "foreign".
mark_of() {
	local found
	found=$(kubectl get "$1" "$2" --ignore-not-found --output "jsonpath={.kind} {.metadata.labels.${mark//./\\.}}")
	case $found in
	'') say none ;;
	*' spiffe-lab') say marked ;;
	*) say foreign ;;
	esac
}

# client_once NAME NAMESPACE SERVICE_ACCOUNT: prints the manifest of a client that sends one request.
client_once() {
	sed -e "s/\${NAME}/$1/" -e "s/\${NAMESPACE}/$2/" -e "s/\${SERVICE_ACCOUNT}/$3/" -e "s/\${LAB_TAG}/$LAB_TAG/" "$LAB_DIR/spire/kubernetes/client-once.yaml"
}

# once NAME NAMESPACE SERVICE_ACCOUNT: runs one request of the client in a separate pod. Its output is in $output, and
# its exit status in $status.
once() {
	kubectl --namespace "$2" delete pod "$1" --ignore-not-found --now >/dev/null
	client_once "$@" | kubectl apply --filename - >/dev/null
	wait_until 120 "the pod $1 has ended" pod_ended "$2" "$1" || die "the pod $1 did not run: $(why "$2")"
	status=$(kubectl --namespace "$2" get pod "$1" --output 'jsonpath={.status.containerStatuses[0].state.terminated.exitCode}')
	output=$(kubectl --namespace "$2" logs "$1" 2>&1)
	kubectl --namespace "$2" delete pod "$1" --now >/dev/null
}

pod_ended() {
	case $(kubectl --namespace "$1" get pod "$2" --output 'jsonpath={.status.phase}') in
	Succeeded | Failed) ;;
	*) say "$(why "$1")" && return 1 ;;
	esac
}

# why NAMESPACE: prints why the pods of this namespace are not ready.
why() {
	kubectl --namespace "$1" get pods --output 'jsonpath={range .items[*]}{range .status.containerStatuses[*]}{.name}{": "}{.state.waiting.reason}{" "}{.state.waiting.message}{"\n"}{end}{end}' |
		grep -v ':  *$' | sort -u | tr '\n' ' '
}

# check NAME EXPECTATION: runs the function NAME, and prints its output only if it fails.
check() {
	local started=$SECONDS
	[[ -z ${ONLY:-} || " success $ONLY " = *" $1 "* ]] || return 0
	# An error must end the function. In a condition, bash would ignore the error, so the function runs in the
	# background.
	(set -e && "$1") >"$log" 2>&1 &
	if wait $!; then
		passed=$((passed + 1))
		say "${green}PASS${plain} $2 ($((SECONDS - started)) s)"
	else
		failed=$((failed + 1))
		say "${red}FAIL${plain} $2"
		sed 's/^/  /' "$log"
	fi
}

cleanup() {
	local result=$?
	trap '' INT TERM
	delete_namespace "$elsewhere"
	lab k8s-down >"$log" 2>&1 || { cat "$log" && result=1; }
	rm -f "$log"
	exit "$result"
}

# expect_words PATTERN TEXT
expect_words() { grep -Eq "$1" <<<"$2" || die "the output lacks: $1" "$2"; }
expect_status() { [ "$status" = "$1" ] || die "the client's exit status is $status and not $1" "$output"; }

delete_namespace() {
	if [ "$(mark_of namespace "$1")" = marked ]; then kubectl delete namespace "$1" --timeout 180s; fi >/dev/null
}

server_log() { kubectl --namespace "$spire" logs statefulset/spire-server; }
agent_log() { kubectl --namespace "$spire" logs --selector app=spire-agent --tail -1 --prefix; }
# server_says PATTERN LINES: prints the matching lines of the SPIRE server's log after the first LINES lines.
server_says() { server_log | tail -n "+$(($2 + 1))" | grep -E "$1"; }
# agent_says PATTERN...: succeeds if the agents' logs match each PATTERN.
agent_says() {
	local log pattern
	log=$(agent_log)
	for pattern in "$@"; do grep -E "$pattern" <<<"$log" || { tail -n 1 <<<"$log" && return 1; }; done
}
spire_server() { kubectl --namespace "$spire" exec spire-server-0 -- /opt/spire/bin/spire-server "$@"; }

# agents_ready: succeeds if one agent on each node is ready. Old agents do not count, because the function new_agents
# has deleted them.
agents_ready() {
	local wanted ready
	wanted=$(kubectl --namespace "$spire" get daemonset spire-agent --output 'jsonpath={.status.desiredNumberScheduled}')
	ready=$(kubectl --namespace "$spire" get pods --selector app=spire-agent --output 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')
	if [ "$(wc -w <<<"$ready")" -ne "$wanted" ] || [[ $ready = *False* ]]; then
		why "$spire"
		return 1
	fi
}
# new_agents: returns when the old agents are deleted. The new agents attest with new tokens.
new_agents() { kubectl --namespace "$spire" delete pod --selector app=spire-agent >/dev/null; }

not_ours() {
	local output
	kubectl create namespace spiffe-lab
	if output=$(lab k8s-up 2>&1); then die "the lab has used a namespace that it has not created"; fi
	expect_words '^error: the namespace spiffe-lab exists on this cluster, and the lab did not create it' "$output"
	output=$(lab k8s-down 2>&1)
	expect_words '^the namespace spiffe-lab stays, because the lab did not create it$' "$output"
	kubectl delete namespace spiffe-lab --timeout 180s
}

success() {
	local output
	output=$(lab k8s-up)
	say "$output"
	expect_words '^the client is served \([0-9]+ s\): Success!!!$' "$output"
	expect_words '^  \$ spire-server entry create -entryID client ' "$output"
	output=$(lab k8s-entries)
	expect_words '^  entry for spiffe://example.org/client is as it should be$' "$output"
	# The API server prints what in the workloads violates the Pod Security level "restricted".
	output=$(kubectl label namespace spiffe-lab --dry-run=server --overwrite pod-security.kubernetes.io/enforce=restricted 2>&1)
	expect_words '^Warning: (client|server)-[^ ]+( \(and 1 other pod\))?: restricted volume types$' "$output"
}

bad_id() {
	local output
	output=$(lab k8s-bad-id)
	say "$output"
	expect_words 'exit status 4' "$output"
	expect_words 'unexpected ID "spiffe://example.org/server"' "$output"
}

no_entry() {
	once nobody spiffe-lab default
	expect_status 3
	expect_words 'no identity issued.*no registration entry matches this pod' "$output"
	expect_words 'selectors="[^"]*k8s:ns:spiffe-lab,[^"]*k8s:sa:default' "$(agent_log)"
}

other_namespace() {
	once client-here spiffe-lab client-workload
	expect_status 0
	kubectl create namespace "$elsewhere"
	kubectl label namespace "$elsewhere" "$mark=spiffe-lab"
	kubectl --namespace "$elsewhere" create serviceaccount client-workload
	once client-there "$elsewhere" client-workload
	expect_status 3
	expect_words 'no identity issued' "$output"
	expect_words "selectors=\"[^\"]*k8s:ns:$elsewhere,[^\"]*k8s:sa:client-workload" "$(agent_log)"
	delete_namespace "$elsewhere"
}

# Starts a second agent like the lab's, under a different service account, and with its own socket.
other_agent() {
	local lines
	lines=$(server_log | wc -l)
	kubectl --namespace "$spire" create serviceaccount other-agent
	manifests | awk -v RS='---\n' '/kind: DaemonSet/' |
		sed -E -e 's/(name|app|serviceAccountName): spire-agent$/\1: other-agent/' \
			-e 's/hostPath:$/emptyDir: {}/' -e '/path: \/run\/spiffe-lab$/d' -e '/type: DirectoryOrCreate$/d' |
		kubectl apply --filename -
	wait_until 120 "the SPIRE server refuses the other agent" server_says "spiffe-lab-spire:other-agent.* is not an allowed service account for cluster" "$lines"
	kubectl --namespace "$spire" delete daemonset/other-agent serviceaccount/other-agent
	once client-still spiffe-lab client-workload
	expect_status 0
}

served() { [ "$(kubectl --namespace spiffe-lab logs steady | grep -c '^Success!!!$')" -ge "$1" ]; }

agent_replaced() {
	local said more
	client_once steady spiffe-lab client-workload | sed 's/\[client, .*\]/[client, -interval, 250ms, -timeout, 2s]/' | kubectl apply --filename -
	wait_until 120 "a steady client has been served 8 times" served 8
	new_agents
	wait_until 120 "the new agent is ready" agents_ready
	once client-of-the-new-agent spiffe-lab client-workload
	expect_status 0
	more=$(($(kubectl --namespace spiffe-lab logs steady | grep -c '^Success!!!$') + 8))
	wait_until 120 "the steady client has been served 8 times more" served "$more"
	said=$(kubectl --namespace spiffe-lab logs steady)
	kubectl --namespace spiffe-lab delete pod steady --now
	! grep -E 'Error|unable|answered' <<<"$said" || die "a request was lost"
	say "$(grep -c '^Success!!!$' <<<"$said") requests, all served"
}

# rbac: removes each RBAC rule, one at a time, and checks that the step that needs the rule fails with the cluster's
# error message.
rbac() {
	local kind name verb resource i
	while read -r kind name; do
		i=0
		while read -r verb resource; do
			say "$kind $name: $verb $resource"
			kubectl --namespace "$spire" patch "$kind" "$name" --type json --patch "[{\"op\":\"remove\",\"path\":\"/rules/$i\"}]" </dev/null
			"without_${resource/\//_}" "$verb" "$resource" </dev/null
			i=$((i + 1))
		done < <(kubectl --namespace "$spire" get "$kind" "$name" </dev/null --output 'jsonpath={range .rules[*]}{.verbs[*]} {.resources[*]}{"\n"}{end}')
		[ "$i" -gt 0 ] || die "$kind $name has no rules"
	done <<-END
		clusterrole spiffe-lab-spire-server
		role spire-server
		clusterrole spiffe-lab-spire-agent
	END
}

all_rules() { manifests | kubectl apply --filename - >/dev/null; }

# Without the rule for tokenreviews, pods or nodes an agent cannot attest.
without_tokenreviews() {
	local lines
	lines=$(server_log | wc -l)
	new_agents
	wait_until 120 "the SPIRE server may not $1 $2" server_says "cannot $1 resource .*$2" "$lines"
	if agents_ready; then die "the agent is ready without this rule"; fi
	all_rules
	wait_until 120 "the agent is ready again" agents_ready
}
without_pods() { without_tokenreviews "$@"; }
without_nodes() { without_tokenreviews "$@"; }

# Without the rule for configmaps a new CA is not published.
published() { kubectl --namespace "$spire" get configmap spire-bundle --output 'jsonpath={.data.bundle\.crt}' | cksum; }
changed() { [ "$(published)" != "$1" ]; }
without_configmaps() {
	local lines before
	lines=$(server_log | wc -l)
	spire_server localauthority x509 prepare
	wait_until 120 "the SPIRE server may not $1 $2" server_says "cannot $1 resource .*$2" "$lines"
	all_rules
	before=$(published)
	spire_server localauthority x509 prepare
	wait_until 120 "the new CA is published" changed "$before"
}

# Without the rule for nodes/pods the agent attests, but cannot find a workload's pod.
without_nodes_pods() {
	new_agents
	wait_until 120 "the agent may not $1 $2" agent_says 'Node attestation was successful' "Forbidden .*verb=$1, resource=nodes, subresource.*pods"
	once client-of-a-blind-agent spiffe-lab client-workload
	expect_status 3
	all_rules
	new_agents
	wait_until 120 "the agent is ready again" agents_ready
	once client-of-a-seeing-agent spiffe-lab client-workload
	expect_status 0
}

elsewhere=spiffe-lab-elsewhere
[ "$(mark_of namespace spiffe-lab)$(mark_of namespace "$spire")" = nonenone ] ||
	die "the lab, or an object with its name, is on this cluster already: make k8s-down"
log=$(mktemp)
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

check not_ours "a namespace that the lab has not created must be neither used nor removed"
check success "the client must be served, and the entries' script must be safe to repeat"
check bad_id "the client under the server's service account must be refused, and each side must report its part"
check no_entry "a service account without an entry must get no identity"
check other_namespace "a service account of the same name in a different namespace must get no identity"
check other_agent "an agent under a different service account must be refused"
check agent_replaced "the agent's pod must be replaced under traffic without one lost request"
check rbac "each RBAC rule must be needed"

say "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
