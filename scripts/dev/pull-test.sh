#!/usr/bin/env bash
# Tests how the lab starts on a machine that can pull images. The registry of the test is on loopback. It has stubs of the official images:
# SPIRE as compiled here, and Debian with the local Go in place of the Go image. A fresh copy of this folder is started from this registry,
# by `docker compose up` alone and by `make up`. Needs root on Debian (debootstrap), Go and `make images`. Ends with "N passed, N failed".
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"
# shellcheck source=lib/tests.sh
. "$LAB_DIR/scripts/dev/lib/tests.sh"

need_go "the registry is to be built" "run it where Go is"
command -v debootstrap >/dev/null 2>&1 || die "debootstrap was not found" "on Debian: apt-get install debootstrap"
[ -e "$CACHE_DIR/prebuilt" ] || die "SPIRE has not been compiled here" "make images"
ensure_compose

work=$(mktemp -d)
tests_begin
address=127.0.0.1:$((20000 + RANDOM % 10000))
registry=''
export LAB_TAG=pull-test-$$ COMPOSE_PROJECT_NAME=spiffe-lab-pull-test-$$
export SPIRE_REGISTRY=$address/spiffe GO_IMAGE=$address/golang:1.26-alpine TOOLS_BASE_IMAGE=$address/buildpack-deps:bookworm-curl
stubs=("$SPIRE_REGISTRY/spire-server:$SPIRE_VERSION" "$SPIRE_REGISTRY/spire-agent:$SPIRE_VERSION" "$GO_IMAGE" "$TOOLS_BASE_IMAGE")

cleanup() {
	local status=$?
	trap - EXIT
	[ ! -f "$work/lab/compose.yaml" ] || "$COMPOSE" --project-directory "$work/lab" --profile '*' down --volumes --remove-orphans >/dev/null 2>&1 || true
	docker image ls --filter "reference=spiffe-lab/*:$LAB_TAG" --format '{{.Repository}}:{{.Tag}}' | xargs docker image rm >/dev/null 2>&1 || true
	docker image rm "${stubs[@]}" >/dev/null 2>&1 || true
	[ -z "$registry" ] || kill "$registry" 2>/dev/null || true
	rm -rf "$work"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# import_stub: imports a Debian image as the stub of the Go image, and of the base image of the tools. The stub has this machine's Go and CA
# bundle, and the settings with which Go reaches modules.
import_stub() {
	local packages=ca-certificates,curl,openssl
	debootstrap --variant=minbase --include="$packages" bookworm "$work/root" >"$work/debootstrap.log" 2>&1 ||
		die "debootstrap failed: $(tail -n 1 "$work/debootstrap.log")" "does this machine reach a Debian mirror?"
	mkdir -p "$work/root/usr/local"
	cp -R "$(go env GOROOT)" "$work/root/usr/local/go"
	cp /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/"
	tar -C "$work/root" --exclude './proc/*' --exclude './sys/*' -cf - . | docker import \
		--change 'ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin GOPATH=/go GOTOOLCHAIN=local' \
		--change "ENV GOPROXY=$(go env GOPROXY) GONOSUMDB=$(go env GONOSUMDB) GOSUMDB=$(go env GOSUMDB)" - "$GO_IMAGE" >/dev/null
	docker tag "$GO_IMAGE" "$TOOLS_BASE_IMAGE"
}

served() { "$COMPOSE" --project-directory "$work/lab" logs --no-log-prefix client | grep '^Success!!!$'; }
in_lab() { (cd "$work/lab" && "$@"); }
no_images() { [ -z "$(docker image ls --quiet --filter "reference=spiffe-lab/*:$LAB_TAG")" ]; }
page() { curl --silent --fail --noproxy '*' "$(grep -o 'http://[^ ]*' "$work/console.txt")" | grep "$COMPOSE_PROJECT_NAME"; }
# shows_the_console: succeeds if the console's page has the lab's name.
shows_the_console() {
	local status=0
	console_port=$((30000 + RANDOM % 10000))
	set -m # starts a process group, so that make and its child processes can be ended together
	in_lab make console OPEN=0 PORT="$console_port" >"$work/console.txt" &
	set +m
	wait_until 30 "the console answers" page || status=1
	kill -TERM -- "-$!"
	wait $! || true
	return "$status"
}
start_bare() { in_lab docker compose up --detach && wait_until 60 "the client is served" served; }

say "a registry on $address, and stubs of the official images"
go -C "$LAB_DIR/scripts/dev/tools/registry" build -o "$work/crane" github.com/google/go-containerregistry/cmd/crane
mkdir "$work/blobs"
"$work/crane" registry serve --address "$address" --disk "$work/blobs" >"$work/registry.log" 2>&1 &
registry=$!
import_stub
"$COMPOSE" -f "$LAB_DIR/scripts/dev/tools/registry/compose.yaml" build >"$work/build.log" 2>&1 || { cat "$work/build.log" && die "the stubs of SPIRE could not be built"; }
for image in "${stubs[@]}"; do docker push --quiet "$image" >/dev/null; done
docker image rm "${stubs[@]}" >/dev/null

mkdir "$work/lab"
(cd "$LAB_DIR" && git ls-files -z | xargs -0 tar -cf -) | tar -C "$work/lab" -xf -
test_that "the engine has none of the lab's images" no_images
test_that "docker compose up alone builds the lab, and the client is served" start_bare
test_that "docker compose down removes the lab" in_lab docker compose down --volumes
docker image ls --filter "reference=spiffe-lab/*:$LAB_TAG" --format '{{.Repository}}:{{.Tag}}' | xargs docker image rm >/dev/null
docker image rm "${stubs[@]}" >/dev/null 2>&1 || true
test_that "make up pulls and builds the images, and the client is served" in_lab make up
test_that "make up has compiled nothing on this machine" test ! -e "$work/lab/.cache/prebuilt"
test_that "make scenario-bad-id passes" in_lab make scenario-bad-id
test_that "make scenario-no-certificate passes, which needs the tools" in_lab make scenario-no-certificate
test_that "make console shows the lab, and nothing is compiled" shows_the_console
test_that "make break builds the wrong server of fault 14 in the Go image" in_lab make break NAME=14
test_that "make reset removes the wrong server" in_lab make reset
tests_end
