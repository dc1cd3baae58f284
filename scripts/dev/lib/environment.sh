# This file, which host.sh sources first, removes variables that would affect bash, docker, compose, go, git and make
# from outside. Variables that select an engine (DOCKER_HOST, DOCKER_CONTEXT), a mirror (GOPROXY) or a folder (HOME,
# TMPDIR) stay. DOCKER_CONTENT_TRUST stays, too, because it is a policy: with it the program lab refuses to start a lab.
# shellcheck shell=bash

unset POSIXLY_CORRECT BASH_ENV ENV CDPATH GREP_OPTIONS GREP_COLOR GREP_COLORS
set +o posix +o noglob +o noclobber
while read -r _ _ inherited; do unset -f "$inherited"; done < <(declare -F)
unset inherited AGENT_TTL CACHE_RELOAD_INTERVAL SYNC_INTERVAL SPIRE_SERVER_DISK
for key in "${!COMPOSE_@}" "${!BUILDX_@}" "${!BUILDKIT_@}" "${!GIT_@}"; do
	[ "$key" = COMPOSE_PROJECT_NAME ] || unset "$key"
done
unset DOCKER_BUILDKIT DOCKER_DEFAULT_PLATFORM DOCKER_API_VERSION MAKEFLAGS MFLAGS MAKEFILES MAKELEVEL GNUMAKEFLAGS
unset GOOS GOARCH GOEXPERIMENT GODEBUG GOBIN CGO_ENABLED
# The Go variables are set here because `go env -w` may have set other values. Numbers and the order of lines follow the
# C locale.
export GOWORK=off GOFLAGS=-mod=readonly GO111MODULE=on LC_ALL=C
