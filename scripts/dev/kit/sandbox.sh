#!/usr/bin/env bash
# Runs inside the sandbox of test.sh, as the first process of its namespaces. When it ends, all other processes end,
# too. Ends with "N passed, N failed".
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"
# shellcheck source=../lib/sandbox.sh
. "$LAB_DIR/scripts/dev/lib/sandbox.sh"
# shellcheck source=../lib/tests.sh
. "$LAB_DIR/scripts/dev/lib/tests.sh"

enter_sandbox
tests_begin
file=$(echo "$SANDBOX"/kit/*.tar.gz)
kit=$(basename "$file" .tar.gz)

# PATH gets all programs of Debian except Go, git, make and docker-compose.
mkdir "$SANDBOX/bin" "$SANDBOX/home" "$SANDBOX/docker-alone"
for directory in /usr/sbin /usr/bin /sbin /bin /usr/libexec/docker; do
	for program in "$directory"/*; do
		case ${program##*/} in go | gofmt | git | make | gmake | docker-compose) ;; *) ln -sf "$program" "$SANDBOX/bin/" ;; esac
	done
done
ln -s "$(command -v docker)" "$SANDBOX/docker-alone/docker"
export PATH=$SANDBOX/bin HOME=$SANDBOX/home DOCKER_HOST=unix://$SANDBOX/docker.sock
unset DOCKER_CONFIG DOCKER_CONTEXT LAB_TAG COMPOSE_PROJECT_NAME SPIRE_VERSION SPIRE_REGISTRY GO_IMAGE TOOLS_BASE_IMAGE WORKLOAD_IMAGE TOOLS_IMAGE
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy GOPROXY
start_dockerd --storage-driver "$DRIVER"
engine_answers || { tail -n 5 "$SANDBOX/engine.log" >&2 && die "the second engine does not start"; }

no_images() { [ -z "$(docker image ls --quiet)" ]; }
no_way_out() { ! ip route show default | grep . && ! ip -6 route show default | grep .; }
not_here() { ! command -v "$1"; }
fresh() { rm -rf "${SANDBOX:?}/desk" && mkdir "$SANDBOX/desk"; }
unpack() { tar -C "$SANDBOX/desk" -xf "$1"; }
start() { PATH=$SANDBOX/docker-alone "$SANDBOX/desk/$kit/start" >"$SANDBOX/said" && cat "$SANDBOX/said"; }
lab() { "$SANDBOX/desk/$kit/lab/scripts/lab" "$@"; }
with_docker_alone() { PATH=$SANDBOX/docker-alone "$SANDBOX/desk/$kit/lab/scripts/lab" "$@"; }

# refused WORDS: succeeds if ./start prints an error that begins with WORDS, then a hint, and loads nothing.
refused() {
	local said status=0
	said=$(PATH=$SANDBOX/docker-alone "$SANDBOX/desk/$kit/start" 2>&1) || status=$?
	say "$said"
	[ "$status" -eq 1 ] && [[ $(sed -n 1p <<<"$said") = "error: $1"* ]] && [[ $(sed -n 2p <<<"$said") = "hint: "* ]] && no_images
}

test_that "the engine has no image" no_images
test_that "no connection leaves the machine" no_way_out
for tool in go git make; do test_that "there is no $tool" not_here "$tool"; done

fresh
head -c $(($(wc -c <"$file") * 3 / 4)) "$file" >"$SANDBOX/short.tar"
unpack "$SANDBOX/short.tar" 2>/dev/null || true
test_that "a file that was cut off is refused in one line, and nothing is loaded" refused "images.tar.gz is damaged or missing"

fresh
unpack "$file"
printf x | dd of="$SANDBOX/desk/$kit/images.tar.gz" bs=1 seek=5000000 conv=notrunc 2>/dev/null
test_that "a corrupt file is refused in one line, and nothing is loaded" refused "images.tar.gz is damaged or missing"

fresh
unpack "$file"
say s390x >"$SANDBOX/desk/$kit/architecture.txt"
sed -i "s/^[0-9a-f]*\( .*architecture.txt\)/$(sha256sum <"$SANDBOX/desk/$kit/architecture.txt" | cut -d ' ' -f 1) \1/; s/  */  /" "$SANDBOX/desk/$kit/SHA256SUMS"
test_that "a kit for a different architecture is refused in one line, and nothing is loaded" refused "this kit is for linux/s390x, and the engine runs on linux/"

fresh
started=$SECONDS
test_that "the kit unpacks" unpack "$file"
test_that "./start ends with Success!!!" start
took=$((SECONDS - started))
test_that "the client is served" grep -E '^the client is served .*Success!!!$' "$SANDBOX/said"
test_that "from the file to Success!!! in $took s, of at most 60" test "$took" -le 60
test_that "the program lab finds nothing to build" lab part build
test_that "bad-id passes with only docker in PATH" with_docker_alone scenario bad-id
test_that "no-certificate passes, which needs the tools" lab scenario no-certificate
test_that "the doctor has no finding" lab doctor
test_that "./start again changes nothing" start
test_that "the lab is removed" lab down

# Now the commands of START.txt are tested, as a learner types them, on an engine without images.
xargs docker image rm <"$SANDBOX/desk/$kit/images.txt" >/dev/null
test_that "the kit's images are removed" no_images
by_hand() { (cd "$SANDBOX/desk/$kit" && eval "$(sed -n 's/^    \(docker .*\)/\1/p' START.txt | head -n 2)"); }
client_says() { docker logs "$(docker ps --quiet --filter label=com.docker.compose.service=client)" 2>/dev/null | grep '^Success!!!$'; }
served_by_hand() { by_hand && wait_until 60 "the client is served" client_says; }
test_that "the client is served after the two commands of START.txt" served_by_hand
test_that "the lab is removed again" lab down
tests_end
