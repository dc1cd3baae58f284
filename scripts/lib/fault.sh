# Sourced after host.sh by scripts/faults.sh and scripts/dev/faults-test.sh, which set $work to a folder: what a fault is
# made of, and how one is injected, reverted and graded. A fault is one file, scripts/faults/NN-NAME.sh, whose second line is its symptom in one line.
# Its name and that line do not tell the cause. Its helper functions:
#
#   level N                     1, 2 or 3; from 2 on the doctor is off
#   category WORDS              which of the categories in scripts/faults/README.md it is of
#   doctor CODE                 the finding of `make doctor FORCE=1` while it is open
#   lost                        the fault itself loses data that need not come back
#   wrong NAME WORDS WHY        a wrong fix, done by the function wrong_NAME; what the grader says of it; why
#                               it is wrong
#   hint CONDITION TEXT         three: each is given as long as CONDITION, a command, holds; the last one
#                               names the cause, and has the condition `true`
#
# and its functions, of which the last four may be missing:
#
#   ticket    who complains, what they see, what may not be done
#   right     the right fix, as a learner could type it
#   debrief   what it was, how one could have seen it, where it happened in life (a link), which scenario
#             shows it
#   inject    breaks the lab
#   shows     holds once the fault is in force; without it: the client is not served
#   setup     what must be there before, and is no fault; teardown removes it again
#   revert    undoes what restore_lab below does not know of: other containers, images, federation
#
# shellcheck shell=bash

FAULTS=$LAB_DIR/scripts/faults
# The scripts that source this file use these, and set work.
: "${fault_symptom=}${fault_level=}${fault_category=}${fault_doctor=}${work:?}"
fault_name='' fault_number='' fault_lost=''
wrong_names=() wrong_words=() wrong_whys=()
hint_conditions=() hint_texts=()

# --- the helper functions of a fault

level() { fault_level=$1; }
category() { fault_category=$1; }
doctor() { fault_doctor=$1; }
lost() { fault_lost=yes; }
wrong() { wrong_names+=("$1") wrong_words+=("$2") wrong_whys+=("$3"); }
hint() { hint_conditions+=("$1") hint_texts+=("$2"); }

# --- which fault

# name_of FILE, number_of NAME
name_of() {
	local file=${1##*/}
	say "${file%.sh}"
}

# find_fault WORD: the name, NN-NAME, of the fault with that number, name, or both.
find_fault() {
	local file name number=${1#0}
	for file in "$FAULTS"/[0-9][0-9]-*.sh; do
		name=$(name_of "$file")
		case $1 in "$name" | "${name#*-}") say "$name" && return ;; esac
		case ${name%%-*} in "$number" | "0$number") say "$name" && return ;; esac
	done
	die "there is no fault \"$1\"" "make faults lists them: NAME=1, or NAME=$(name_of "$file" | sed 's/^[0-9]*-//')"
}

