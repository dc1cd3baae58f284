#!/usr/bin/env bash
# the doctor must find nothing in a healthy lab, and the first cause whichever part is dead; no secret may be in its report
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin
report=$scratch/report
impostor=$project-scenario-impostor
fault=$CACHE_DIR/fault-$project
planted=''
put_away() {
	docker rm --force "$impostor"
	[ -z "$planted" ] || rm -f "$fault" "$fault.hints"
} >/dev/null 2>&1
doctor() { "$LAB_DIR/scripts/lab" doctor "$@"; }
report() { "$LAB_DIR/scripts/lab" report --patience 30s "$report" >/dev/null; } # it waits for each answer

# finds CODE: what it says is in $scratch/said.
finds() {
	doctor >"$scratch/said" || true
	[[ $(<"$scratch/said") == "$1: "* ]]
}
well() { [[ $(doctor) == 'all is well: '* ]]; }

# found CODE WHY
found() {
	local start=$SECONDS
	wait_until 60 "the doctor says $1" finds "$1" || fail "$2: the doctor says: $(doctor 2>&1 || true)"
	passed "$2: $1 ($((SECONDS - start)) s)"
}

# healthy WHY: one line, and exit status 0.
healthy() {
	wait_until 60 "the doctor finds nothing" well || fail "$1: the doctor says: $(doctor 2>&1 || true)"
	passed "$1"
}

# remedied CODE WHY: the doctor finds it; the command that it prints is run as it is; then it finds nothing.
remedied() {
	local command words
	found "$1" "$2"
	command=$(sed -n 's/^  do: .*\(docker compose exec spire-server .*\)$/\1/p' "$scratch/said")
	[ -n "$command" ] || fail "$1: the doctor proposes no command: $(cat "$scratch/said")"
	eval "words=($command)"
	run "${words[@]}"
	expect_success "the command that the doctor proposes"
	healthy "then it finds nothing"
}

# absent_text TEXT WHAT: is not in the report.
absent_text() {
	[ -n "$1" ] || fail "there is no $2 to look for"
	! grep -qF -- "$1" "$report" || fail "the report has $2"
}

# file_of SERVICE PATH: the content of a file in its container.
file_of() { docker cp "$(container_of "$1"):$2" - | tar -xOf -; }

cli() { inside spire-server '' /opt/spire/bin/spire-server "$@"; }

step "A healthy lab"
healthy "one line, exit status 0"
expect "as JSON too" grep -q '^{"well":' <(doctor -o json)

step "The report has no secret"
# The server logs the path that it is asked for: so what must be hidden comes into the report.
for path in token=planted-token home/planted-user/file -----BEGIN%20PRIVATE%20KEY-----planted-key-----END%20PRIVATE%20KEY-----; do
	inside client client-workload client -url "https://server:8443/$path" >/dev/null
done
report
expect "it has the server's log" grep -qF 'GET \"~/file\"' "$report"
for text in planted-token planted-user planted-key; do absent_text "$text" "$text"; done
passed "what looks like a token, a home folder or a key is taken out"
secrets=$(file_of spire-agent /run/host-credential/key.pem | grep -v -e ----- && file_of spire-server /var/lib/spire/server/keys.json | grep -oE '[A-Za-z0-9+/=]{60,}')
[ "$(grep -c . <<<"$secrets")" -ge 3 ] || fail "the lab's own keys were not found"
while IFS= read -r text; do absent_text "$text" "a private key of the lab"; done <<<"$secrets"
passed "neither the host's key is in it, nor one of the SPIRE server's"
[ "${HOME:-/}" = / ] || absent_text "$HOME/" "the home folder"
absent_text "$LAB_DIR/" "the lab's folder"
passed "nor where home and the lab are on this machine"

step "A part is dead"
changes
sections=$(grep -c '"question": ' "$report")
docker stop "$(container_of spire-agent)" >/dev/null
found LAB051 "the agent is stopped"
report
expect "no section of the report is missing" [ "$(grep -c '"question": ' "$report")" -eq "$sections" ]
docker start "$(container_of spire-agent)" >/dev/null
docker stop "$(container_of spire-server)" >/dev/null
found LAB041 "the SPIRE server is stopped"
docker start "$(container_of spire-server)" >/dev/null
wait_until 30 "the SPIRE server answers" spire_server_answers
docker pause "$(container_of server)" >/dev/null
found LAB033 "the server is paused"
docker unpause "$(container_of server)" >/dev/null

