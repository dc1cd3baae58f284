#!/usr/bin/env bash
# Builds every image of the lab from Go modules with the local Go toolchain, where no image
# can be pulled, and writes compose.override.yaml so that plain `docker compose up` uses them.
# What is built is not built again: each image carries a hash of what it was made from.
# With the argument "lab" it leaves out the tools, which only scenarios need.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

need_engine
need_go "no official images are used here" "let the machine pull from $SPIRE_REGISTRY"

GOOS=linux
GOARCH=$(docker version --format '{{.Server.Arch}}')
export GOOS GOARCH
server_image=spiffe-lab/spire-server:$SPIRE_VERSION
agent_image=spiffe-lab/spire-agent:$SPIRE_VERSION
stage=$CACHE_DIR/images
# go-spiffe's own example, unchanged; it looks for the Workload API at /tmp/agent.sock.
EXAMPLE=github.com/spiffe/go-spiffe/v2/examples/spiffe-http
WORKLOAD_API=/tmp/spire-agent/public/api.sock

# hash FUNCTION FILE...: of how it is made and what from, one word.
hash() { (cd "$LAB_DIR" && { declare -f "$1" build fresh go_build && git hash-object "${@:2}"; } | git hash-object --stdin | cut -c 1-16); }

go_version=$(cd "$LAB_DIR/scripts/tools/spire" && go env GOVERSION)
made_from() { say "$GOARCH-$go_version-$SPIRE_VERSION-$1"; }

# is_built IMAGE HASH
is_built() { [ "$(docker image inspect --format '{{index .Config.Labels "spiffe-lab.made-from"}}' "$1" 2>/dev/null)" = "$2" ]; }

