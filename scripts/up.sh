#!/usr/bin/env bash
# Starts the lab and waits until the client has been served. Brings the images up to date first,
# and says what it made anew.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

look_first
project=$(project_name)
story=$CACHE_DIR/up-$project.txt # of a start that failed, for the doctor

# in_trouble: the first service, in the order of their start, that is not as it should be; else the client.
in_trouble() {
	local service state
	for service in node spire-server bootstrap spire-agent server client; do
		state=$(docker inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' "$(container_of "$service")" 2>/dev/null) || state=missing
		case "$service $state" in
		'bootstrap exited 0 '* | *' running 0 0') ;;
		*) say "$service" && return ;;
		esac
	done
	say client
}

# give_up WHAT: ends with the doctor's finding; where it has none, with the last lines of the service that is
# in trouble.
give_up() {
	local service finding
	say "error: $1" >>"$story"
	if finding=$(bash "$LAB_DIR/scripts/doctor.sh" 2>&1) || [ $? -ne 1 ]; then
		service=$(in_trouble)
		compose logs --no-log-prefix --tail 15 "$service" 2>&1 | sed 's/^/  /' >&2
		die "$1; the lines above are of $service" "make down removes what is half there"
	fi
	printf 'error: %s\n%s\n' "$1" "$finding" >&2
	exit 1
}

: >"$story"
{ bash "$LAB_DIR/scripts/build.sh" 2>&1 >&3 | tee "$story" >&2; } 3>&1 || {
	! grep -q '^hint: ' "$story" || exit 1 # it has said what is wrong, and what to do
	give_up "the lab has no images"
}
started=$SECONDS
# Podman 4 tells Compose a network's name where its ID is asked for. So Compose takes every container for one of
# another network, and would replace it, which Podman refuses for a container that others depend on.
if [[ $PODMAN == 4.* ]] && [ -n "$(container_of node)" ]; then
	say "Podman 4 cannot replace single containers: all of the lab's are made anew"
	compose down >"$story" 2>&1 || { cat "$story" >&2 && give_up "the lab's containers cannot be removed"; }
fi
if ! output=$(compose up --detach --remove-orphans 2>&1); then
	say "$output" | tee "$story" >&2
	give_up "the lab did not start"
fi
recreated=$(sed -n "s/^ *Container $project-\(.*\)-1  *Recreated.*/\1/p" <<<"$output" | sort -u | xargs)
[ -z "$recreated" ] || say "made anew, for their images or settings have changed: ${recreated// /, }"
case " $recreated " in
*' spire-server '*)
	say "the agent is restarted: it would go on serving the SVIDs that the SPIRE server signed before"
	compose restart spire-agent >/dev/null 2>&1 || give_up "the agent cannot be restarted"
	wait_until 30 "the agent serves again" inside client client-workload svid || give_up "the agent does not come back"
	;;
esac
wait_until 60 "the client's latest request was served" client_served || give_up "the lab started, but the client is not served"
rm -f "$story"
# Its log has the runs before as well.
docker logs "$(container_of bootstrap)" 2>&1 | awk '/^\$ spire-server entry show$/ { said = "" } { said = said "  " $0 "\n" } END { printf "%s", said }'
# Of what the client writes only the answers go to its standard output.
say "the client is served ($((SECONDS - started)) s): $(docker logs "$(container_of client)" 2>/dev/null | tail -n 1)"
compose ps --format 'table {{.Service}}\t{{.Status}}'
cat <<END

Try next:
  make scenario-bad-id    run the client as the wrong user, and see who refuses
  make scenarios          all that can be broken on purpose
  make svid               the identity that each user gets
  make logs               what the two programs say
  make down               remove everything
END
