#!/usr/bin/env bash
# Tests the lab on the container engines that a Debian machine can have, one after the other. Each runs in separate
# namespaces beside the machine's own engine (engines/sandbox.sh), with the images that the machine's own engine has
# built. ENGINES="moby podman" selects engines. The checks and scenarios run as in `make test`: QUICK=1 runs few of
# them, ONLY="bad-id health" runs only these two. engines/left-out.txt lists the tests that are left out. An engine that
# cannot run here is named with the reason; in CI that is a failure. Ends with "N passed, N failed".
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"
# shellcheck source=lib/sandbox.sh
. "$LAB_DIR/scripts/dev/lib/sandbox.sh"
# shellcheck source=lib/tests.sh
. "$LAB_DIR/scripts/dev/lib/tests.sh"

every='moby userns rootless podman podman-rootless'
moby=$CACHE_DIR/moby

# go_tools FOLDER MODULE:PACKAGE...: builds the tools of scripts/dev/tools/FOLDER. For each MODULE, it sets the variable
# Version of PACKAGE to the module's version. The module github.com/docker/cli has no go.mod with a language version, so
# the build sets the language version.
go_tools() {
	local module links='-s -w' version
	cd "$LAB_DIR/scripts/dev/tools/$1"
	for module in "${@:2}"; do
		version=$(go list -m -f '{{.Version}}' "${module%%:*}") || return 1
		links="$links -X ${module/://}.Version=${version%+incompatible}"
	done
	nice go build -trimpath -tags seccomp -ldflags "$links" -gcflags=github.com/docker/cli/cmd/docker=-lang=go1.26 -o "$moby/" tool
}

# An engine and its clients need different versions of a shared module, so they are built from two modules.
compile_moby() (
	go_tools engine github.com/moby/moby/v2:dockerversion github.com/containerd/containerd/v2:version &&
		go_tools engine/clients github.com/docker/cli:cli/version github.com/docker/compose/v5:internal github.com/docker/buildx:version &&
		mv "$moby/cmd" "$moby/docker-compose" && mv "$moby/buildx" "$moby/docker-buildx"
)

build_moby() {
	local made started=$SECONDS
	need_go "a current Docker Engine is to be built" 'choose other engines: ENGINES="podman"'
	made=$(cd "$LAB_DIR/scripts/dev/tools/engine" && { go env GOVERSION && cat go.mod go.sum clients/go.mod clients/go.sum; } | git hash-object --stdin)
	[ "$(cat "$moby/made-from" 2>/dev/null)" != "$made" ] || return 0
	pkg-config --exists libseccomp || die "libseccomp's headers were not found; without them runc refuses the engine's seccomp profile" "on Debian: apt-get install gcc libc6-dev pkg-config libseccomp-dev"
	say "building a current Docker Engine from its Go modules: about 6 minutes on 2 cores, once"
	mkdir -p "$moby"
	with_signs_of_life "compiling a current Docker Engine" compile_moby ||
		die "a current Docker Engine could not be built" "does this machine reach a Go module mirror? (cd scripts/dev/tools/engine && go mod download)"
	say "$made" >"$moby/made-from"
	say "built the Docker Engine ($((SECONDS - started)) s)"
}

cleanup() {
	local status=$?
	trap '' INT TERM
	end_sandbox "$work" "$GROUP" || status=1
	exit "$status"
}

# on ENGINE: runs the tests in a sandbox whose folder has a copy of the lab.
on() {
	local ok=0 bad=1
	export ENGINE=$1 SANDBOX=$work/$1
	say "${bold}$ENGINE${plain}"
	mkdir -p "$SANDBOX/lab/.cache" "$SANDBOX/config/cli-plugins"
	(cd "$LAB_DIR" && git ls-files -z | xargs -0 tar -cf -) | tar -C "$SANDBOX/lab" -xf -
	[ ! -e "$CACHE_DIR/prebuilt" ] || cp -R "$CACHE_DIR/prebuilt-images" "$CACHE_DIR/prebuilt" "$SANDBOX/lab/.cache/"
	in_sandbox bash "$LAB_DIR/scripts/dev/engines/sandbox.sh" || true
	# A sandbox without a file of counts has failed.
	[ ! -f "$SANDBOX/counts" ] || read -r ok bad <"$SANDBOX/counts"
	passed=$((passed + ok)) failed=$((failed + bad))
	end_sandbox "$SANDBOX" "$GROUP"
}

engines=${ENGINES:-$every}
for engine in $engines; do
	case " $every " in *" $engine "*) ;; *) die "ENGINES names \"$engine\", and there is no such engine" "it may name $every" ;; esac
done
names=$(bash "$LAB_DIR/scripts/dev/test.sh" names)
for test in ${ONLY:-}; do
	grep -qx "$test" <<<"$names" || die "ONLY names \"$test\", and there is no such test" "it may name $(xargs <<<"$names")"
done
need_own_namespaces "make engines"
part preflight
ensure_compose
part build-tools
case " $engines " in *' moby '*) build_moby ;; esac

work=$(mktemp -d "${TMPDIR:-/var/tmp}/spiffe-lab-engines.XXXXXX")
chmod 711 "$work" # an engine's own users need access to folders in it
engine=$(docker info --format '{{.DockerRootDir}} {{.Driver}}')
export MOBY=$moby PLUGIN=$COMPOSE IMAGES=$work/images.tar GROUP=/spiffe-lab-engines-$$ ENGINE_ROOT=${engine% *} DRIVER=${engine#* }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
compose --profile '*' config --images | sort -u | xargs docker save --output "$IMAGES"
for engine in $engines; do on "$engine"; done
tests_end
