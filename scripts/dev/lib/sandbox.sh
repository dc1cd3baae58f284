# Sourced after host.sh by scripts that run a separate engine or cluster on this machine, and remove it completely.
# shellcheck shell=bash

# control_groups_gone GROUP: removes a cgroup, with those below it, from every hierarchy. A cgroup can be removed once
# its processes have ended.
control_groups_gone() {
	local group
	for group in /sys/fs/cgroup/*"$1" "/sys/fs/cgroup$1"; do
		[ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || return 1
	done
}

# need_own_namespaces WHAT: checks that this is Linux, and that the user is root.
need_own_namespaces() {
	[ "$(uname -s)" = Linux ] || die "$1 needs Linux"
	[ "$(id -u)" -eq 0 ] || die "$1 needs root, because the test creates namespaces" "use sudo"
}

# end_sandbox FOLDER GROUP: ends what this shell has started in separate namespaces, and removes FOLDER and the cgroup
# GROUP. All processes, mounts and networks of the namespaces end with their first process.
end_sandbox() {
	local job status=0
	for job in $(jobs -pr); do kill -KILL "$job"; done
	wait
	wait_until 60 "the control groups are removed" control_groups_gone "$2" || status=1
	rm -rf --one-file-system "$1" || status=1
	return "$status"
}

# let_go_of ENGINE_ROOT: unmounts the copies that this mount namespace has of the engine's mounts. The copies would keep
# the mounts of the machine's engine in use.
let_go_of() {
	local place
	awk -v root="$1" 'index($5, root "/") == 1 || index($5, "/run/docker/") == 1 {print $5}' /proc/self/mountinfo |
		while read -r place; do umount --lazy "$place" 2>/dev/null || true; done # it may have been unmounted with another mount
}

# in_sandbox COMMAND...: runs the command as the first process of new namespaces, which end with this process. The
# command runs in the background, so that a signal is handled at once.
in_sandbox() {
	unshare --mount --propagation private --uts --ipc --net --pid --fork --kill-child --mount-proc "$@" <&0 &
	wait $!
}

# enter_sandbox: prepares the sandbox, so that files that an engine writes outside its own folder are deleted with the
# sandbox.
enter_sandbox() {
	let_go_of "$ENGINE_ROOT"
	mount -t tmpfs tmpfs /run
	mkdir -m 1777 /run/lock
	ip link set lo up
}

# make_control_groups GROUP: creates the cgroup GROUP in each hierarchy. A new cgroup of cpuset has no processor, and no
# process can join it. So this function gives it the processors of its parent.
make_control_groups() {
	local hierarchy file
	if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
		mkdir "/sys/fs/cgroup$1"
		return
	fi
	for hierarchy in /sys/fs/cgroup/*/; do
		mkdir "${hierarchy%/}$1"
		for file in cpuset.cpus cpuset.mems; do
			[ ! -f "$hierarchy$file" ] || cat "$hierarchy$file" >"${hierarchy%/}$1/$file"
		done
	done
}

# start_dockerd ARG...: starts dockerd in a sandbox, with its files in $SANDBOX, and its cgroups below $GROUP.
dockerd=(dockerd)
start_dockerd() {
	say '{}' >"$SANDBOX/daemon.json" # replaces this machine's own settings
	# shellcheck disable=SC2153 # the script that makes the sandbox exports these variables
	"${dockerd[@]}" --config-file "$SANDBOX/daemon.json" --data-root "$SANDBOX/engine" --exec-root "$SANDBOX/exec" --pidfile "$SANDBOX/pid" --host "$DOCKER_HOST" \
		--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$GROUP" "$@" >"$SANDBOX/engine.log" 2>&1 </dev/null &
}

engine_answers() { wait_until 60 "the second engine answers" docker info; }
