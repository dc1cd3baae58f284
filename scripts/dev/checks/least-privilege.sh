#!/usr/bin/env bash
# every container must have only the privileges that it needs
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin

services=$(compose config --services)
extras=$(compose --profile '*' config --services | grep -vxF "$services")
passwd=$LAB_DIR/spire/host/passwd
node=$(container_of node)

# privileges SERVICE: all that the engine lets its container do, one a line.
privileges() {
	docker inspect --format "privileged: {{.HostConfig.Privileged}}
read-only root file system: {{.HostConfig.ReadonlyRootfs}}
dropped capabilities: {{.HostConfig.CapDrop}}
added capabilities: {{.HostConfig.CapAdd}}
security options: {{.HostConfig.SecurityOpt}}
published ports: {{len .HostConfig.PortBindings}}
devices: {{len .HostConfig.Devices}}
PID namespace: {{or .HostConfig.PidMode \"its own\"}}
user: {{.Config.User}}
{{range .Mounts}}mounts: {{if eq .Type \"volume\"}}{{slice .Name ${#project}}}{{else}}{{.Source}}{{end}} on {{.Destination}}{{if not .RW}}, read-only{{end}}
{{end}}" "$(container_of "$1")" |
		sed -e '/^$/d' -e "s#$LAB_DIR/##" -e 's/CAP_//g' -e "s/container:$node.*/that of node/" # some engines write CAP_
}

# needs SERVICE: what it needs of them. The usual case is a workload: one of the host's users, who
# can reach the Workload API. The others are these.
needs() {
	local user='one of the host' added='[]' level='' pid='that of node' mounts='_workload-api on /tmp/spire-agent/public, read-only'
	case $1 in
	node) user=65534:65534 pid='its own' mounts='' ;;
	server | client) user=$1-workload ;;
	spire-server)
		user=1000:1000 level=' label=level:s0:c17,c71' pid='its own'
		mounts='_spire-server-admin on /tmp/spire-server/private
_spire-server-data on /var/lib/spire/server'
		;;
	bootstrap)
		user=0:0 added='[DAC_OVERRIDE]' level=' label=level:s0:c17,c71' pid='its own'
		mounts='_host-credential on /run/host-credential
_spire-server-admin on /tmp/spire-server/private'
		;;
	spire-agent)
		user=0:0 added='[SYS_PTRACE]'
		mounts='_host-credential on /run/host-credential, read-only
_workload-api on /tmp/spire-agent/public'
		;;
	host-b | partner-host | partner-server) user=0:0 pid='its own' mounts='' ;;
	esac
	[ -z "$mounts" ] || mounts="mounts: ${mounts//$'\n'/$'\n'mounts: }"
	sed '/^$/d' <<-END
		privileged: false
		read-only root file system: true
		dropped capabilities: [ALL]
		added capabilities: $added
		security options: [no-new-privileges:true$level]
		published ports: 0
		devices: 0
		PID namespace: $pid
		user: $user
		$mounts
	END
}

# only_needs SERVICE: has it what it needs, and nothing more?
only_needs() {
	local has needs more less user
	has=$(privileges "$1")
	needs=$(needs "$1")
	if grep -q '^user: one of the host$' <<<"$needs"; then
		user=$(sed -n 's/^user: //p' <<<"$has")
		awk -F : -v user="$user" '$1 == user && $3 > 0 {found = 1} END {exit !found}' "$passwd" || fail "$1 has the user \"$user\", which is none of spire/host/passwd"
		needs=${needs/user: one of the host/user: $user}
	fi
	more=$({ grep -vxF "$needs" <<<"$has" || true; } | paste -s -d ';' -)
	less=$({ grep -vxF "$has" <<<"$needs" || true; } | paste -s -d ';' -)
	[ -z "$more" ] || fail "$1 has a privilege that it does not need, $more (it needs ${less:-nothing of the kind})"
	[ -z "$less" ] || fail "$1 lacks what it needs, $less"
	passed "$1: user $(sed -n 's/^user: //p' <<<"$has"), capabilities $(sed -n 's/^added capabilities: //p' <<<"$has"), PID namespace: $(sed -n 's/^PID namespace: //p' <<<"$has")$(sed -n 's/^mounts: /, /p' <<<"$has" | tr -d '\n')"
}

step "The engine's own words for every container"
for service in $services; do only_needs "$service"; done

step "The same for the extra services of the scenarios"
has_image "$TOOLS_IMAGE" || bash "$LAB_DIR/scripts/build.sh" tools >/dev/null
# shellcheck disable=SC2086 # several services
set -- $extras
changes
compose up --no-start --no-deps "$@" >/dev/null 2>&1 || fail "the extra containers could not be created"
for service in $extras; do only_needs "$service"; done

step "With SELinux an engine shares a volume if an image has the directory that it is mounted on"
volumes=''
for service in $services; do
	image=$(docker create "$(docker inspect --format '{{.Config.Image}}' "$(container_of "$service")")" nothing)
	while read -r volume directory; do
		[ -n "$volume" ] || continue
		shared=no
		if docker cp "$image:$directory" - >/dev/null 2>&1; then shared=yes; fi
		volumes+="$volume $shared"$'\n'
	done < <(docker inspect --format '{{range .Mounts}}{{.Name}} {{.Destination}}{{"\n"}}{{end}}' "$(container_of "$service")")
	docker rm "$image" >/dev/null
done
while read -r volume; do
	[[ $volumes == *"$volume yes"* ]] || fail "no image has a directory for the volume $volume"
	passed "$volume"
done < <(cut -d ' ' -f 1 <<<"$volumes" | sed '/^$/d' | sort -u)

step "Each process runs as the user that the host's user database names"
for service in server client; do
	user=$service-workload
	uid=$(awk -F : -v user="$user" '$1 == user {print $3}' "$passwd")
	[ -n "$uid" ] || fail "spire/host/passwd has no user $user"
	compose top "$service" | awk -v uid="$uid" 'NR > 2 && $1 ~ /^[0-9]/ && $1 != uid {exit 1}' || fail "$service has a process of another user than $uid"
	passed "$service: every process has uid $uid"
done

step "The agent verifies the server from its first connection on"
run docker compose logs --no-log-prefix --no-color spire-agent
expect_no_output "Insecure bootstrap enabled; skipping server certificate verification" "the agent did not trust the first server that answered"
expect_output "Node attestation was successful" "the agent attested"
