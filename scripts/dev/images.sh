#!/usr/bin/env bash
# Builds the lab's images on a machine that cannot pull any. It puts into .cache/prebuilt-images what a registry would
# have: SPIRE compiled from its Go module, the programs compiled with the local Go, and this machine's curl and openssl.
# Then it runs the usual `docker compose build`. Until `make clean`, the program lab then builds images from these
# files, too. Prebuilt files are not compiled again.
#
#   images.sh               all images
#   images.sh SERVICE...    the images of these services
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

prebuilt=$CACHE_DIR/prebuilt-images
EXAMPLE=github.com/spiffe/go-spiffe/v2/examples/spiffe-http/server
official_server=$SPIRE_REGISTRY/spire-server:$SPIRE_VERSION

need_engine
need_go "no official images are used here" "let the machine pull $official_server"
ensure_compose
GOOS=linux
GOARCH=$ENGINE_ARCH
export GOOS GOARCH GOFLAGS='-trimpath -buildvcs=false'

# build_images ARG...: runs `docker compose build`, and prints its output if it fails. Compose labels an image with the
# name of the project. The labs of a folder share their images, so every build uses the same project name.
build_images() {
	local log=$CACHE_DIR/build.log
	if with_signs_of_life "building the images" into "$log" compose --file "$LAB_DIR/compose.yaml" --project-name spiffe-lab "$@"; then return; fi
	cat "$log" >&2
	return 1
}

# go_build MODULE_DIR OUT PACKAGE-OR-FLAG...
go_build() {
	local module=$1 out=$2
	shift 2
	mkdir -p "$out"
	(cd "$LAB_DIR/$module" && with_signs_of_life "compiling ${*: -1}" go build -o "$out/" "$@") 2>&1 | tee "$CACHE_DIR/go.log" >&2 ||
		die "${*: -1} could not be built from its Go module: $(tail -n 1 "$CACHE_DIR/go.log")" "where a module is missing: does this machine reach a Go module mirror? (cd $module && go mod download; GOPROXY is $(go env GOPROXY))"
}

# is_prebuilt NAME MADE_FROM: succeeds if the program NAME exists, and was compiled from the sources MADE_FROM.
is_prebuilt() { [ -s "$prebuilt/$1/opt/spire/bin/$1" ] && [ "$(cat "$prebuilt/$1.made" 2>/dev/null)" = "$2" ]; }

check_spire_pin() {
	local pinned
	pinned=$(cd "$LAB_DIR/scripts/dev/tools/spire" && go list -m -f '{{.Version}}' github.com/spiffe/spire)
	[ "$pinned" = "v$SPIRE_VERSION" ] ||
		die "SPIRE_VERSION is $SPIRE_VERSION in .env or in your environment, but scripts/dev/tools/spire/go.mod has $pinned" "unset SPIRE_VERSION; or cd scripts/dev/tools/spire && go get github.com/spiffe/spire@v$SPIRE_VERSION"
}

# prebuild_spire NAME DIRECTORY...: compiles SPIRE, and creates the directories of the official image.
prebuild_spire() {
	local name=$1 made root=$prebuilt/$1
	shift
	made="$GOARCH $(go env GOVERSION) $SPIRE_VERSION $(cksum <"$LAB_DIR/scripts/dev/tools/spire/go.sum")"
	if is_prebuilt "$name" "$made"; then return; fi
	check_spire_pin
	say "compiling $name $SPIRE_VERSION from its Go module: 3 to 5 minutes on 2 cores the first time"
	rm -rf "$root"
	(cd / && umask 022 && mkdir -p "$root/etc/ssl/certs" "${@/#/$root}")
	local link="-s -w -X github.com/spiffe/spire/pkg/common/version.gittag=$SPIRE_VERSION" flags
	if [ "$name" = spire-server ]; then
		export CGO_ENABLED=1 # spire-server stores its entries in SQLite, which is written in C
		flags="$link -extldflags -static"
	else
		export CGO_ENABLED=0
		flags=$link
	fi
	go_build scripts/dev/tools/spire "$root/opt/spire/bin" -tags 'osusergo netgo sqlite_omit_load_extension' -ldflags "$flags" "github.com/spiffe/spire/cmd/$name"
	cp "$(ca_bundle)" "$root/etc/ssl/certs/ca-certificates.crt"
	say "$made" >"$prebuilt/$name.made"
}

