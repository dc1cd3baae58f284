# shell: what is set in the learner's shell, or in the configuration of a tool
# shellcheck shell=bash disable=SC2154,SC2016

starts "a proxy in Docker's config.json"
does sh -c 'echo "{\"proxies\": {\"default\": {\"httpProxy\": \"http://127.0.0.1:9\", \"httpsProxy\": \"http://127.0.0.1:9\", \"noProxy\": \"intranet.test\"}}}" >"$0"' "$box/home/.docker/config.json"
works up "the client is served"

starts "proxies in Docker's config.json without noProxy, and in the environment"
does sh -c 'echo "{\"proxies\": {\"default\": {\"httpProxy\": \"http://127.0.0.1:9\", \"httpsProxy\": \"http://127.0.0.1:9\", \"allProxy\": \"socks5://127.0.0.1:9\"}}}" >"$0"' "$box/home/.docker/config.json"
set_to HTTP_PROXY=http://127.0.0.1:9 HTTPS_PROXY=http://127.0.0.1:9 ALL_PROXY=socks5://127.0.0.1:9 http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 all_proxy=socks5://127.0.0.1:9
works up "the client is served"
works scenario-bad-id "PASS bad-id"

starts "such proxies, and a compose.yaml without the lab's NO_PROXY: a verdict, in bounded time"
does sh -c 'echo "{\"proxies\": {\"default\": {\"httpProxy\": \"http://127.0.0.1:9\", \"httpsProxy\": \"http://127.0.0.1:9\"}}}" >"$0"' "$box/home/.docker/config.json"
does sed -i.bak -e '/NO_PROXY:/d' -e 's/no_proxy:.*/LAB: learner/' compose.yaml
fails up "error: " "LAB"
holds "it took $lasted s" test "$lasted" -le 100

environment "COMPOSE_FILE, COMPOSE_PROFILES, COMPOSE_ENV_FILES of another project"
set_to COMPOSE_FILE=/nowhere.yaml COMPOSE_PROFILES=other COMPOSE_ENV_FILES=/nowhere.env COMPOSE_DISABLE_ENV_FILE=1
asks 'part preflight; ensure_compose; compose config --services' "spire-agent"

environment "DOCKER_DEFAULT_PLATFORM of another machine"
set_to DOCKER_DEFAULT_PLATFORM=linux/s390x DOCKER_BUILDKIT=0 BUILDX_BUILDER=elsewhere
asks 'say "<${DOCKER_DEFAULT_PLATFORM:-}${DOCKER_BUILDKIT:-}${BUILDX_BUILDER:-}>"' "<>"

environment "a go.work above the clone, GOFLAGS=-mod=vendor, GOOS=plan9"
does sh -c 'printf "go 1.21\n" >../go.work'
set_to GOFLAGS=-mod=vendor GOOS=plan9 GO111MODULE=off
asks 'cd "$LAB_DIR" && go list -f "{{.Name}}" ./services/host' "main"

environment "GOWORK names a file that is not there"
set_to GOWORK=/nowhere/go.work
asks 'cd "$LAB_DIR" && go list -f "{{.Name}}" ./services/host' "main"

environment "GIT_DIR of another repository"
set_to GIT_DIR=/nowhere GIT_WORK_TREE=/
asks 'cd "$LAB_DIR" && git rev-parse --show-toplevel' "$folder"

environment "MAKEFLAGS=-n"
set_to MAKEFLAGS=n
asks 'make -C "$LAB_DIR" scenarios' "bad-id"

environment "POSIXLY_CORRECT, CDPATH, BASH_ENV"
does sh -c 'echo "set -o noclobber; alias docker=false" >../rc'
set_to POSIXLY_CORRECT=1 CDPATH=/:/tmp BASH_ENV="$box/rc"
asks 'part preflight; say "<$LAB_DIR>"' "<$folder>"

environment "a function called docker, exported"
set_to 'BASH_FUNC_docker%%=() { echo mine; }' 'BASH_FUNC_sed%%=() { echo mine; }'
asks 'part preflight; project_name' "$project"

