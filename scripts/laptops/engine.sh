# engine: its version, its kind, and whether it answers
# shellcheck shell=bash disable=SC2154,SC2016

laptop "no docker command"
without docker
refused up "the docker command was not found" "https://docs.docker.com/get-docker/"

laptop "an engine that does not answer"
set_to DOCKER_HOST=unix:///nowhere.sock
refused up "no Docker Engine answers: " "DOCKER_HOST is unix:///nowhere.sock"

laptop "an engine that the user may not speak to"
stand_in docker 'echo "Got permission denied while trying to connect to the Docker daemon socket" >&2; exit 1'
refused up "your user may not speak to the Docker Engine" "usermod -aG docker"

laptop "Docker Engine 19.03"
stand_in docker 'case "$1" in version) echo "1.40 19.03.15 Engine," ;; *) exec "$real" "$@" ;; esac'
refused up "is too old: it speaks version 1.40 of Docker's API" "the lab needs 1.41"

laptop "Podman 3"
stand_in docker 'case "$1" in version) echo "1.40 3.0.1 Podman Engine," ;; *) exec "$real" "$@" ;; esac'
refused up "Podman 3.0.1 is too old" "Podman 4"

laptop "Podman 5, whose version is no Docker's"
stand_in docker 'case "$1" in version) echo "1.41 5.4.2 Podman Engine," ;; *) exec "$real" "$@" ;; esac'
asks look_first

laptop "Podman's own docker command"
stand_in docker 'case "$1" in --version) echo "podman version 4.3.1" ;; *) echo "template: nil pointer" >&2; exit 125 ;; esac'
refused up "the docker command is Podman's own" "DOCKER_HOST"

laptop "Compose 2.17, and no Go"
stand_in docker 'case "$*" in *ClientInfo*) echo "v2.17.0 /usr/libexec/docker-compose" ;; *) exec "$real" "$@" ;; esac'
without go
refused up "docker compose 2.20 or newer was not found, and there is no Go to build it with"