# staged IMAGE: the name of its folder in $stage.
staged() {
	local name=${1##*/}
	say "${name%%:*}"
}

# build IMAGE HASH DOCKERFILE [--build-arg ...]: from what stands in $stage/NAME.
build() {
	local image=$1 made=$2 dockerfile=$3 name
	shift 3
	name=$(staged "$image")
	if ! docker build --quiet --file "$LAB_DIR/$dockerfile" --tag "$image" --label "spiffe-lab.made-from=$made" \
		"$@" "$stage/$name" >"$stage/$name.log" 2>&1; then
		cat "$stage/$name.log" >&2
		die "image $image could not be built"
	fi
	say "built $image ($((SECONDS - started)) s)"
}

# fresh NAME DIR...: an empty stage with these directories, as the official images have them.
fresh() {
	local name=$1
	shift
	rm -rf "${stage:?}/$name"
	(umask 022 && mkdir -p "${@/#//$stage/$name/root}")
}

# go_build MODULE_DIR OUT PACKAGE...
go_build() {
	local module=$1 out=$2
	shift 2
	(cd "$LAB_DIR/$module" && go build -trimpath -buildvcs=false "${go_flags[@]}" -o "$out" "$@") ||
		die "$* could not be built from its Go module" "does this machine reach a Go module mirror? (cd $module && go mod download)"
}

check_spire_pin() {
	local pinned
	pinned=$(cd "$LAB_DIR/scripts/tools/spire" && go list -m -f '{{.Version}}' github.com/spiffe/spire)
	[ "$pinned" = "v$SPIRE_VERSION" ] ||
		die "SPIRE_VERSION in .env is $SPIRE_VERSION, but scripts/tools/spire/go.mod has $pinned" "cd scripts/tools/spire && go get github.com/spiffe/spire@v$SPIRE_VERSION"
}

# spire-server keeps its entries in SQLite, which is C: this one image needs a C compiler.
build_spire() {
	local started=$SECONDS made name
	made=$(made_from "$(hash build_spire scripts/tools/spire/go.mod scripts/tools/spire/go.sum scripts/tools/spire/spire-server.Dockerfile scripts/tools/spire/spire-agent.Dockerfile)")
	if is_built "$server_image" "$made" && is_built "$agent_image" "$made"; then
		say "$server_image and $agent_image are built"
		return
	fi
	check_spire_pin
	local cc
	cc=$(go env CC)
	command -v "${cc%% *}" >/dev/null 2>&1 ||
		die "the C compiler $cc was not found; spire-server's SQLite needs one" "on Debian and Ubuntu: apt-get install gcc libc6-dev; elsewhere set CC to one that makes linux/$GOARCH programs"
	say "building SPIRE $SPIRE_VERSION from its Go module: 6 to 10 minutes on 2 cores the first time"
	fresh spire-server /opt/spire/bin /etc/spire/server /run/spire/server/private /tmp/spire-server/private /var/lib/spire/server
	fresh spire-agent /opt/spire/bin /etc/spire/agent /run/spire/agent/public /tmp/spire-agent/public /var/lib/spire/agent
	local link="-s -w -X github.com/spiffe/spire/pkg/common/version.gittag=$SPIRE_VERSION"
	for name in spire-server spire-agent; do
		say "compiling $name ..."
		(while sleep 20; do say "  still compiling $name, $((SECONDS - started)) s"; done) &
		progress=$!
		trap 'kill "$progress" 2>/dev/null || true; unlock images' EXIT
		if [ "$name" = spire-server ]; then
			export CGO_ENABLED=1
			go_flags=(-tags "osusergo netgo sqlite_omit_load_extension" -ldflags "$link -extldflags -static")
		else
			export CGO_ENABLED=0
			go_flags=(-tags "osusergo netgo sqlite_omit_load_extension" -ldflags "$link")
		fi
		go_build scripts/tools/spire "$stage/$name/root/opt/spire/bin/" "github.com/spiffe/spire/cmd/$name"
		kill "$progress" 2>/dev/null || true
		trap 'unlock images' EXIT
		cp "$(ca_bundle)" "$stage/$name/ca-certificates.crt"
	done
	build "$server_image" "$made" scripts/tools/spire/spire-server.Dockerfile
	build "$agent_image" "$made" scripts/tools/spire/spire-agent.Dockerfile
	rm -rf "$stage/spire-server" "$stage/spire-agent"
}

# The lab speaks to no public CA; the file is there because the official images have it.
ca_bundle() {
	local file
	for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
		if [ -f "$file" ]; then
			say "$file"
			return
		fi
	done
	die "no CA bundle was found on this machine" "install the package ca-certificates"
}

# short_id IMAGE: changes with what is in it.
short_id() { docker image inspect --format '{{.Id}}' "$1" | cut -c 8-20; }

build_bootstrap() {
	local started=$SECONDS made image=$BOOTSTRAP_IMAGE
	made=$(made_from "$(hash build_bootstrap scripts/tools/shell/go.mod scripts/tools/shell/go.sum services/bootstrap.Dockerfile)-$(short_id "$server_image")")
	if is_built "$image" "$made"; then
		say "$image is built"
		return
	fi
	fresh "$(staged "$image")" /bin
	export CGO_ENABLED=0
	go_flags=(-ldflags '-s -w')
	go_build scripts/tools/shell "$stage/$(staged "$image")/root/bin/" tool
	mv "$stage/$(staged "$image")/root/bin/gosh" "$stage/$(staged "$image")/root/bin/sh"
	build "$image" "$made" services/bootstrap.Dockerfile --build-arg "SPIRE_SERVER_IMAGE=$server_image"
}

# Go's own build cache makes this a second's work; the image is made anew only if a program changed.
build_workload() {
	local started=$SECONDS made image=$WORKLOAD_IMAGE
	local root
	root=$stage/$(staged "$image")/root
	fresh "$(staged "$image")" /opt/spiffe-lab/bin /etc
	export CGO_ENABLED=0
	go_flags=(-ldflags '-s -w')
	go_build . "$root/opt/spiffe-lab/bin/" ./services/...
	cp "$LAB_DIR/spire/host/passwd" "$root/etc/passwd"
	made=$(made_from "$(hash build_workload services/workload.Dockerfile "$root"/etc/passwd "$root"/opt/spiffe-lab/bin/*)")
	if is_built "$image" "$made"; then
		say "$image is built"
		return
	fi
	build "$image" "$made" services/workload.Dockerfile
}

# The tools that know nothing of SPIFFE are this machine's own, with the libraries they need.
build_tools() {
	local started=$SECONDS made image=$TOOLS_IMAGE root
	[ "$(uname -s)" = Linux ] ||
		die "the image of the tools (curl, openssl) cannot be built on $(uname -s) without a registry" "the scenarios that need no tools run all the same; for the others use Linux or WSL 2, or let the machine pull $GO_IMAGE"
	root=$stage/$(staged "$image")/root
	fresh "$(staged "$image")" /opt/spiffe-lab/bin /etc/ssl /tmp /work
	chmod 1777 "$root/work"
	"$LAB_DIR/services/tools/collect.sh" "$root" curl openssl sh cat sleep
	cp "$LAB_DIR/services/tools/openssl.cnf" "$root/etc/ssl/"
	cp "$LAB_DIR/spire/host/passwd" "$root/etc/passwd"
	cp "$stage/$(staged "$WORKLOAD_IMAGE")/root/opt/spiffe-lab/bin/"* "$root/opt/spiffe-lab/bin/"
	export CGO_ENABLED=0
	go_flags=(-ldflags '-s -w')
	go_build . "$root/opt/spiffe-lab/bin/example-server" "$EXAMPLE/server"
	ln -s "$WORKLOAD_API" "$root/tmp/agent.sock"
	made=$(made_from "$(find "$root" -type f -print0 | sort -z | xargs -0 git hash-object >"$root.hashes" && hash build_tools services/tools.Dockerfile "$root.hashes")-$(short_id "$agent_image")")
	if is_built "$image" "$made"; then
		say "$image is built"
		return
	fi
	build "$image" "$made" services/tools.Dockerfile --build-arg "SPIRE_AGENT_IMAGE=$agent_image"
}

write_override() {
	cat >"$LAB_DIR/compose.override.yaml.new" <<END
# Written by scripts/images.sh: the lab runs from images built on this machine.
# Delete this file to go back to the official images.
services:
  node: {build: !reset null, pull_policy: never}
  spire-server: {image: "$server_image", pull_policy: never}
  bootstrap: {build: !reset null, pull_policy: never}
  spire-agent: {image: "$agent_image", pull_policy: never}
  server: {pull_policy: never}
  client: {pull_policy: never}
  tools: {build: !reset null, pull_policy: never}
  impostor: {pull_policy: never}
  steady: {pull_policy: never}
  host-b: {pull_policy: never}
  server-for-partner: {pull_policy: never}
  partner-host: {pull_policy: never}
  partner-server: {image: "$server_image", pull_policy: never}
END
	if cmp -s "$LAB_DIR/compose.override.yaml.new" "$LAB_DIR/compose.override.yaml"; then
		rm "$LAB_DIR/compose.override.yaml.new"
	else
		mv "$LAB_DIR/compose.override.yaml.new" "$LAB_DIR/compose.override.yaml"
		say "wrote compose.override.yaml: docker compose now uses these images"
	fi
}

mkdir -p "$stage"
lock images 1200 "another make images or make up is building"
trap 'unlock images' EXIT
build_spire
build_bootstrap
build_workload
[ "${1:-}" = lab ] || build_tools
write_override
