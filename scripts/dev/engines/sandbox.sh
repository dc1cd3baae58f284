#!/usr/bin/env bash
# Runs inside the sandbox of one engine of engines.sh, as the first process of its namespaces. When it ends, all other
# processes end, too.
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"
# shellcheck source=../lib/sandbox.sh
. "$LAB_DIR/scripts/dev/lib/sandbox.sh"
# shellcheck source=../lib/tests.sh
. "$LAB_DIR/scripts/dev/lib/tests.sh"

few='happy-path bad-id unregistered rotation two-hosts federation no-certificate doctor'

# not_possible REASON: ends the test of this engine, which then counts as neither passed nor failed. In CI, which has
# everything that is needed, the engine counts as failed.
not_possible() {
	say "not possible here: $ENGINE: $1"
	[ "${CI:-}" = true ] || say "0 0" >"$SANDBOX/counts"
	exit 0
}

need() {
	local program
	for program in "$@"; do command -v "$program" >/dev/null 2>&1 || not_possible "$program was not found (on Debian: apt-get install docker.io podman crun netavark aardvark-dns uidmap rootlesskit slirp4netns)"; done
}

# as_user COMMAND...: runs a command as a user that exists only in this sandbox. This user has further user IDs for its
# containers.
as_user() { setpriv --reuid 5555 --regid 5555 --clear-groups env -i PATH="$PATH" HOME="$SANDBOX/home" XDG_RUNTIME_DIR=/run/user/5555 "$@"; }

add_user() {
	local device
	need newuidmap slirp4netns setpriv
	say "rootless:x:5555:5555::$SANDBOX/home:/bin/sh" >>/etc/passwd
	say "rootless:x:5555:" >>/etc/group
	say "rootless:555500000:65536" | tee -a /etc/subuid >>/etc/subgid
	mkdir -p "$SANDBOX/home" /run/user/5555
	chown 5555:5555 "$SANDBOX" "$SANDBOX/home" /run/user/5555
	# On some machines only root can use these devices.
	for device in /dev/fuse /dev/net/tun; do
		[ -c "$device" ] || not_possible "there is no $device"
		cp -a "$device" "$SANDBOX/${device##*/}"
		chmod 666 "$SANDBOX/${device##*/}"
		mount --bind "$SANDBOX/${device##*/}" "$device"
	done
}

start_moby() {
	PATH=$MOBY:$PATH
	PLUGIN=$MOBY/docker-compose
	ln -s "$MOBY/docker-buildx" "$DOCKER_CONFIG/cli-plugins/"
	start_dockerd
}

start_userns() {
	need dockerd useradd
	start_dockerd --storage-driver "$DRIVER" --userns-remap default
}

start_rootless() {
	local script
	need dockerd rootlesskit
	script=$(command -v dockerd-rootless.sh || ls /usr/share/docker.io/contrib/dockerd-rootless.sh 2>/dev/null) || not_possible "dockerd-rootless.sh was not found"
	add_user
	dockerd=(as_user "$script")
	start_dockerd
}

# podman_service RUNROOT PREFIX...: starts Podman's service. Podman accepts no RUNROOT of more than 50 characters. The
# service needs crun, because with runc Podman looks for a container's cgroups at their path on the machine, which
# differs from the path in this sandbox.
podman_service() {
	need podman crun
	"${@:2}" podman --root "$SANDBOX/engine" --runroot "$1" --cgroup-manager cgroupfs --events-backend file \
		system service --time 0 "$DOCKER_HOST" >"$SANDBOX/engine.log" 2>&1 </dev/null &
}