# load_fault NAME: what its file says, and its functions.
load_fault() {
	fault_name=$1 fault_number=$((10#${1%%-*})) fault_level='' fault_category='' fault_doctor='' fault_lost=''
	wrong_names=() wrong_words=() wrong_whys=() hint_conditions=() hint_texts=()
	unset -f ticket right debrief inject shows setup teardown revert
	fault_symptom=$(sed -n '2s/^# //p' "$FAULTS/$1.sh")
	# shellcheck source=/dev/null
	. "$FAULTS/$1.sh"
}

# --- where it is kept

project=$(project_name)
state=$CACHE_DIR/fault-$project

open_fault() { sed -n 's/^name=//p' "$state" 2>/dev/null || true; }
opened_at() { sed -n 's/^since=//p' "$state"; }
hints_used() { if [ -s "$state.hints" ]; then grep -c . "$state.hints"; else say 0; fi; }

# --- for those who write faults

# cli ARG...: the CLI of the SPIRE server.
cli() { inside spire-server '' /opt/spire/bin/spire-server "$@"; }

# partner_cli ARG...: the CLI of the other SPIRE server, which is there if the fault has started it.
partner_cli() { inside partner-server '' /opt/spire/bin/spire-server "$@"; }

# served: is the running client's latest request served?
served() { client_served; }

# has_identity USER ID: a process that it starts now gets exactly this SPIFFE ID first.
has_identity() { [ "$(inside client "$1" svid 2>/dev/null | sed -n '1s/^SPIFFE ID *//p')" = "$2" ]; }

# nobody USER: a process that it starts now gets no identity.
nobody() { ! inside client "$1" svid >/dev/null 2>&1; }

# entry_has REGEX: a line of `entry show` matches.
entry_has() { cli entry show | grep -E -- "$1" >/dev/null; }

# others: entries of other teams, for hosts that are not here; others_go takes them away.
others() {
	local team
	for team in backup billing; do
		cli entry create -entryID "$team" -parentID spiffe://example.org/host-2 -spiffeID "spiffe://example.org/$team" -selector "unix:user:$team-workload" || return 1
	done
}
others_go() { for team in backup billing; do cli entry delete -entryID "$team"; done; }

# restarted SERVICE...: as `docker restart` does; nothing that Compose would run again beside it.
restarted() {
	local service
	for service in "$@"; do docker restart --time 6 "$(container_of "$service")" >/dev/null || return 1; done
}

# For all of them: what they print is shown only if they fail.
#
# remake SERVICE <YAML: the service's container, made anew with what the Compose file on standard input
# says beside compose.yaml. `docker compose up` makes it again as it was.
remake() {
	local file=$state.yaml status=0
	cat >"$file"
	compose --file "$LAB_DIR/compose.yaml" --file "$file" up --detach --no-deps --force-recreate "$1" 2>&1 || status=$?
	rm -f "$file"
	return "$status"
}

# image_from FOLDER IMAGE: by Compose, which brings BuildKit along wherever it runs.
image_from() {
	compose --project-directory "$1" --file - build --quiet <<-END
		name: fault
		services: {fault: {image: "$2", build: .}}
	END
}

# wrong_server OLD NEW: the server is made anew from its own source, services/server/main.go, in which OLD has
# become NEW. The image is a second one, and goes when the fault is over.
wrong_server() {
	local old=$1 new=$2 text folder image status=0
	image=spiffe-lab/workload:$LAB_TAG.$(printf '%s' "$project$old$new" | cksum | cut -d ' ' -f 1)
	if ! has_image "$image"; then
		folder=$(mktemp -d)
		mkdir "$folder/src"
		cp -R "$LAB_DIR/go.mod" "$LAB_DIR/go.sum" "$LAB_DIR/services" "$folder/src"
		text=$(cat "$folder/src/services/server/main.go")
		case $text in
		*"$old"*) ;;
		*) say "services/server/main.go does not have: $old" >&2 && rm -rf "$folder" && return 1 ;;
		esac
		say "${text%%"$old"*}$new${text#*"$old"}" >"$folder/src/services/server/main.go"
		if [ -e "$CACHE_DIR/prebuilt" ]; then
			(cd "$folder/src" && GOOS=linux GOARCH=$(docker version --format '{{.Server.Arch}}') CGO_ENABLED=0 go build -trimpath -o "$folder/server" ./services/server) || status=$?
			say "FROM $WORKLOAD_IMAGE
COPY server /opt/spiffe-lab/bin/server" >"$folder/Dockerfile"
			rm -rf "$folder/src"
		else
			say "FROM $GO_IMAGE AS compiler
ENV CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off
WORKDIR /src
COPY src /src
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build go build -o /server ./services/server
FROM $WORKLOAD_IMAGE
COPY --from=compiler /server /opt/spiffe-lab/bin/server" >"$folder/Dockerfile"
		fi
		[ "$status" -ne 0 ] || image_from "$folder" "$image" || status=$?
		rm -rf "$folder"
		[ "$status" -eq 0 ] || return "$status"
	fi
	say "$image" >>"$state.images"
	remake server <<-END
		services: {server: {image: "$image"}}
	END
}

# other_image SERVICE PATH [MODE] <CONTENT: the service is made anew with another file at this path of its image.
other_image() {
	local base folder image
	base=$(docker inspect --format '{{.Config.Image}}' "$(container_of "$1")") || return 1
	folder=$(mktemp -d)
	cat >"$folder/file"
	chmod "${3:-644}" "$folder/file"
	image=${base%%:*}:$LAB_TAG.$(cat - "$folder/file" <<<"$project$1$2" | cksum | cut -d ' ' -f 1)
	printf 'FROM %s\nCOPY file %s\n' "$base" "$2" >"$folder/Dockerfile"
	image_from "$folder" "$image" || { rm -rf "$folder" && return 1; }
	rm -rf "$folder"
	say "$image" >>"$state.images"
	remake "$1" <<-END
		services: {$1: {image: "$image"}}
	END
}

# last_image: the one that wrong_server or other_image has made.
last_image() { tail -n 1 "$state.images"; }

# any_client: a server that takes whoever has an SVID, as is often done "to see whether it works then".
any_client() { wrong_server 'tlsconfig.AuthorizeID(cfg.clientID)' 'tlsconfig.AuthorizeAny()'; }

