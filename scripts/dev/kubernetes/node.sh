#!/usr/bin/env bash
# Runs inside the node of cluster.sh, as the first process of its namespaces. Starts Kubernetes, and runs the command.
# When this process ends, all other processes end, too.
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"
# shellcheck source=../lib/sandbox.sh
. "$LAB_DIR/scripts/dev/lib/sandbox.sh"

# background NAME COMMAND...: starts a command with the log /run/node/log/NAME.
background() {
	local name=$1
	shift
	"$@" >"/run/node/log/$name" 2>&1 </dev/null &
}

# mounts: mounts separate folders, so that the kubelet, containerd and CNI do not write to the machine's folders.
mounts() {
	local file value
	let_go_of "$ENGINE_ROOT"
	mount -t tmpfs tmpfs /run
	mount -t tmpfs tmpfs /var/log
	mkdir -p /run/node /run/lock
	mount --bind "$NODE" /run/node
	# The other processes here see a pod's mounts, but the machine does not (unshare --propagation slave).
	mount --make-rshared /
	# The kubelet expects these values. With protectKernelDefaults it checks them and does not change them.
	mkdir /run/sysctl
	while read -r file value; do
		say "$value" >"/run/sysctl/${file##*/}"
		mount --bind "/run/sysctl/${file##*/}" "/proc/sys/$file"
	done <<-SYSCTLS
		vm/overcommit_memory 1
		vm/panic_on_oom 0
		kernel/panic 10
		kernel/panic_on_oops 1
		kernel/keys/root_maxkeys 1000000
		kernel/keys/root_maxbytes 25000000
	SYSCTLS
}

network() {
	hostname node
	ip link set lo up
	ip link add node type veth peer name nowhere
	ip address add 10.200.0.1/24 dev node
	ip link set node up
	ip link set nowhere up
	# Packets to a Service need a route, so that the rules of kube-proxy can match them.
	ip route add default dev node
}

images() {
	local image name
	ctr --namespace k8s.io images import /run/node/images.tar
	while read -r image name; do
		[ "$image" = "$name" ] || ctr --namespace k8s.io images tag "docker.io/$image" "$name"
	done </run/node/images
	rm /run/node/images.tar
}

node_ready() { kubectl wait --for condition=Ready node/node --timeout 5s; }

export PATH=/run/node/bin:/usr/sbin:/sbin:$PATH
export KUBECONFIG=/run/node/admin.kubeconfig CONTAINERD_ADDRESS=/run/node/containerd.sock
trap 'exit 130' INT
trap 'exit 143' TERM

mounts
network
make_control_groups "$CGROUP" # the kubelet creates its cgroups below this one, which must exist
started=$SECONDS
background etcd etcd --data-dir /run/node/etcd --unsafe-no-fsync --logger zap --log-level warn \
	--listen-peer-urls http://127.0.0.1:2380 --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
background containerd containerd --config /run/node/containerd.toml
background kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 \
	--bind-address 10.200.0.1 --advertise-address 10.200.0.1 --service-cluster-ip-range 10.96.0.0/16 \
	--tls-cert-file /run/node/pki/apiserver.crt --tls-private-key-file /run/node/pki/apiserver.key \
	--token-auth-file /run/node/pki/tokens --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
	--service-account-issuer https://kubernetes.default.svc --service-account-key-file /run/node/pki/serviceaccounts.key \
	--service-account-signing-key-file /run/node/pki/serviceaccounts.key \
	--kubelet-client-certificate /run/node/pki/apiserver-kubelet.crt --kubelet-client-key /run/node/pki/apiserver-kubelet.key \
	--kubelet-preferred-address-types InternalIP --allow-privileged
background kube-controller-manager kube-controller-manager --kubeconfig /run/node/kube-controller-manager.kubeconfig \
	--leader-elect=false --use-service-account-credentials --root-ca-file /run/node/pki/ca.crt \
	--service-account-private-key-file /run/node/pki/serviceaccounts.key
background kube-scheduler kube-scheduler --kubeconfig /run/node/kube-scheduler.kubeconfig --leader-elect=false
wait_until 120 "containerd answers" ctr version
images >/run/node/log/images 2>&1 || die "the images cannot be imported: $(tail -n 1 /run/node/log/images)"
wait_until 180 "the API server is ready" kubectl get --raw /readyz
background kubelet kubelet --config /run/node/kubelet.yaml --kubeconfig /run/node/kubelet.kubeconfig --root-dir /run/node/kubelet \
	--hostname-override node --node-ip 10.200.0.1 --cgroup-root "$CGROUP" --runtime-cgroups "$CGROUP"
background kube-proxy kube-proxy --config /run/node/kube-proxy.yaml
background dns dns -conf /run/node/Corefile
wait_until 180 "the node is ready" node_ready
say "a cluster of one node, Kubernetes $(kubectl version --output yaml | sed -n '/^serverVersion/,$s/^ *gitVersion: //p'), is ready ($((SECONDS - started)) s)"
"$@"