environment "colours in grep"
set_to GREP_OPTIONS=--color=always GREP_COLORS=mt=31
asks 'say "<${GREP_OPTIONS:-}${GREP_COLORS:-}>"' "<>"

environment "SPIRE_VERSION of somebody's own"
set_to SPIRE_VERSION=0.12.0
asks 'part preflight' "SPIRE_VERSION is 0.12.0: your environment sets it, and .env has"

environment "SPIRE_VERSION set to nothing"
set_to SPIRE_VERSION=
asks 'compose config' "spire-agent:$SPIRE_VERSION"

environment "DOCKER_CONTENT_TRUST=1"
set_to DOCKER_CONTENT_TRUST=1
refused up "DOCKER_CONTENT_TRUST is set, and nobody has signed the lab's own images" "unset DOCKER_CONTENT_TRUST"

environment "TMPDIR is not there"
set_to TMPDIR=/nowhere
refused up "TMPDIR is /nowhere" "unset TMPDIR"

environment "COMPOSE_PROJECT_NAME with capitals and spaces"
set_to "COMPOSE_PROJECT_NAME=My Lab"
refused up 'COMPOSE_PROJECT_NAME is "My Lab", which is not a valid name of a Compose project' "COMPOSE_PROJECT_NAME=my-lab"

environment "no HOME"
set_to HOME=
asks 'part preflight'

# What a Mac does not have, and what its tools do not know of GNU's.
starts "the tools of a Mac, as far as they can be played here"
without timeout realpath nproc setsid tac sha256sum md5sum flock shuf numfmt ip free
stub sed 'case " $* " in *" -i "* | *" -z "* | *" -s "*) echo "sed: illegal option" >&2; exit 1 ;; esac; exec "$real" --posix "$@"'
stub grep 'for word; do case $word in --) break ;; -*P* | --perl*) echo "grep: illegal option" >&2; exit 2 ;; esac; done; exec "$real" "$@"'
stub readlink 'case $1 in -*) echo "readlink: illegal option" >&2; exit 1 ;; esac; exec "$real" "$@"'
stub date 'case "$*" in *-d* | *%N*) echo "date: illegal option" >&2; exit 1 ;; esac; exec "$real" "$@"'
stub xargs 'case " $* " in *" -r "* | *" -d "*) echo "xargs: illegal option" >&2; exit 1 ;; esac; exec "$real" "$@"'
stub find 'case "$*" in *-printf* | *-regextype*) echo "find: unknown primary" >&2; exit 1 ;; esac; exec "$real" "$@"'
stub stat 'echo "stat: illegal option" >&2; exit 1'
stub head 'case "$*" in *"-n -"*) echo "head: illegal line count" >&2; exit 1 ;; esac; exec "$real" "$@"'
stub sort 'case " $* " in *" -V "* | *" --version"*) echo "sort: illegal option" >&2; exit 1 ;; esac; exec "$real" "$@"'
stub base64 'case "$*" in *-w*) echo "base64: illegal option" >&2; exit 1 ;; esac; exec "$real" "$@"'
works up "the client is served"
works scenario-bad-id "PASS bad-id"
works doctor "all is well"
works report "report.json"

starts "the tools of Alpine: busybox in place of GNU's"
holds "busybox was not found (on Debian: apt-get install busybox)" command -v busybox
for tool in $(busybox --list 2>/dev/null); do
	case $tool in
	sh | ash | bash | busybox | ip | mount | umount | unshare | nsenter) ;; # not by its scripts, or the test's own
	*) if [ -n "$(command -v "$tool")" ]; then stub "$tool" 'exec busybox '"$tool"' "$@"'; fi ;;
	esac
done
works up "the client is served"
works scenario-bad-id "PASS bad-id"
works scenario-rotation "PASS rotation"
works doctor "all is well"
works report "report.json"

environment "make 3.81, as a Mac has it: no word of a newer one in the Makefile"
holds "the Makefile has one" sh -c '! grep -nE "!=|::=|\.ONESHELL|\.RECIPEPREFIX|\$\((file|guile|let|intcmp) " "$0"' "$LAB_DIR/Makefile"
