#!/usr/bin/env bash
# Writes one text file with what there is to know of the lab, for the doctor and for a trainer:
#
#   report.sh [FILE]       FILE is .cache/report.txt, or what REPORT says; - is standard output
#
# All questions are asked side by side, and have WAIT seconds in all (2.4): what got no answer is named
# as such. It gathers; services/internal/doctor judges, services/internal/facts describes the format. No private
# key, token, password or home directory gets into it.
set -euo pipefail
# What steers docker, Compose and proxies, before the lab takes it out of its own way: the names only.
steering=$(compgen -e | grep -E '^(DOCKER|COMPOSE|BUILDKIT|BUILDX|SPIFFE|SPIRE|LAB|HTTPS?_PROXY|NO_PROXY|https?_proxy|no_proxy|AGENT_TTL|GO_IMAGE|GOFLAGS|GOPROXY)' | xargs) || true
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

file=${1:-${REPORT:-$CACHE_DIR/report.txt}}
patience=${WAIT:-2.4}
log_lines=80
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
set -m # each question is a process group of its own, which can be ended

sections=()
project=$(project_name)

# ask SECTION COMMAND...: begins a question. It is shown without the function that wraps it.
ask() {
	local section=$1 shown
	shift
	shown="$*"
	sections+=("$section")
	case $shown in
	'docker inspect '*) shown='docker inspect' ;; # its template is long, and tells a reader nothing
	esac
	say "${shown#with_errors }" >"$work/$section.command"
	{
		status=0
		"$@" >"$work/$section.out" 2>"$work/$section.err" </dev/null || status=$?
		say "$status" >"$work/$section.status.part"
		mv "$work/$section.status.part" "$work/$section.status"
	} &
	say "$!" >"$work/$section.pid"
	disown
}

# skip SECTION WHY: a question that cannot be asked.
skip() {
	sections+=("$1")
	: >"$work/$1.command"
	say "not asked: $2" >"$work/$1.status"
}

