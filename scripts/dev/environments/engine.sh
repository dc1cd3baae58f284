# engine: its version, its kind, and whether it answers
# shellcheck shell=bash disable=SC2154,SC2016

environment "no docker command"
without docker
refused up "the docker command was not found" "https://docs.docker.com/get-docker/"

environment "an engine that does not answer"
set_to DOCKER_HOST=unix:///nowhere.sock
refused up "no Docker Engine answers: " "DOCKER_HOST is unix:///nowhere.sock"

environment "an engine that the user may not speak to"
stub docker 'echo "Got permission denied while trying to connect to the Docker daemon socket" >&2; exit 1'
refused up "your user may not use the Docker Engine" "usermod -aG docker"

environment "a Docker context that is not there"
set_to DOCKER_CONTEXT=nowhere
refused up "no Docker Engine answers: " 'context "nowhere"' "DOCKER_CONTEXT is nowhere"

# Of each question that is asked before the start; a second of waiting is shorter here.
for question in version info ps; do
	environment "an engine that hangs at docker $question"
	stub docker '[ "$1" != '"$question"' ] || exec sleep 600; exec "$real" "$@"'
	stub sleep '[ "$1" != 1 ] || exec "$real" 0.1; exec "$real" "$@"'
	refused up "no Docker Engine answers: docker $question waited for 10 s" "restart Docker Desktop or the docker service"
	holds "it took $lasted s" test "$lasted" -le 15
done

environment "Windows containers"
stub docker 'case "$1" in version) echo "1.47 27.3.1 Engine,containerd, windows amd64" ;; *) exec "$real" "$@" ;; esac'
refused up "the Docker Engine runs Windows containers" "Switch to Linux containers"

environment "an engine of another architecture than what is prebuilt and the C compiler"
other=$(if [ "$(uname -m)" = x86_64 ]; then say arm64; else say amd64; fi)
stub docker 'case "$1" in version) echo "1.41 20.10.24 Engine, linux '"$other"'" ;; *) exec "$real" "$@" ;; esac'
does sh -c ': >.cache/prebuilt'
refused up "makes programs for " "and the engine runs linux/$other" "set CC"

environment "images of another architecture, from a neighbour's stick"
stub docker 'case "$1 $2" in "version "*) echo "1.41 20.10.24 Engine, linux '"$other"'" ;; "pull "*) echo "no matching manifest for linux/'"$other"'" >&2; exit 1 ;; *) exec "$real" "$@" ;; esac'
does sh -c 'rm -f .cache/prebuilt'
without go
refused up "cannot be pulled: no matching manifest" "there is no image for this machine's architecture"

environment "Docker Engine 19.03"
stub docker 'case "$1" in version) echo "1.40 19.03.15 Engine," ;; *) exec "$real" "$@" ;; esac'
refused up "is too old: it has version 1.40 of Docker's API" "the lab needs 1.41"

environment "Podman 3"
stub docker 'case "$1" in version) echo "1.40 3.0.1 Podman Engine," ;; *) exec "$real" "$@" ;; esac'
refused up "Podman 3.0.1 is too old" "Podman 4"

environment "Podman 5, whose version is no Docker's"
stub docker 'case "$1" in version) echo "1.41 5.4.2 Podman Engine," ;; *) exec "$real" "$@" ;; esac'
asks 'part preflight'

environment "Podman's own docker command"
stub docker 'case "$1" in --version) echo "podman version 4.3.1" ;; *) echo "template: nil pointer" >&2; exit 125 ;; esac'
refused up "the docker command is Podman's own" "DOCKER_HOST"

environment "Compose 2.17, and no Go"
stub docker 'case "$*" in *ClientInfo*) echo "v2.17.0 /usr/libexec/docker-compose" ;; *) exec "$real" "$@" ;; esac'
without go
refused up "docker compose 2.20 or newer was not found, and there is no Go to build it with"
