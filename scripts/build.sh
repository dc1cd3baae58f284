#!/usr/bin/env bash
# Brings the lab's images up to date with its sources, from the official images where these are here
# or can be pulled, else from Go modules (scripts/dev/images.sh). Does nothing where nothing has changed.
#
#   build.sh          what `docker compose up` starts, and the tools' image if there is one
#   build.sh tools    the tools' image too, which only scenarios need
#   build.sh adopt    takes the images that are here for built from these sources: a kit brought them
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

ensure_compose
stamp=$CACHE_DIR/built-$LAB_TAG
if [ "${1:-}" = tools ] || has_image "$TOOLS_IMAGE"; then
	profile=(--profile extras)
else
	profile=()
fi

# sources: changes with every file that goes into an image.
sources() {
	(cd "$LAB_DIR" && find go.mod go.sum .env .dockerignore compose.yaml scripts/scenarios/extras.yaml services spire scripts/dev/tools/shell scripts/dev/images.sh scripts/dev/tools/spire -type f -print |
		LC_ALL=C sort | while IFS= read -r file; do cksum "$file"; done | cksum)
}

# id_of IMAGE: none, where it is not here or made for another machine than the engine's.
id_of() {
	local id architecture
	# Of an image that is missing the engine prints an empty line, and fails.
	read -r id architecture < <(docker image inspect --format '{{.Id}} {{.Architecture}}' "$1" 2>/dev/null) || true
	[ "${architecture:-}" = "$ENGINE_ARCH" ] || id=none
	say "$id"
}

# images: the name and the ID of each image.
images() {
	compose ${profile[@]+"${profile[@]}"} config --images | sort -u | while read -r image; do say "$image $(id_of "$image")"; done
}

# pull IMAGE: is it here, or can it be had? Else $reason has what the registry said.
reason=''
pull() {
	local said=$CACHE_DIR/pull.log
	[ "$(id_of "$1")" = none ] || return 0
	say "pulling $1"
	if with_signs_of_life "pulling $1" into "$said" docker pull "$1"; then return; fi
	reason="$1 cannot be pulled: $(tail -n 1 "$said")"
	return 1
}

# remedy: what helps against $reason.
remedy() {
	case $reason in
	*toomanyrequests* | *'rate limit'*) say "the registry counts what is pulled from this network's address: docker login gives you a limit of your own, or wait six hours" ;;
	*'getting credentials'* | *docker-credential*) say "a credential helper that Docker's config.json names does not work: take credsStore and credHelpers out of ${DOCKER_CONFIG:-${HOME:-}/.docker}/config.json" ;;
	*x509* | *certificate*) say "something between here and the registry has a certificate that the engine does not trust: give the room's CA to Docker" ;;
	*unauthorized* | *denied* | *'not found'* | *'manifest unknown'*) say "does this registry have it? .env and your environment name it: SPIRE_REGISTRY, SPIRE_VERSION, GO_IMAGE, TOOLS_BASE_IMAGE" ;;
	*'no space left'*) say "the engine's disk is full: docker system df shows by what" ;;
	*'no matching manifest'*) say "there is no image for this machine's architecture" ;;
	*) say "let the engine reach the registry: network, VPN, or the proxy in Docker's settings" ;;
	esac
}

can_pull_all() {
	pull "$SPIRE_REGISTRY/spire-server:$SPIRE_VERSION" &&
		pull "$SPIRE_REGISTRY/spire-agent:$SPIRE_VERSION" &&
		pull "$GO_IMAGE" &&
		{ [ -z "${profile[*]-}" ] || pull "$TOOLS_BASE_IMAGE"; }
}

# build_all: on the route that was taken before, or the first that is open.
build_all() {
	if [ ! -e "$CACHE_DIR/prebuilt" ]; then
		if can_pull_all; then
			say "building the lab's images with $GO_IMAGE: about a minute the first time"
			build_images ${profile[@]+"${profile[@]}"} build ||
				die "the lab's images could not be built with $GO_IMAGE" "the lines above say why; make images builds them from Go modules instead"
			return
		fi
		command -v go >/dev/null 2>&1 ||
			die "$reason" "$(remedy); or bring the images with docker load; or install Go 1.26 (https://go.dev/dl/), with which all of them can be built from a Go module mirror"
		say "$reason"
		say "building every image from Go modules instead"
	fi
	if [ -n "${profile[*]-}" ]; then
		bash "$LAB_DIR/scripts/dev/images.sh"
	else
		bash "$LAB_DIR/scripts/dev/images.sh" node spire-server bootstrap spire-agent
	fi
}

need_writable
before=$(images 2>"$CACHE_DIR/config.log") ||
	die "Compose does not understand compose.yaml: $(tail -n 1 "$CACHE_DIR/config.log")" "git diff compose.yaml scripts/scenarios shows what was changed"
sources=$(sources)
if [ "$(cat "$stamp" 2>/dev/null)" = "$sources
$before" ] && [[ $before != *" none"* ]]; then
	exit 0
fi
if [ "${1:-}" != adopt ]; then
	build_all
elif [[ $before = *" none"* ]]; then
	die "not all images are here" "docker load --input images.tar.gz, in the kit's folder"
fi
after=$(images)
changed=$(comm -13 <(say "$before") <(say "$after") | sed 's/^spiffe-lab\/\([^:]*\):.*/\1/' | xargs)
[ -z "$changed" ] || say "built anew: ${changed// /, }"
say "$sources
$after" >"$stamp"