# lab ARG...: docker compose, unseen unless it fails.
lab() {
	local said
	said=$(compose "$@" 2>&1) || { say "$said" >&2 && return 1; }
}

provision() { lab run --rm --no-deps -T bootstrap; }

# --- the lab as it is

# lab_state: what must be as before after `make reset`, in lines that can be compared.
lab_state() {
	docker ps --all --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False \
		--format '{{.Label "com.docker.compose.service"}}' | sort | while read -r service; do
		docker inspect --format "container $service {{.State.Status}} {{.Config.User}} {{.Config.Cmd}} {{.Config.Image}} {{.HostConfig.CapAdd}} {{range .Mounts}}{{.Name}}:{{.Destination}} {{end}}{{range .Config.Env}}{{.}} {{end}}" "$(container_of "$service")" |
			tr ' ' '\n' | grep -vi '_proxy=' | sort | xargs # neither mounts nor variables have an order
	done
	docker ps --format '{{.Names}} {{.Networks}}' | awk -v net="${project}_default" '$2 ~ net {print "on the network: " $1}' | sort
	docker volume ls --filter "label=com.docker.compose.project=$project" --format 'volume {{.Name}}' | sort
	docker image ls --format 'image {{.Repository}}:{{.Tag}} {{.ID}}' | grep "^image spiffe-lab/[a-z-]*:$LAB_TAG " | sort
	cli entry show | sed -n -E 's/ +: /: /; /^(Revision:|Found )/!s/^[A-Z]/entry: &/p'
	cli agent list | sed -n -E 's/^SPIFFE ID +: /agent: /p'
	cli agent list -banned true | sed -n -E 's/^SPIFFE ID +: /banned: /p'
	cli federation list | sed -n -E 's/^Trust domain +: /federated: /p'
	cli bundle list | sed -n 's/^\* /bundle of /p'
	cli bundle show | cksum | sed 's/^/own bundle /'
}

# snapshot FILE: a report. What got no answer on a busy machine is asked again, with more patience.
snapshot() {
	local patience
	for patience in 10 40; do
		"$LAB_DIR/scripts/lab" report --patience "${patience}s" "$1" >/dev/null || return 1
		grep -q '"status": "no answer' "$1" || return 0
	done
}

# trial NAME COMMAND...: runs one, as a section of the report.
trial() {
	local name=$1 out status=0
	shift
	out=$("$@" 2>&1 </dev/null) || status=$?
	{
		say "## section: trial-$name"
		say "status: $status"
		[ -z "$out" ] || say "$out" | sed 's/^/  /'
	} >"$work/trial-$name"
}

# tried: who is served and who is refused, tried out with the lab's own programs.
tried() {
	local place mark container
	place=$(container_running client || container_running server) || return 0
	container=$(container_of server)
	mark=$(if [ -n "$container" ]; then docker logs "$container" 2>&1 | wc -l; else say 0; fi)
	trial running client_served &
	trial client docker exec --user client-workload "$place" client -wait 5s &
	trial bad-id docker exec --user server-workload "$place" client -wait 5s &
	trial impostor docker exec --user client-workload "$place" client -wait 5s -server-id spiffe://example.org/impostor &
	trial root docker exec --user 0:0 "$place" observer -limit 8s client &
	wait
	[ -z "$container" ] || trial server-log tail_of "$container" "$((mark + 1))"
	cat "$work"/trial-*
	rm -f "$work"/trial-*
}

container_running() {
	local container
	container=$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1" \
		--filter label=com.docker.compose.oneoff=False --filter status=running | sed -n 1p)
	[ -n "$container" ] && say "$container"
}

tail_of() { docker logs "$1" 2>&1 | tail -n "+$2"; }

# graded: looks at the lab, and has the grader judge it: what is wrong, in lines; 0 for nothing.
graded() {
	local status=0
	snapshot "$work/now" || return 4
	tried >>"$work/now"
	{
		for part in before broken; do
			say "## snapshot: $part"
			cat "$state.$part"
		done
		say "## snapshot: now"
		cat "$work/now"
	} | part grader ${fault_lost:+-lost} || status=$?
	return "$status"
}

# --- in and out

# own_entries: the lab's own entries, which replace what a learner has made of them to mend a fault. Bootstrap
# changes no entry that exists: it prints the commands that do.
own_entries() {
	local said arguments
	said=$(compose run --rm --no-deps -T bootstrap 2>&1) || { say "$said" >&2 && return 1; }
	while read -ra arguments; do
		cli "${arguments[@]}" >/dev/null </dev/null || return 1
	done < <(sed -n 's|^ *docker compose exec spire-server /opt/spire/bin/spire-server ||p' <<<"$said")
}

