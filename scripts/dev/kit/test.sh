#!/usr/bin/env bash
# Tests the kit on a machine like a learner's: an engine without the kit's images, no network, and no Go, make or git.
# Packs the kit, and tests it in a sandbox that simulates this machine (sandbox.sh). Needs Linux, root and dockerd.
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"
# shellcheck source=../lib/sandbox.sh
. "$LAB_DIR/scripts/dev/lib/sandbox.sh"

cleanup() {
	local status=$?
	trap '' INT TERM
	end_sandbox "$sandbox" "$group" || status=1
	exit "$status"
}

need_own_namespaces "the kit's test"
need_engine
command -v dockerd >/dev/null 2>&1 || die "dockerd was not found" "on Debian: apt-get install docker.io"
sandbox=$(mktemp -d "${TMPDIR:-/var/tmp}/spiffe-lab-sandbox.XXXXXX")
group=/spiffe-lab-kit-$$
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$LAB_DIR/scripts/lab" kit --to "$sandbox/kit"
engine=$(docker info --format '{{.DockerRootDir}} {{.Driver}}')
export SANDBOX=$sandbox GROUP=$group ENGINE_ROOT=${engine% *} DRIVER=${engine#* }
in_sandbox bash "$LAB_DIR/scripts/dev/kit/sandbox.sh"
