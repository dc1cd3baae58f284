# Sourced by host.sh: what can be known before anything is changed. Each of these ends the script with what
# is wrong in one line, and what to do in another.
# shellcheck shell=bash

# look_first: all of it, cheapest first.
look_first() {
	need_no_policy
	need_writable
	need_unix_lines
	need_engine
	ensure_compose
	need_own
	tell_versions
}

# need_no_policy: what is somebody's decision is not overruled.
need_no_policy() {
	case ${DOCKER_CONTENT_TRUST:-} in
	'' | 0 | false) ;;
	*) die "DOCKER_CONTENT_TRUST is set, and nobody has signed the lab's own images" "for this lab: unset DOCKER_CONTENT_TRUST" ;;
	esac
}

# need_writable: of a run with sudo, files are left that are not one's own.
need_writable() {
	local file dir=${TMPDIR:-/tmp}
	if ! [ -d "$dir" ] || ! [ -w "$dir" ]; then
		die "TMPDIR is $dir, where nothing can be written" "unset TMPDIR, or name a folder of yours"
	fi
	mkdir -p "$CACHE_DIR" 2>/dev/null || true
	[ -d "$CACHE_DIR" ] || [ -e "$CACHE_DIR" ] || [ -L "$CACHE_DIR" ] || [ -w "$LAB_DIR" ] ||
		die "$LAB_DIR cannot be written" "copy the folder to a place of your own: git clone '$LAB_DIR' ~/spiffe-lab"
	for file in "$CACHE_DIR" "$CACHE_DIR"/*; do
		if { [ -e "$file" ] && [ ! -w "$file" ]; } || [ ! -d "$CACHE_DIR" ]; then
			die "$file cannot be written" "it was perhaps made with sudo: sudo rm -rf '$CACHE_DIR'; all of it is made again"
		fi
	done
}

# need_unix_lines: an editor for Windows may have given a file other line endings, which end up in an image.
need_unix_lines() {
	local file
	file=$(cd "$LAB_DIR" && find spire services compose.yaml scripts/scenarios/extras.yaml -type f ! -name '*.png' -exec grep -l $'\r' {} + | head -n 1) || true
	[ -z "$file" ] || die "$file has the line endings of Windows, which the lab's programs do not understand" "git checkout -- $file, or have your editor save it with LF"
}

# asked ARG...: docker, which has 10 s to answer: that of an engine that hangs would wait for ever.
asked() { (bounded 10 docker "$@"); }
silent() { die "no Docker Engine answers: docker $1 waited for 10 s" "restart Docker Desktop or the docker service; docker $1 must work ($(endpoint))"; }

# endpoint: which engine is asked.
endpoint() { say "DOCKER_HOST is ${DOCKER_HOST:-not set}, DOCKER_CONTEXT is ${DOCKER_CONTEXT:-not set}"; }

need_engine() {
	local version said name status=0
	command -v docker >/dev/null 2>&1 ||
		die "the docker command was not found" "install Docker Engine 20.10 or newer, or Docker Desktop: https://docs.docker.com/get-docker/"
	# Of another engine's own version (Podman's is 5) nothing follows: what counts is the API that it speaks.
	said=$(asked version --format '{{.Server.APIVersion}} {{.Server.Version}} {{range .Server.Components}}{{.Name}},{{end}} {{.Server.Os}} {{.Server.Arch}}' 2>&1) || status=$?
	[ "$status" -ne 143 ] || silent version
	if [ "$status" -ne 0 ]; then
		case $said in
		*'ermission denied'*) die "your user may not speak to the Docker Engine: $(tail -n 1 <<<"$said")" "sudo usermod -aG docker $(id -un), then log out and in again" ;;
		esac
		case $(docker --version 2>&1) in
		*[Pp]odman*) die "the docker command is Podman's own" "install Docker's command, start Podman's service, and set DOCKER_HOST to its socket" ;;
		esac
		die "no Docker Engine answers: $(tail -n 1 <<<"$said")" "start Docker Desktop or the docker service; docker info must work ($(endpoint))"
	fi
	read -r version said name <<<"$said"
	case $name in *' windows '*) die "the Docker Engine runs Windows containers, and the lab's are Linux containers" "Docker Desktop's menu: Switch to Linux containers" ;; esac
	ENGINE_ARCH=${name##* }
	PODMAN='' # its version
	: "$ENGINE_ARCH$PODMAN" # the scripts that build and start use them
	case $name in
	*Podman*)
		name=Podman PODMAN=$said
		export LAB_DNS='' # where a container has a DNS server of its own, Podman 4 tells it no name of the lab
		;;
	*) name="Docker Engine" ;;
	esac
	at_least "$version" 1.41 ||
		die "$name $said is too old: it speaks version $version of Docker's API" "the lab needs 1.41, as Docker Engine 20.10 and Podman 4 have it"
}

# others_folder [PROJECT]: the folder that containers of this project were started from, if it is another one.
others_folder() {
	local folder
	asked ps --all --filter "label=com.docker.compose.project=${1:-$(project_name)}" --format '{{.Label "com.docker.compose.project.working_dir"}}' | sort -u |
		while IFS= read -r folder; do
			[ "$folder" -ef "$LAB_DIR" ] || { say "${folder:-a folder that is not known}" && break; }
		done
}

# others_thing PROJECT: a container, network or volume of somebody else that has a name which the lab would give
# to one of its own.
others_thing() {
	local mark kind name
	{
		asked ps --all --filter "name=^/?$1-" --format '{{.Label "com.docker.compose.project"}}:services {{.Names}}'
		asked network ls --filter "name=^$1_" --format '{{.Label "com.docker.compose.project"}}:networks {{.Name}}'
		asked volume ls --filter "name=^$1_" --format '{{.Label "com.docker.compose.project"}}:volumes {{.Name}}'
	} | while IFS=': ' read -r mark kind name; do
		[ "$mark" != "$1" ] || continue
		case $kind in
		services) grep -qxF "$name" < <(declared services | sed "s/.*/$1-&-1/") || continue ;;
		volumes) grep -qxF "$name" < <(declared volumes | sed "s/.*/$1_&/") || continue ;;
		networks) [ "$name" = "$1_default" ] || continue ;;
		esac
		say "$name" && break
	done
}

