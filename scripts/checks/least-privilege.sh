#!/usr/bin/env bash
# every container must have only the privileges that it needs
# shellcheck source=../lib/scenario.sh
. "$(dirname "$0")/../lib/scenario.sh"
begin

# of SERVICE FORMAT: what the engine says of the service's container.
of() { docker inspect --format "$2" "$(compose ps --all --quiet "$1")"; }

# is SERVICE WHAT FORMAT WANT
is() {
	local got
	got=$(of "$1" "$3")
	got=${got//CAP_/} # some engines write a capability with its prefix
	[ "$got" = "$4" ] || fail "$1: $2 is \"$got\", not \"$4\""
	passed "$1: $2 is ${4:-empty}"
}

services='node spire-server bootstrap spire-agent server client'
node=$(compose ps --quiet node)

step "The engine's own words for every container"
[ "$(compose config --services | sort | xargs)" = "$(xargs -n 1 <<<"$services" | sort | xargs)" ] || fail "a service is not in this check"
for service in $services; do
	is "$service" privileged '{{.HostConfig.Privileged}}' false
	is "$service" "read-only root file system" '{{.HostConfig.ReadonlyRootfs}}' true
	is "$service" "dropped capabilities" '{{.HostConfig.CapDrop}}' '[ALL]'
	is "$service" "security options" '{{.HostConfig.SecurityOpt}}' '[no-new-privileges:true]'
	is "$service" "published ports" '{{len .HostConfig.PortBindings}}' 0
	is "$service" "devices" '{{len .HostConfig.Devices}}' 0
	case $service in
	node | spire-server | bootstrap) pid='' ;;
	*) pid=container:$node ;;
	esac
	is "$service" "PID namespace" '{{.HostConfig.PidMode}}' "$pid"
	case $service in
	bootstrap) capabilities='[DAC_OVERRIDE]' ;;
	spire-agent) capabilities='[SYS_PTRACE]' ;;
	*) capabilities='[]' ;;
	esac
	is "$service" "added capabilities" '{{.HostConfig.CapAdd}}' "$capabilities"
done

step "Each process runs as the user that the host's user database names"
for service in server client; do
	user=$service-workload
	uid=$(awk -F : -v user="$user" '$1 == user {print $3}' "$LAB_DIR/spire/host/passwd")
	[ -n "$uid" ] || fail "spire/host/passwd has no user $user"
	is "$service" user '{{.Config.User}}' "$user"
	compose top "$service" | awk -v uid="$uid" 'NR > 2 && $1 ~ /^[0-9]/ && $1 != uid {exit 1}' || fail "$service has a process of another user than $uid"
	passed "$service: every process has uid $uid"
done

step "Who can reach what"
mounts='{{range .Mounts}}{{if eq .Type "volume"}}{{slice .Name '${#COMPOSE_PROJECT_NAME}'}}{{else}}{{.Source}}{{end}}:{{.Destination}}:{{.RW}} {{end}}'
sorted() { of "$1" "$mounts" | tr ' ' '\n' | sed "s#^$LAB_DIR/##" | sort | xargs; }
reaches() {
	local got
	got=$(sorted "$1")
	[ "$got" = "$2" ] || fail "$1 mounts \"$got\", not \"$2\""
	passed "$1 mounts ${2:-nothing}"
}
reaches node ''
reaches server '_workload-api:/tmp/spire-agent/public:false'
reaches client '_workload-api:/tmp/spire-agent/public:false'
reaches spire-server '_spire-server-admin:/tmp/spire-server/private:true _spire-server-data:/var/lib/spire/server:true spire/server/server.conf:/etc/spire/server/server.conf:false'
reaches bootstrap '_host-credential:/run/host-credential:true _spire-server-admin:/tmp/spire-server/private:true scripts/bootstrap.sh:/opt/spiffe-lab/bootstrap.sh:false'
reaches spire-agent '_host-credential:/run/host-credential:false _workload-api:/tmp/spire-agent/public:true spire/agent/agent.conf:/etc/spire/agent/agent.conf:false spire/host/passwd:/etc/passwd:false'

step "The agent verifies the server from its first connection on"
run logs --no-log-prefix --no-color spire-agent
expect_no_output "insecure_bootstrap" "the agent's log does not warn of insecure_bootstrap"
expect_output "Node attestation was successful" "the agent attested"
! grep -Eq '^[^#]*insecure_bootstrap' "$LAB_DIR/spire/agent/agent.conf" || fail "spire/agent/agent.conf sets insecure_bootstrap"
passed "spire/agent/agent.conf does not set insecure_bootstrap"