# answered [SECTION]: waits for this, or for all that has been asked, until the time is over: what has no
# answer then never gets one.
answered() {
	local section missing=1 all=("$@")
	[ $# -gt 0 ] || all=("${sections[@]}")
	while [ "$missing" -gt 0 ]; do
		missing=0
		for section in "${all[@]}"; do [ -e "$work/$section.status" ] || missing=$((missing + 1)); done
		[ "$missing" -gt 0 ] || return 0
		if [ -e "$work/time-is-over" ]; then
			for section in "${sections[@]}"; do
				[ ! -e "$work/$section.status" ] || continue # its process is no more, and its number may be another's
				kill -TERM -- "-$(cat "$work/$section.pid")" 2>/dev/null || true
				say "no answer within $patience s" >"$work/$section.status"
			done
			return 0
		fi
		polls=$((polls + 1))
		sleep 0.05
	done
}
polls=0 # by which a machine that is busy is told from one where something hangs

# with_errors COMMAND...: what it says on both outputs, in their order.
with_errors() { "$@" 2>&1; }

# file_in CONTAINER PATH: the content of a file, also of a container that does not run.
file_in() { docker cp "$1:$2" - | tar -xOf -; }

# names_in CONTAINER DIRECTORY: the files' names, modes and owners; what is in them is not looked at.
names_in() { docker cp "$1:$2" - | tar -tvf -; }

# The lab's containers, and whoever else is on its networks and may answer to a name: one ID a line.
ids_in_project() {
	docker ps --all --no-trunc --format '{{.ID}} {{.Label "com.docker.compose.project"}} {{.Networks}}' |
		awk -v project="$project" '$2 == project || index("," $NF, "," project "_") { print $1 }'
}

# One JSON object a container: of its environment the names, and the values of two that hold no secret.
# shellcheck disable=SC2016 # the template's own variables
as_facts='{"id":{{json .ID}},"name":{{json .Name}},"service":{{json (index .Config.Labels "com.docker.compose.service")}},"project":{{json (index .Config.Labels "com.docker.compose.project")}},"oneoff":{{json (index .Config.Labels "com.docker.compose.oneoff")}},"image":{{json .Config.Image}},"imageID":{{json .Image}},"command":{{json .Config.Cmd}},"user":{{json .Config.User}},"status":{{json .State.Status}},"exitStatus":{{.State.ExitCode}},"outOfMemory":{{.State.OOMKilled}},"error":{{json .State.Error}},"startedAt":{{json .State.StartedAt}},"finishedAt":{{json .State.FinishedAt}},"restarts":{{.RestartCount}},"health":{{with .State.Health}}{{json .Status}}{{else}}""{{end}},"pidMode":{{json .HostConfig.PidMode}},"capAdd":{{json .HostConfig.CapAdd}},"capDrop":{{json .HostConfig.CapDrop}},"readOnly":{{.HostConfig.ReadonlyRootfs}},"privileged":{{.HostConfig.Privileged}},"environment":[{{range $i, $e := .Config.Env}}{{if $i}},{{end}}{{json (index (split $e "=") 0)}}{{end}}],"settings":{{"{"}}{{$n := 0}}{{range .Config.Env}}{{$k := index (split . "=") 0}}{{if or (eq $k "SPIFFE_ENDPOINT_SOCKET") (eq $k "AGENT_TTL")}}{{if $n}},{{end}}{{$n = 1}}{{json $k}}:{{json (join (slice (split . "=") 1) "=")}}{{end}}{{end}}{{"}"}},"mounts":[{{range $i, $m := .Mounts}}{{if $i}},{{end}}{"type":{{json $m.Type}},"name":{{json $m.Name}},"source":{{if eq $m.Type "bind"}}{{json $m.Source}}{{else}}""{{end}},"at":{{json $m.Destination}},"writable":{{$m.RW}}}{{end}}],"networks":{{"{"}}{{$n := 0}}{{range $k, $v := .NetworkSettings.Networks}}{{if $n}},{{end}}{{$n = 1}}{{json $k}}:{"address":{{json $v.IPAddress}},"aliases":{{json $v.Aliases}}}{{end}}{{"}"}}}'

# For this script: one line a container of the lab, fields separated by tabs, its command last.
as_line='{{index .Config.Labels "com.docker.compose.service"}}	{{index .Config.Labels "com.docker.compose.oneoff"}}	{{index .Config.Labels "com.docker.compose.project"}}	{{.State.Status}}	{{.Name}}	{{range .Config.Cmd}}	{{.}}{{end}}'

# find SERVICE: its container's name in $found, its state in $state, and its command in $arguments.
find() {
	local service oneoff of rest
	found='' state=missing arguments=()
	while IFS=$'\t' read -r service oneoff of state found rest; do
		if [ "$service" = "$1" ] && [ "$oneoff" = False ] && [ "$of" = "$project" ]; then
			found=${found#/}
			rest=${rest#$'\t'}
			while [ -n "$rest" ]; do
				arguments+=("${rest%%$'\t'*}")
				case $rest in *$'\t'*) rest=${rest#*$'\t'} ;; *) rest='' ;; esac
			done
			return
		fi
	done <<<"$lines"
	found='' state=missing
}

# ask_of SERVICE SECTION COMMAND...: asks if there is such a container, which need not run; its name stands
# in the place of CONTAINER.
ask_of() {
	local section=$2 word
	local words=()
	find "$1"
	[ -n "$found" ] || { skip "$section" "$1 is missing" && return; }
	for word in "${@:3}"; do
		[ "$word" != CONTAINER ] || word=$found
		words+=("$word")
	done
	ask "$section" "${words[@]}"
}

# ask_in SERVICE SECTION ARG...: `docker exec` in its container, if that runs. A paused one would not answer.
ask_in() {
	find "$1"
	[ "$state" = running ] || { skip "$2" "$1 is $state" && return; }
	ask_of "$1" "$2" docker exec "${@:3}"
}

# observer USER SERVICE [SERVICE]: what the user sees, in the place of the first program; from the
# second one's container if the first is not running.
observer() {
	local command
	find "$2"
	command=(${arguments[@]+"${arguments[@]}"})
	if [ "$state" != running ] && [ $# -gt 2 ]; then
		find "$3"
		[ "$state" != running ] || set -- "$1" "$3"
	fi
	[ "$1" != guest-workload ] || command=()
	ask_in "$2" "observer-$1" --user "$1" CONTAINER observer -limit "${observer_patience}s" ${command[@]+"${command[@]}"}
}

# preflight: what the lab's commands would say before they start anything, each look by itself.
preflight() { part findings 2>&1; }

# cut_off: the scenario that was cut off here, if none runs now.
cut_off() {
	local lock=$CACHE_DIR/lock-scenario-$project
	if [ -s "$CACHE_DIR/unfinished-$project" ] && ! kill -0 "$(cat "$lock" 2>/dev/null)" 2>/dev/null; then cat "$CACHE_DIR/unfinished-$project"; fi
}

# calm: no more runs here than the machine has processors for.
calm() { awk -v load="$(load_average)" -v processors="$(getconf _NPROCESSORS_ONLN 2>/dev/null)" 'BEGIN { exit !(load != "" && load + 0 <= processors + 0) }'; }

# The host.
cat >"$work/host.out" <<END
report 1
time $(date -u +%Y-%m-%dT%H:%M:%SZ)
project $project
patience $patience
system $(uname -sm)
bash $BASH_VERSION
lab-tag ${LAB_TAG:-local}
workload-image $WORKLOAD_IMAGE
spire-version $SPIRE_VERSION
environment $steering
cut-off $(cut_off)
END
sections+=(host)
say 0 >"$work/host.status"
: >"$work/host.command"
if [ -s "$CACHE_DIR/up-$project.txt" ]; then
	sections+=(up)
	say "make up" >"$work/up.command"
	say 1 >"$work/up.status"
	cp "$CACHE_DIR/up-$project.txt" "$work/up.out"
fi

(sleep "$patience" && : >"$work/time-is-over") &
timer=$!
disown
observer_patience=$(awk -v all="$patience" 'BEGIN { printf "%.1f", all * 0.6 }')

ask preflight preflight
lines=''
if command -v docker >/dev/null 2>&1; then
	ask engine docker version --format 'client {{.Client.Version}}{{println}}server {{.Server.Version}} api {{.Server.APIVersion}} {{.Server.Os}}/{{.Server.Arch}}'
	ask ids ids_in_project
	ask clock docker info --format '{{.SystemTime}} {{.NCPU}} CPUs, {{.MemTotal}} bytes, {{.OperatingSystem}}, {{.Driver}}, cgroup {{.CgroupVersion}}'
	ask images docker image ls --no-trunc --filter 'reference=*spiffe-lab/*' --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.CreatedSince}}'
	ask networks docker network ls --format '{{.Name}} {{.Driver}} {{.Label "com.docker.compose.project"}}'
	answered ids
	[ "$polls" -gt 8 ] || ! calm || say "machine calm" >>"$work/host.out"
	containers=$(cat "$work/ids.out" 2>/dev/null) || containers=''
	if [ "$(cat "$work/ids.status")" != 0 ]; then
		skip containers "the engine did not list them ($(cat "$work/ids.status"))"
	elif [ -z "$containers" ]; then
		sections+=(containers)
		say 0 >"$work/containers.status"
	else
		# shellcheck disable=SC2086 # one word each
		ask containers docker inspect --format "$as_facts" $containers
		# shellcheck disable=SC2086
		ask lines docker inspect --format "$as_line" $containers
		answered lines
		lines=$(cat "$work/lines.out" 2>/dev/null) || true
	fi
else
	sections+=(engine)
	say 127 >"$work/engine.status"
	say "the docker command was not found" >"$work/engine.err"
fi

if [ -n "$lines" ]; then
	cli=/opt/spire/bin/spire-server
	ask_in spire-server entries CONTAINER $cli entry show -output json
	ask_in spire-server agents CONTAINER $cli agent list -output json
	ask_in spire-server bundle CONTAINER $cli bundle show -output json
	ask_in spire-server bundles CONTAINER $cli bundle list -output json
	ask_in spire-server authorities CONTAINER $cli localauthority x509 show -output json
	observer client-workload client server
	observer server-workload server client
	observer guest-workload client server
	ask_of spire-server file-server.conf file_in CONTAINER /etc/spire/server/server.conf
	ask_of spire-agent file-agent.conf file_in CONTAINER /etc/spire/agent/agent.conf
	ask_of spire-agent file-passwd file_in CONTAINER /etc/passwd
	# Whichever is there has the host's credential.
	find spire-agent
	holder=spire-agent
	[ -n "$found" ] || holder=bootstrap
	ask_of "$holder" file-bundle.pem file_in CONTAINER /run/host-credential/bundle.pem
	ask_of "$holder" credential names_in CONTAINER /run/host-credential
	# Last: they may say why an observer was refused just now. One that gets no answer is not waited for.
	for ((i = 0; i < 20; i++)); do
		if [ -e "$work/observer-client-workload.status" ] && [ -e "$work/observer-server-workload.status" ]; then break; fi
		sleep 0.05
	done
	for service in spire-server bootstrap spire-agent server client; do
		ask_of "$service" "log-$service" with_errors docker logs --timestamps --tail "$log_lines" CONTAINER
	done
fi
answered
[ -e "$work/time-is-over" ] || kill -TERM -- "-$timer" 2>/dev/null || true

# No section is ever missing: what could not be asked says so.
for section in engine clock images networks containers entries agents bundle bundles authorities \
	observer-client-workload observer-server-workload observer-guest-workload file-server.conf file-agent.conf file-passwd file-bundle.pem \
	credential log-spire-server log-bootstrap log-spire-agent log-server log-client; do
	if [ -e "$work/$section.status" ]; then
		:
	elif [ -n "$lines" ] || [ "$(cat "$work/containers.status" 2>/dev/null)" = 0 ]; then
		skip "$section" "the lab has no container"
	else
		skip "$section" "the engine did not tell of the lab's containers"
	fi
done

# The report. Whatever a container says is data: it is indented, so that it cannot pass for a heading;
# control characters are taken out; and so is what must not leave this machine.
for section in "${sections[@]}"; do
	case $section in ids | lines) continue ;; esac
	say "## section: $section"
	[ ! -s "$work/$section.command" ] || say "\$ $(cat "$work/$section.command")"
	say "status: $(cat "$work/$section.status")"
	sed 's/^/  /' "$work/$section.out" 2>/dev/null || true
	[ ! -s "$work/$section.err" ] || sed 's/^/! /' "$work/$section.err"
	say
done | LC_ALL=C awk -v home="${HOME:-}" -v lab="$LAB_DIR" '
	# without TEXT WHAT PUT: WHAT at the beginning of a path, and nowhere else, becomes PUT.
	function without(text, what, put,   i, out) {
		if (what == "" || what == "/") return text
		while ((i = index(text, what)) > 0) {
			out = out substr(text, 1, i - 1) (substr(text, i - 1, i > 1) ~ /[A-Za-z0-9_.-]/ ? what : put)
			text = substr(text, i + length(what))
		}
		return out text
	}
	{
		gsub(/[\001-\010\013-\037\177]/, "?")
		$0 = without($0, lab, ".")
		$0 = without($0, home, "~")
		gsub(/\/(home|Users)\/[^\/ ":,]+/, "~")
		if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/) {
			inside = !/-----END [A-Z ]*PRIVATE KEY-----/
			sub(/-----BEGIN [A-Z ]*PRIVATE KEY-----.*/, "(a private key, taken out)")
		} else if (inside) {
			if (/-----END [A-Z ]*PRIVATE KEY-----/ || /^## section: /) inside = 0
			if (!/^## section: /) next
		}
		gsub(/eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/, "(a JWT, taken out)")
		$0 = hidden($0)
		if (length($0) > 60000) $0 = substr($0, 1, 60000) " (cut)"
		print
	}
	# hidden TEXT: without what follows "token", "password" and the like. The token in the ID of an agent that
	# has joined with it is spent, and stays.
	function hidden(text,   out, start, quoted) {
		while (match(tolower(text), /(token|password|secret|api_?key|private_?key)["\\ ,]*[=:,]["\\ ,:=]*[a-z0-9+_.\/-]|-join_?token["\\ ,=]+[a-z0-9]/)) {
			start = RSTART + RLENGTH - 1
			out = out substr(text, 1, start - 1) "(taken out)"
			text = substr(text, start)
			quoted = substr(out, length(out) - length("(taken out)")) ~ /^"/
			if (quoted) match(text, /^[^"]*/); else match(text, /^[^ ",]*/)
			text = substr(text, RLENGTH + 1)
		}
		return out text
	}
' >"$work/report"

say "## end" >>"$work/report"
if [ "$file" = - ]; then
	cat "$work/report"
else
	mkdir -p "$(dirname "$file")"
	cp "$work/report" "$file"
	unanswered=$(awk '/^## section: / { name = $3 } /^status: (no answer|not asked)/ { sub(/^status: /, ""); printf "  %s: %s\n", name, $0 }' "$work/report")
	[ -z "$unanswered" ] || say "without an answer:
$unanswered"
	say "the report: $file"
fi
