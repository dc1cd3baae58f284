#!/usr/bin/env bash
# Runs a command with a Kubernetes cluster of one node: cluster.sh COMMAND... Kubernetes is built from Go modules, once.
# Other programs, such as containerd, are this machine's own. The cluster runs in separate namespaces, and ends with the
# command. kubectl finds the cluster by KUBECONFIG.
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"
# shellcheck source=../lib/sandbox.sh
. "$LAB_DIR/scripts/dev/lib/sandbox.sh"

built=$CACHE_DIR/kubernetes
module=$LAB_DIR/scripts/dev/tools/kubernetes
parts='kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl'

need() {
	local tool
	for tool in unshare ip iptables openssl containerd containerd-shim-runc-v2 runc ctr; do
		command -v "$tool" >/dev/null 2>&1 || [ -x "/usr/sbin/$tool" ] ||
			die "$tool was not found; a new cluster needs it" "on Debian and Ubuntu: apt-get install util-linux iproute2 iptables openssl containerd runc; or name a cluster: KUBECONFIG=FILE YES=1"
	done
}

# The six programs share nearly all of their code, so they are built as one program. A link starts the program, and the
# name of the link selects one of the six.
build_kubernetes() {
	local version made part started=$SECONDS
	need_go "a cluster of its own is to be built" "name a cluster: KUBECONFIG=FILE YES=1"
	version=$(cd "$module" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
	made=$(cd "$module" && { go env GOVERSION && cat go.mod go.sum ./*/*.go; } | git hash-object --stdin)
	[ "$(cat "$built/made-from" 2>/dev/null)" != "$made" ] || return 0
	say "building Kubernetes $version from its Go modules: about 15 minutes on 2 cores the first time, and 3 GB of Go's build cache"
	mkdir -p "$built/bin"
	with_signs_of_life "compiling Kubernetes" compile "$version" ||
		die "Kubernetes could not be built" "does this machine reach a Go module mirror? (cd scripts/dev/tools/kubernetes && go mod download)"
	for part in $parts; do ln -sf kube "$built/bin/$part"; done
	say "$made" >"$built/made-from"
	say "built Kubernetes $version ($((SECONDS - started)) s)"
}

compile() {
	local link=k8s.io/component-base/version
	(cd "$module" && CGO_ENABLED=0 GOWORK=off exec nice go build -trimpath -buildvcs=false -o "$built/bin/" \
		-ldflags "-s -w -X $link.gitVersion=$1 -X $link.gitMajor=1 -X $link.gitMinor=$(cut -d. -f2 <<<"$1")" ./kube ./dns)
}

# Installed versions of etcd and of the CNI plugins are used. If etcd or the plugins are missing, the Debian packages
# are unpacked, but not installed.
find_debian() {
	etcd=$(command -v etcd) || etcd=$built/debian/usr/bin/etcd
	for plugins in /usr/lib/cni /opt/cni/bin "$built/debian/usr/lib/cni"; do [ ! -x "$plugins/ptp" ] || break; done
	if [ -x "$etcd" ] && [ -x "$plugins/ptp" ]; then return; fi
	local packages=(etcd-server containernetworking-plugins) package
	mkdir -p "$built/debian"
	# The user _apt cannot write to this folder, so apt prints a warning, which is hidden here.
	(cd "$built/debian" && { apt-get download -qq "${packages[@]}" || { apt-get update -qq && apt-get download -qq "${packages[@]}"; }; } 2>/dev/null) ||
		die "etcd and the CNI plugins are neither installed nor available from apt" "install etcd and the CNI plugins (on Debian and Ubuntu: ${packages[*]}); or name a cluster: KUBECONFIG=FILE YES=1"
	for package in "$built"/debian/*.deb; do dpkg-deb --extract "$package" "$built/debian" && rm "$package"; done
	find_debian
}

# save_images: saves the images for the cluster's containerd, under the names in the manifests. It takes SPIRE's
# official images if they exist here, else the images that were built here. Each pod needs the image pause, too.
save_images() {
	local pause=spiffe-lab/pause:node-$$ name official image images=()
	part build
	for name in spire-server spire-agent; do
		official=$SPIRE_REGISTRY/$name:$SPIRE_VERSION image=spiffe-lab/$name:$LAB_TAG
		! has_image "$official" || image=$official
		images+=("$image")
		say "$image $official" >>"$node/images"
	done
	docker build --quiet --tag "$pause" - >"$node/log/pause" 2>&1 <<-END || { cat "$node/log/pause" >&2 && die "the image pause could not be built"; }
		FROM spiffe-lab/workload:$LAB_TAG
		ENTRYPOINT ["/opt/spiffe-lab/bin/host", "node"]
	END
	say "$pause docker.io/spiffe-lab/pause:node" >>"$node/images"
	docker save --output "$node/images.tar" "${images[@]}" "spiffe-lab/workload:$LAB_TAG" "$pause"
	docker image rm "$pause" >/dev/null
}

# certificates: one CA signs the API server's certificate, and the certificate with which the API server calls the
# kubelet. Every other client has a token. The kubelet signs its own certificate, as on many clusters.
certificates() {
	local pki=$node/pki user
	mkdir "$pki"
	{
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=node-ca -keyout "$pki/ca.key" -out "$pki/ca.crt"
		certificate apiserver /CN=kube-apiserver "subjectAltName=IP:10.200.0.1,IP:10.96.0.1,DNS:kubernetes.default.svc"
		certificate apiserver-kubelet /O=system:masters/CN=apiserver "extendedKeyUsage=clientAuth"
		openssl genrsa -out "$pki/serviceaccounts.key" 2048
	} 2>"$node/log/openssl" || { cat "$node/log/openssl" >&2 && die "the cluster's certificates could not be made"; }
	while read -r name user group; do
		token=$(openssl rand -hex 16)
		say "$token,$user,$user,$group" >>"$pki/tokens"
		kubeconfig "$token" >"$node/$name.kubeconfig"
	done <<-END
		admin admin system:masters
		kube-controller-manager system:kube-controller-manager
		kube-scheduler system:kube-scheduler
		kube-proxy system:kube-proxy
		kubelet system:node:node system:nodes
	END
}

# certificate NAME SUBJECT EXTENSION
certificate() {
	openssl req -new -newkey rsa:2048 -nodes -subj "$2" -keyout "$node/pki/$1.key" -out "$node/pki/$1.csr"
	openssl x509 -req -in "$node/pki/$1.csr" -CA "$node/pki/ca.crt" -CAkey "$node/pki/ca.key" -CAcreateserial -days 2 \
		-extfile <(say "$3") -out "$node/pki/$1.crt"
}

kubeconfig() {
	cat <<-END
		apiVersion: v1
		kind: Config
		clusters: [{name: node, cluster: {server: "https://10.200.0.1:6443", certificate-authority: /run/node/pki/ca.crt}}]
		users: [{name: user, user: {token: "$1"}}]
		contexts: [{name: node, context: {cluster: node, user: user}}]
		current-context: node
	END
}

cleanup() {
	local status=$?
	trap '' INT TERM
	end_sandbox "$node" "$cgroup" || status=1
	exit "$status"
}

[ $# -gt 0 ] || die "no command was given" "scripts/dev/kubernetes/cluster.sh bash"
[ "$(uname -s)" = Linux ] || die "a new cluster needs Linux: name one with KUBECONFIG=FILE YES=1"
[ "$(id -u)" -eq 0 ] || die "a new cluster needs root, because it creates namespaces: use sudo, or name a cluster with KUBECONFIG=FILE YES=1"
need
need_engine
trap 'exit 130' INT
trap 'exit 143' TERM
lock kubernetes 1200 "another command builds Kubernetes"
trap 'unlock kubernetes' EXIT
build_kubernetes
find_debian
unlock kubernetes
node=$(mktemp -d "$built/node.XXXXXX")
cgroup=/spiffe-lab-node-$$
trap cleanup EXIT
mkdir "$node/log" "$node/bin" "$node/cni"
ln -s "$etcd" "$node/bin/etcd"
ln -s "$plugins" "$node/cni/bin"
for part in dns $parts; do ln -s "$built/bin/$part" "$node/bin/"; done
cp "$LAB_DIR"/scripts/dev/kubernetes/node/* "$node/"
mv "$node/cni.conflist" "$node/cni/"
: >"$node/resolv.conf"
save_images
certificates
ENGINE_ROOT=$(docker info --format '{{.DockerRootDir}}')
export NODE=$node CGROUP=$cgroup ENGINE_ROOT
# The command runs in the background, so that a signal is handled at once. It has no separate process group, because
# with one it would lose the terminal.
unshare --mount --propagation slave --uts --ipc --net --pid --fork --kill-child --mount-proc "$LAB_DIR/scripts/dev/kubernetes/node.sh" "$@" <&0 &
wait $!
