#!/usr/bin/env bash
# The kit, where a learner opens it: an engine that has none of its images, no way out of the machine, no Go,
# make or git. Packs it, makes such a room, and tests it there (room.sh). Needs Linux, root and dockerd.
set -euo pipefail
# shellcheck source=../../lib/host.sh
. "$(dirname "$0")/../../lib/host.sh"
# shellcheck source=../lib/apart.sh
. "$LAB_DIR/scripts/dev/lib/apart.sh"

cleanup() {
	local status=$?
	trap '' INT TERM
	end_apart "$room" "$group" || status=1
	exit "$status"
}

need_own_namespaces "the kit's test"
need_engine
command -v dockerd >/dev/null 2>&1 || die "dockerd was not found" "on Debian: apt-get install docker.io"
room=$(mktemp -d "${TMPDIR:-/var/tmp}/spiffe-lab-room.XXXXXX")
group=/spiffe-lab-kit-$$
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
KIT=$room/kit bash "$LAB_DIR/scripts/kit.sh"
engine=$(docker info --format '{{.DockerRootDir}} {{.Driver}}')
export ROOM=$room GROUP=$group ENGINE_ROOT=${engine% *} DRIVER=${engine#* }
in_a_room bash "$LAB_DIR/scripts/dev/kit/room.sh"
