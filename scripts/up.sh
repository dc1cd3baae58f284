#!/usr/bin/env bash
# Starts the lab and waits until the client has been served. Chooses the images by itself:
# those that are here, else the official ones, else it builds all of them.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

ensure_compose

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# The programs' image is built anew only if their sources are newer than it.
build_services() {
	local made
	made=$(cd "$LAB_DIR" && find go.mod go.sum services spire/host -type f -print0 | sort -z | xargs -0 git hash-object | git hash-object --stdin)
	if has_image "$WORKLOAD_IMAGE" && has_image "$BOOTSTRAP_IMAGE" &&
		[ "$(cat "$CACHE_DIR/services-built" 2>/dev/null)" = "$made" ]; then
		return
	fi
	say "building the lab's two programs with $GO_IMAGE: about a minute the first time"
	compose build --quiet node bootstrap || return 1
	! has_image "$TOOLS_IMAGE" || compose build --quiet tools || return 1
	mkdir -p "$CACHE_DIR"
	say "$made" >"$CACHE_DIR/services-built"
}

# The image of the tools is built when a scenario first needs it, and kept up to date from then on.
build_all() {
	if has_image "$TOOLS_IMAGE"; then
		"$LAB_DIR/scripts/images.sh"
	else
		"$LAB_DIR/scripts/images.sh" lab
	fi
}

choose_images() {
	if [ -f "$LAB_DIR/compose.override.yaml" ]; then
		build_all
		return
	fi
	local official="$SPIRE_REGISTRY/spire-server:$SPIRE_VERSION $SPIRE_REGISTRY/spire-agent:$SPIRE_VERSION" image
	for image in $official; do
		if has_image "$image"; then
			continue
		fi
		say "pulling $image"
		if ! docker pull --quiet "$image"; then
			say "$image cannot be pulled: building every image from Go modules instead"
			build_all
			return
		fi
	done
	if ! build_services; then
		say "the programs cannot be built with $GO_IMAGE: building every image from Go modules instead"
		build_all
	fi
}

choose_images
started=$SECONDS
if ! output=$(compose up --detach --quiet-pull --remove-orphans 2>&1); then
	say "$output" >&2
	compose logs bootstrap >&2 || true
	die "the lab did not start" "the lines above say why; make down removes what is half there"
fi
if ! wait_until 60 "the client's latest request was served" client_served; then
	compose logs --tail 20 >&2
	die "the lab started, but the client is not served: $(compose logs --no-log-prefix --tail 1 client)" "the lines above are the last of every log"
fi
compose logs --no-log-prefix bootstrap | sed 's/^/  /' | tail -n 12
say "the client is served ($((SECONDS - started)) s): $(compose logs --no-log-prefix --tail 1 client)"
compose ps --format 'table {{.Service}}\t{{.Status}}'
cat <<END

Try next:
  make scenario-bad-id    run the client as the wrong user, and see who refuses
  make scenarios          all that can be broken on purpose
  make svid               the identity that each user gets
  make logs               what the two programs say
  make down               remove everything
END