# need_own: nothing is started or removed in a project that another folder has containers in.
need_own() {
	local name folder thing proposal remedy
	name=$(project_name)
	remedy="give this lab another name: COMPOSE_PROJECT_NAME=$name-2, for each of its commands"
	if [[ ! $name =~ ^[a-z0-9][a-z0-9_-]*$ ]]; then
		proposal=$(tr '[:upper:]' '[:lower:]' <<<"$name" | sed 's/[^a-z0-9_-]/-/g; s/^[^a-z0-9]*//')
		die "COMPOSE_PROJECT_NAME is \"$name\", which Compose takes for no name" "small letters, digits, - and _: COMPOSE_PROJECT_NAME=${proposal:-my-lab}"
	fi
	folder=$(others_folder "$name") || silent ps
	[ -z "$folder" ] || die "$name is in use: its containers were started from $folder" "$remedy"
	thing=$(others_thing "$name") || silent ps
	[ -z "$thing" ] || die "$name is in use: somebody else has a thing of that name, $thing" "$remedy"
}

# tell_versions: a version that the environment sets wins, but not unseen.
tell_versions() {
	local key value
	while IFS='=' read -r key value; do
		case $key in '' | \#* | LAB_TAG) continue ;; esac
		[ "${!key}" = "${value%$'\r'}" ] || say "$key is ${!key}: your environment sets it, and .env has ${value%$'\r'}"
	done <"$LAB_DIR/.env"
}
