# files: line endings, modes, names, what is left of an earlier run
# shellcheck shell=bash disable=SC2154,SC2034,SC2016

starts "Git for Windows, core.autocrlf=true"
clone lab --config core.autocrlf=true
works up "the client is served"

starts "umask 077"
mask=077
clone lab
works up "the client is served"

starts "umask 027, in a folder with spaces, a dollar, quotes and a leading dash"
mask=027
clone '-My "lab" of $HOME'"'s"
works up "the client is served"

starts "a stamp of the images that is cut off, and a link to the folder"
does ln -s lab ../link
does sh -c ': >".cache/built-$0"' "$LAB_TAG"
folder=$box/link
works up "the client is served"
folder=$box/lab
works down "Removed"
holds "something is left: $(state)" test -z "$(state)"

starts "a folder called 演習"
clone 演習
works up "the client is served"

environment "a folder called 演習, and docker compose alone"
clone 演習
holds "Compose finds no name for it" env -u COMPOSE_PROJECT_NAME "$COMPOSE" --project-directory "$folder" config --quiet

environment "a folder with a leading dash, spaces, a dollar and quotes"
clone '-My "lab" of $HOME'
asks 'part preflight; ensure_compose; compose config --services' "spire-agent"
works scenarios "bad-id"

environment "no execute bits, as a zip leaves them"
does find scripts services spire -type f -exec chmod a-x {} +
works scenarios "bad-id"
asks 'part build; say built' "built"

starts "no git; and server.conf is edited afterwards"
without git
does rm -rf .git
works up "the client is served"
does sed -i.bak 's/"1h"/"30m"/' spire/server/server.conf
works up "rebuilt: spire-server" "the client is served"

starts "a server.conf that SPIRE does not understand"
does sh -c 'echo "nonsense = 1" >>spire/server/server.conf'
fails up "LAB042: the SPIRE server ends by itself" "Unknown configuration detected"

environment "agent.conf saved with the line endings of Windows"
does sed -i.bak $'s/$/\r/' spire/agent/agent.conf
refused up "spire/agent/agent.conf has the line endings of Windows" "git checkout -- spire/agent/agent.conf"

environment ".cache is a file"
does sh -c 'rm -rf .cache && : >.cache'
refused up "/.cache cannot be written" "sudo rm -rf"

environment ".cache is a link to a disk that is not there"
does sh -c 'rm -rf .cache && ln -s /nowhere/at/all .cache'
refused up "/.cache cannot be written"

environment "a folder in which nothing can be written"
does rm -rf .cache
read_only "$folder"
refused up "$folder cannot be written" "git clone"

environment ".cache in which nothing can be written"
does mkdir -p .cache
read_only "$folder/.cache"
refused up "/.cache cannot be written" "sudo rm -rf"

environment "a symlinked folder"
does ln -s lab ../link
folder=$box/link
asks 'part preflight; ensure_compose; compose config --services' "spire-agent"
works scenarios "bad-id"

environment "a folder with a very long name"
clone "$(printf 'a very long name %.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14)"
asks 'part preflight; ensure_compose; compose config --services' "spire-agent"
works scenarios "bad-id"

environment "a lock that a dead process has left"
does sh -c 'sleep 0 & wait $!; echo $! >.cache/lock-images'
asks 'lock images 0 "somebody builds"; say "<$(cat "$CACHE_DIR/lock-images")>"; [ "$(cat "$CACHE_DIR/lock-images")" = $$ ]' "<"

environment "a lock that an archive has made a file of"
does sh -c ': >.cache/lock-images'
asks '(lock images 0 "somebody builds") || true' "error: somebody builds (process unknown)" "hint: wait until it has ended; if it never does: rm $folder/.cache/lock-images"

environment "programs of SPIRE that were compiled halfway"
does sh -c 'rm -rf .cache/prebuilt-images; mkdir -p .cache/prebuilt-images/spire-server/opt/spire/bin; : >.cache/prebuilt; : >.cache/prebuilt-images/spire-server/opt/spire/bin/spire-server; echo made >.cache/prebuilt-images/spire-server.made'
does sh -c 'rm -f .cache/built-*'
stub go 'case "$1" in build) echo "go: no network here" >&2; exit 1 ;; *) exec "$real" "$@" ;; esac'
refused up "compiling spire-server" "could not be built from its Go module: go: no network here" "does this machine reach a Go module mirror?"

environment "a half-written Compose of an earlier run"
stub docker 'case "$*" in *ClientInfo*) exit 0 ;; esac; exec "$real" "$@"'
does sh -c 'mkdir -p .cache/bin && echo half >.cache/bin/docker-compose && chmod +x .cache/bin/docker-compose'
without go
refused up "docker compose 2.20 or newer was not found, and there is no Go to build it with" "https://docs.docker.com/compose/install/"