step "An entry is wrong, and the command of the doctor corrects it"
# entry_of_client ARG...: as it is, but for what is given, with fields that no remedy may lose.
entry_of_client() {
	cli entry update -entryID client -dns client.example.org -hint "it's the client's" -x509SVIDTTL 600 -jwtSVIDTTL 120 -entryExpiry 4102444800 \
		-jwtSVIDIncludeJTI "$@" >/dev/null
}
parent='-parentID spiffe://example.org/host' id='-spiffeID spiffe://example.org/client' user='-selector unix:user:client-workload'
# shellcheck disable=SC2086 # a flag and its value
{
	entry_of_client $parent -spiffeID spiffe://example.org/cleint $user
	remedied LAB064 "a slip in the SPIFFE ID"
	entry_of_client -parentID spiffe://example.org/elsewhere $id $user
	remedied LAB065 "the wrong parent"
	entry_of_client $parent $id $user -selector unix:uid:1
	remedied LAB067 "one selector too many"
	entry_of_client $parent $id -selector unix:path:/opt/spiffe-lab/bin/client
	remedied LAB111 "every user who runs the program gets the SVID"
}
output=$(cli entry show -entryID client)
for field in 'X509-SVID TTL *: 600' 'JWT-SVID TTL *: 120' 'Expiration time *: 2100-01-01 ' 'DNS name *: client.example.org' "Hint *: it's the client's" \
	'JwtSvidIncludeJti *: true' 'Selector *: unix:path:/opt/spiffe-lab/bin/client' 'Selector *: unix:user:client-workload'; do
	grep -q "^$field" <<<"$output" || fail "a remedy has lost \"$field\": $output"
done
passed "no other field of the entry was lost"
# shellcheck disable=SC2086
entry_of_client $parent $id $user -x509SVIDTTL 5
remedied LAB072 "SVIDs that are valid for 5 s"

step "An entry too many, or none"
# shellcheck disable=SC2086
{
	cli entry create -entryID 0-scenario $parent -spiffeID spiffe://example.org/other $user >/dev/null
	remedied LAB068 "the default SVID is that of the entry whose ID sorts first"
	cli entry create -entryID scenario-other $parent -spiffeID spiffe://example.org/other $user >/dev/null
	remedied LAB112 "a second SVID, which is not the default"
	cli entry create -entryID scenario-wide $parent $id -selector unix:user:guest-workload >/dev/null
	remedied LAB111 "the guest gets the SVID of the client"
	cli entry create -entryID scenario-admin $parent -spiffeID spiffe://example.org/ops -selector "unix:path:/opt/the ops' tool" -admin -downstream >/dev/null
	remedied LAB116 "an entry that controls the SPIRE server"
}
expect "the entry itself is still there" grep -q "Selector *: unix:path:/opt/the ops' tool" <(cli entry show -entryID scenario-admin)
cli entry delete -entryID client >/dev/null
wait_until 60 "the doctor says LAB063" finds LAB063
report
remedied LAB063 "the entry is deleted"

step "Somebody else has the server's name"
docker run --detach --name "$impostor" --network "${project}_default" --network-alias server \
	--label com.docker.compose.project= --label com.docker.compose.service= "$WORKLOAD_IMAGE" node >/dev/null
found LAB103 "another container answers under it"
docker rm --force "$impostor" >/dev/null
healthy "all is well again"

step "The trainer's desk"
output=$(doctor "$report" || true)
expect_output "LAB063: client has no entry" "a report is judged as it was when it was written"

step "No engine, no image, no start"
output=$(DOCKER_HOST=unix:///nowhere doctor || true)
expect_output "LAB003" "the engine does not answer"
output=$(LAB_TAG=nowhere COMPOSE_PROJECT_NAME=$project-2 doctor || true)
expect_output "LAB024" "the images are not there"
mkdir "$scratch/cli-plugins"
cat >"$scratch/cli-plugins/docker-compose" <<-END
	#!/bin/sh
	case "\$*" in *' up '*) echo "failed to create network" >&2 && exit 1 ;; esac
	exec "$COMPOSE" "\$@"
END
chmod +x "$scratch/cli-plugins/docker-compose"
output=$(DOCKER_CONFIG=$scratch COMPOSE_PROJECT_NAME=$project-2 "$LAB_DIR/scripts/lab" up 2>&1) && fail "up succeeds where Compose does not"
rm -f "$CACHE_DIR/up-$project-2.json"
expect_output "LAB025" "make up, when it fails, ends with the finding"

step "While a fault is open that is to be found without the doctor"
[ ! -e "$fault" ] || fail "a fault is open here: $(cat "$fault")"
planted=1
printf 'number=7\nname=planted\nlevel=2\n' >"$fault"
output=$(doctor) && fail "the doctor speaks while a fault of level 2 is open"
expect_output "the doctor is off while fault 7 is open" "it is off"
output=$(FORCE=1 doctor) || true
expect_output "all is well" "FORCE=1 has it speak"
expect "which counts as a hint" grep -qx doctor "$fault.hints"