# Podman always creates its cgroups at the root of the hierarchy, so a group of this sandbox must be the root.
start_podman() {
	local group
	make_control_groups "$GROUP"
	for group in /sys/fs/cgroup/*"$GROUP" "/sys/fs/cgroup$GROUP"; do
		[ ! -d "$group" ] || mount --bind "$group" "${group%"$GROUP"}"
	done
	podman_service /run/engine
}

start_podman_rootless() {
	add_user
	umount /sys/fs/cgroup/unified 2>/dev/null || true # beside cgroup v1, crun does not let a user use cgroup v2
	podman_service /run/user/5555/engine as_user
}

lab() { (cd "$SANDBOX/lab" && scripts/lab "$@"); }
load() { docker load --input "$IMAGES" && "$SANDBOX/lab/scripts/lab" part adopt; }
build() { (cd "$SANDBOX/lab" && bash scripts/dev/images.sh && scripts/lab part adopt); }
no_warning() { ! grep -i warn "$SANDBOX/lab/.cache/build.log"; }

# chosen: prints the checks and scenarios to run, one on each line.
chosen() {
	if [ -n "${ONLY:-}" ]; then
		tr ' ' '\n' <<<"$ONLY"
	elif [ -n "${QUICK:-}" ]; then
		tr ' ' '\n' <<<"$few"
	else
		bash "$SANDBOX/lab/scripts/dev/test.sh" names | grep -vx unit
	fi
}

# leave_out: prints which of $tests are left out, and why, and sets $tests to the remaining tests.
leave_out() {
	local on names reason left cgroup
	cgroup=$(docker info --format '{{.CgroupVersion}}')
	while IFS=: read -r on names reason; do
		case " $on " in *' all '* | *" $ENGINE "* | *" $ENGINE/cgroup-v$cgroup "*) ;; *) continue ;; esac
		left=$(grep -xF "$(tr ' ' '\n' <<<"${names# }")" <<<"$tests" | xargs) || true
		[ -n "$left" ] || continue
		say "left out: $left:$reason"
		tests=$(grep -vxF "$(tr ' ' '\n' <<<"$left")" <<<"$tests") || true
	done < <(grep -v '^#' "$LAB_DIR/scripts/dev/engines/left-out.txt")
}

# suite: runs `make test` for $tests, and sets $bad to the failed ones.
suite() {
	local test
	ONLY=$(xargs <<<"$tests") bash "$SANDBOX/lab/scripts/dev/test.sh" >"$SANDBOX/suite" || true
	sed '$d; s/^/  /' "$SANDBOX/suite"
	bad=$(for test in $tests; do grep -q "^ok   $test " "$SANDBOX/suite" || say "$test"; done)
}

enter_sandbox
cp -a /etc "$SANDBOX/etc"
mount --bind "$SANDBOX/etc" /etc # an engine adds users to files in /etc
export DOCKER_HOST=unix://$SANDBOX/docker.sock DOCKER_CONFIG=$SANDBOX/config
unset DOCKER_CONTEXT COMPOSE_PROJECT_NAME
"start_${ENGINE//-/_}"
ln -s "$PLUGIN" "$DOCKER_CONFIG/cli-plugins/docker-compose"
engine_answers || not_possible "$(tail -n 1 "$SANDBOX/engine.log")"
say "$(docker version --format '{{range .Server.Components}}{{.Name}} {{.Version}}, {{end}}')Compose $("$PLUGIN" version --short), $(docker info --format 'storage {{.Driver}}, cgroup v{{.CgroupVersion}}')"

tests_begin
test_that "the images load" load
if [ "$ENGINE" = moby ] && [ -e "$SANDBOX/lab/.cache/prebuilt" ]; then
	test_that "docker compose build builds them" build
	test_that "docker compose build prints no warning" no_warning
fi
test_that "make up" lab up
test_that "make up again" lab up
test_that "make down" lab down
tests=$(chosen)
leave_out
rm "$SANDBOX"/lab/scripts/scenarios/*.md # the lessons quote messages and selectors that only Docker has
suite
all=$tests
if [ -n "$bad" ] && [ -n "$all" ]; then
	say "again, one at a time: $(xargs <<<"$bad")"
	tests=$bad LABS=1 suite
fi
all=$(wc -w <<<"$all") bad=$(wc -w <<<"$bad")
passed=$((passed + all - bad)) failed=$((failed + bad))
say "$ENGINE: $(tests_end) ($SECONDS s)"
say "$passed $failed" >"$SANDBOX/counts"
