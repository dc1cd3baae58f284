# Sourced after host.sh by what runs an engine or a cluster of its own on this machine, and leaves nothing of it.
# shellcheck shell=bash

# control_groups_gone GROUP: removes it, with those below, from every hierarchy; possible once its processes have ended.
control_groups_gone() {
	local group
	for group in /sys/fs/cgroup/*"$1" "/sys/fs/cgroup$1"; do
		[ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || return 1
	done
}

# need_own_namespaces WHAT: Linux, and root.
need_own_namespaces() {
	[ "$(uname -s)" = Linux ] || die "$1 needs Linux"
	[ "$(id -u)" -eq 0 ] || die "$1 needs root, for its namespaces" "sudo"
}

# end_sandbox FOLDER GROUP: ends what this shell has started in namespaces of its own, and removes its folder.
# Everything in the namespaces ends with its first process, and the mounts and networks with it.
end_sandbox() {
	local job status=0
	for job in $(jobs -pr); do kill -KILL "$job"; done
	wait
	wait_until 60 "the control groups are removed" control_groups_gone "$2" || status=1
	rm -rf --one-file-system "$1" || status=1
	return "$status"
}

# let_go_of ENGINE_ROOT: in a mount namespace of its own: copies of what the machine's engine has mounted
# would keep that in use.
let_go_of() {
	local place
	awk -v root="$1" 'index($5, root "/") == 1 || index($5, "/run/docker/") == 1 {print $5}' /proc/self/mountinfo |
		while read -r place; do umount --lazy "$place" 2>/dev/null || true; done # one may have gone with another
}

# in_sandbox COMMAND...: the first process of namespaces of its own, with which all in them ends. In the
# background, so that a signal is heard at once.
in_sandbox() {
	unshare --mount --propagation private --uts --ipc --net --pid --fork --kill-child --mount-proc "$@" <&0 &
	wait $!
}

# enter_sandbox: what engines keep outside their own folders ends with it.
enter_sandbox() {
	let_go_of "$ENGINE_ROOT"
	mount -t tmpfs tmpfs /run
	mkdir -m 1777 /run/lock
	ip link set lo up
}

# make_control_groups GROUP: in each hierarchy. A new group of cpuset has no processor, and takes in no process.
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

# start_dockerd ARG...: in a sandbox; $SANDBOX has its files, and its control groups are below $GROUP.
dockerd=(dockerd)
start_dockerd() {
	say '{}' >"$SANDBOX/daemon.json" # this machine's own settings are not for it
	# shellcheck disable=SC2153 # the script that makes the sandbox exports them
	"${dockerd[@]}" --config-file "$SANDBOX/daemon.json" --data-root "$SANDBOX/engine" --exec-root "$SANDBOX/exec" --pidfile "$SANDBOX/pid" --host "$DOCKER_HOST" \
		--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$GROUP" "$@" >"$SANDBOX/engine.log" 2>&1 </dev/null &
}

engine_answers() { wait_until 60 "the second engine answers" docker info; }
