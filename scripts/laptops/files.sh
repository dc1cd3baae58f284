# files: line endings, modes, names, what is left of an earlier run
# shellcheck shell=bash disable=SC2154,SC2034,SC2016

starts "Git for Windows, core.autocrlf=true"
clone lab --config core.autocrlf=true
works up "the client is served"

starts "umask 077"
mask=077
clone lab
works up "the client is served"

starts "a folder called 演習"
clone 演習
works up "the client is served"

laptop "a folder called 演習, and docker compose alone"
clone 演習
holds "Compose finds no name for it" env -u COMPOSE_PROJECT_NAME "$COMPOSE" --project-directory "$folder" config --quiet

laptop "a folder with a leading dash, spaces, a dollar and quotes"
clone '-My "lab" of $HOME'
asks 'look_first; compose config --services' "spire-agent"
works scenarios "bad-id"

laptop "no execute bits, as a zip leaves them"
does find scripts services spire -type f -exec chmod a-x {} +
works scenarios "bad-id"
asks 'bash scripts/build.sh; say built' "built"

starts "no git; and server.conf is edited afterwards"
without git
does rm -rf .git
works up "the client is served"
does sed -i.bak 's/"1h"/"30m"/' spire/server/server.conf
works up "built anew: spire-server" "the client is served"

starts "a server.conf that SPIRE does not understand"
does sh -c 'echo "nonsense = 1" >>spire/server/server.conf'
fails up "the lines above are of spire-server" "nonsense"

laptop "agent.conf saved with the line endings of Windows"
does sed -i.bak $'s/$/\r/' spire/agent/agent.conf
refused up "spire/agent/agent.conf has the line endings of Windows" "git checkout -- spire/agent/agent.conf"

laptop ".cache is a file"
does sh -c 'rm -rf .cache && : >.cache'
refused up "/.cache cannot be written" "sudo rm -rf"

laptop ".cache is a link to a disk that is not there"
does sh -c 'rm -rf .cache && ln -s /nowhere/at/all .cache'
refused up "/.cache cannot be written"

laptop "a half-written Compose of an earlier run"
stand_in docker 'case "$*" in *ClientInfo*) exit 0 ;; esac; exec "$real" "$@"'
does sh -c 'mkdir -p .cache/bin && echo half >.cache/bin/docker-compose && chmod +x .cache/bin/docker-compose'
without go
refused up "docker compose 2.20 or newer was not found, and there is no Go to build it with" "https://docs.docker.com/compose/install/"
