# Sourced by host.sh before anything else: what steers bash, docker, compose, go, git and make from
# outside has no say in the lab. What chooses an engine (DOCKER_HOST, DOCKER_CONTEXT), a mirror (GOPROXY)
# or a place (HOME, TMPDIR) has; what is somebody's policy the program lab refuses.
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
# Said outright, for `go env -w` may have said otherwise. Numbers and the order of lines are the C locale's.
export GOWORK=off GOFLAGS=-mod=readonly GO111MODULE=on LC_ALL=C
