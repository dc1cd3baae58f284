# ownership: what is somebody else's
# shellcheck shell=bash disable=SC2154,SC2016

starts "a volume that only bears the project's label"
works up "the client is served"
does docker volume create --label "com.docker.compose.project=$project" "x_pgdata_$project"
works down "the volume x_pgdata_$project stays: the lab did not make it"
holds "the volume is gone" docker volume inspect "x_pgdata_$project"
holds "something else is left" test "$(state)" = "x_pgdata_$project"

starts "two clones with one name"
works up "the client is served"
clone another
refused up "$project is in use: its containers were started from $box/lab" "COMPOSE_PROJECT_NAME=$project-2"
refused down "is in use" "COMPOSE_PROJECT_NAME"
refused clean "is in use" "COMPOSE_PROJECT_NAME"
clone lab
works down

environment "a project of somebody else has the name"
does docker create --name "$project-db" --label "com.docker.compose.project=$project" --label com.docker.compose.project.working_dir=/srv/shop "$WORKLOAD_IMAGE" node
refused up "$project is in use: its containers were started from /srv/shop" "COMPOSE_PROJECT_NAME=$project-2"
refused down "/srv/shop"
does docker rm "$project-db"

for kind in container network volume; do
	environment "somebody else's $kind has a name of the lab's"
	case $kind in
	container) mine=$project-client-1 make=(create --name "$mine" --label com.docker.compose.project= "$WORKLOAD_IMAGE" node) ;;
	network) mine=${project}_default make=(network create "$mine") ;;
	volume) mine=${project}_workload-api make=(volume create "$mine") ;;
	esac
	does docker "${make[@]}"
	refused up "$project is in use: the $kind $mine exists and was not created by this lab" "COMPOSE_PROJECT_NAME=$project-2"
	refused down "$mine"
	does docker "$kind" rm "$mine"
done

environment "a volume that is called like one of a classroom's"
does docker volume create --label "com.docker.compose.project=$project-class-01" "$project-class-01_pgdata"
works classroom-down "there is no classroom"
holds "the volume is gone" docker volume inspect "$project-class-01_pgdata"
does docker volume rm "$project-class-01_pgdata"