# restore_lab: the lab as `make up` leaves it, with what a learner has beside it. Says so where only a new lab helps.
restore_lab() {
	if restored_in_place; then return; fi
	say "that does not put it right: the lab is made anew"
	if ! { remove_lab && "$LAB_DIR/scripts/lab" up; } >"$work/up" 2>&1; then
		cat "$work/up" >&2
		return 1
	fi
}

restored_in_place() {
	local id agent domain paused
	if declare -F revert >/dev/null; then revert >/dev/null || return 1; fi
	paused=$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter status=paused)
	# shellcheck disable=SC2086 # a list of containers
	[ -z "$paused" ] || docker unpause $paused >/dev/null
	lab up --detach --no-deps spire-server || return 1
	wait_until 60 "the SPIRE server answers" cli healthcheck 2>/dev/null || return 1
	if [ -s "$state.state" ]; then
		for id in $(cli entry show | sed -n 's/^Entry ID *: //p'); do
			grep -qxF "entry: Entry ID: $id" "$state.state" || cli entry delete -entryID "$id" >/dev/null || return 1
		done
		for domain in $(cli federation list | sed -n 's/^Trust domain *: //p'); do
			grep -qxF "federated: $domain" "$state.state" || cli federation delete -id "$domain" >/dev/null || return 1
		done
		for domain in $(cli bundle list | sed -n 's/^\* //p'); do
			grep -qxF "bundle of $domain" "$state.state" || cli bundle delete -id "spiffe://$domain" -mode dissociate >/dev/null || return 1
		done
	fi
	# Whoever was banned comes back by itself; whoever was not here before goes.
	for agent in $(cli agent list -banned true | sed -n 's/^SPIFFE ID *: //p') $(cli agent list | sed -n 's/^SPIFFE ID *: //p'); do
		grep -qxF "agent: $agent" "$state.state" && ! cli agent list -banned true | grep "SPIFFE ID *: $agent\$" >/dev/null ||
			cli agent evict -spiffeID "$agent" >/dev/null || return 1
	done
	own_entries || return 1
	lab up --detach --remove-orphans || return 1
	if ! wait_until 20 "a program gets an identity" has_identity client-workload spiffe://example.org/client 2>/dev/null; then
		lab up --detach --no-deps --force-recreate spire-agent || return 1
		wait_until 60 "a program gets an identity" has_identity client-workload spiffe://example.org/client 2>/dev/null || return 1
	fi
	restarted server client || return 1
	wait_until 60 "the client is served" client_served 2>/dev/null
}

# is_in: the fault is in force.
is_in() { if declare -F shows >/dev/null; then shows >/dev/null 2>&1; else ! client_served >/dev/null 2>&1; fi; }

# broken: injects the fault, unseen, with snapshots of before and after.
broken() {
	local said=$work/inject
	# Whatever has been done to fix the one before.
	own_entries >"$said" 2>&1 || { cat "$said" >&2 && return 1; }
	wait_until 40 "the client is served" client_served >"$said" 2>&1 ||
		die "the lab is not as it should be: $(client_served 2>&1 | tail -n 1)" "make up, then make doctor says what is wrong; make reset puts it right"
	lab_state >"$state.state"
	if declare -F setup >/dev/null; then setup >"$said" 2>&1 || { cat "$said" >&2 && return 1; }; fi
	snapshot "$state.before" || return 1
	cat >"$state" <<-END
		name=$fault_name
		number=$fault_number
		level=$fault_level
		since=$(date +%s)
	END
	: >"$state.hints"
	if ! inject >"$said" 2>&1 || ! wait_until 90 "the fault shows" is_in >>"$said" 2>&1; then
		cat "$said" >&2
		printf 'error: the fault could not be put in; the lines above say why\nhint: make reset\n' >&2
		return 1
	fi
	snapshot "$state.broken"
}

# closed: the fault is over; whatever it brought along goes.
closed() {
	local image
	if declare -F teardown >/dev/null; then teardown >/dev/null 2>&1 || true; fi
	if [ -s "$state.images" ]; then
		# Solved otherwise than by `make reset`, the server may still run it.
		lab up --detach --no-deps server client spire-agent || true
		while read -r image; do docker image rm "$image" >/dev/null 2>&1 || true; done < <(sort -u "$state.images")
	fi
	rm -f "$state" "$state".*
}