need_c_compiler() {
	local cc remedy machine
	cc=$(go env CC)
	remedy="on Debian and Ubuntu: apt-get install gcc libc6-dev; elsewhere set CC to one that makes linux/$GOARCH programs"
	command -v "${cc%% *}" >/dev/null 2>&1 || die "the C compiler $cc was not found; spire-server's SQLite needs one" "$remedy"
	# shellcheck disable=SC2086 # cc may have arguments
	machine=$($cc -dumpmachine 2>/dev/null) || machine=unknown
	case $GOARCH-$machine in
	amd64-x86_64-*linux* | arm64-aarch64-*linux* | *-unknown) ;;
	amd64-* | arm64-*) die "the C compiler $cc makes programs for $machine, and the engine runs linux/$GOARCH" "$remedy" ;;
	esac
}

# ca_bundle: prints the path of this machine's CA bundle. The lab does not use public CAs, but the official images have
# such a file.
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

# prebuild_programs: compiles the programs as services/Dockerfile does. Go does not link a program again if its sources
# have not changed.
prebuild_programs() {
	local program
	export CGO_ENABLED=0
	go_build . "$prebuilt/lab/programs" -ldflags '-s -w' ./services/server ./services/client ./services/host
	for program in node probe svid observer; do ln -sf host "$prebuilt/lab/programs/$program"; done
	go_build . "$prebuilt/lab/example" -ldflags '-s -w' "$EXAMPLE"
	go_build scripts/dev/tools/shell "$prebuilt/lab/shell" -ldflags '-s -w' tool
	for program in "$prebuilt"/lab/programs/*; do
		case ${program##*/} in server | client | host | node | probe | svid | observer) ;; *) rm "$program" ;; esac
	done
}

# prebuild_tools: compiles the programs for scenarios, and copies this machine's curl and openssl, with the libraries
# that these need.
prebuild_tools() {
	go_build . "$prebuilt/extras" -ldflags '-s -w' ./services/extras
	[ "$(uname -s)" = Linux ] ||
		die "the image of the tools (curl, openssl) cannot be built on $(uname -s) without a registry" "scenarios that need no tools still run; for the others use Linux or WSL 2, or let the machine pull $TOOLS_BASE_IMAGE"
	rm -rf "$prebuilt/tools"
	sh "$LAB_DIR/services/tools/collect.sh" "$prebuilt/tools" curl openssl sh cat sleep
}

mkdir -p "$prebuilt"
lock images 1200 "another make images or make up is building"
trap 'unlock images' EXIT
[ "$GOARCH" = "$(cat "$prebuilt/architecture" 2>/dev/null)" ] || rm -f "$prebuilt"/*.made
say "$GOARCH" >"$prebuilt/architecture"
(need_c_compiler) || exit 3 # by this status services/internal/launch recognizes that a C compiler is missing
prebuild_spire spire-server /opt/spire/bin /etc/spire/server /run/spire/server/private /tmp/spire-server/private /var/lib/spire/server
prebuild_spire spire-agent /opt/spire/bin /etc/spire/agent /run/spire/agent/public /tmp/spire-agent/public /var/lib/spire/agent
prebuild_programs
case " ${*:-tools} " in *' tools '*) prebuild_tools ;; esac
build_images --profile extras build --build-arg PROGRAMS=prebuilt \
	--build-arg SPIRE_SERVER_IMAGE=spire-server-prebuilt --build-arg SPIRE_AGENT_IMAGE=spire-agent-prebuilt "$@" ||
	die "the images could not be built from what was compiled" "the lines above say why"
: >"$CACHE_DIR/prebuilt"
