# Steps that several scenarios share.
# shellcheck shell=bash

extras() {
	if ! has_image "$TOOLS_IMAGE"; then
		say "  ${dim}building the image of the tools, once ...${plain}"
		output=$(bash "$LAB_DIR/scripts/build.sh" tools 2>&1) || {
			indent <<<"$output"
			fail "the image of the tools cannot be built"
		}
	fi
	run docker compose up --detach --no-deps "$@"
	[ "$exit_status" -eq 0 ] || fail "could not start $*"
}

present() {
	run docker compose up --detach --no-deps "$1"
	expect_soon 30 "Success!!!" "the client is served" docker compose exec --user client-workload client client
	eventually 60 "the client that has been running all along is served too" client_served
}

# lab_entry SERVICE [ARG...]: `entry update` replaces every field, so its entry is the lab's own but for what ARG says.
lab_entry() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry update -entryID "$1" -parentID spiffe://example.org/host -spiffeID "spiffe://example.org/$1" -selector "unix:user:$1-workload" "${@:2}"
}

short_lived() {
	local seconds=$1 service
	shift
	[ $# -gt 0 ] || set -- server client
	for service in "$@"; do
		lab_entry "$service" -x509SVIDTTL "$seconds"
		expect_success "SVIDs of $service live $seconds s from now on"
	done
	expect_left most "$seconds" 15 "what runs as $* holds an SVID that lives $seconds s at most" "$@"
}

usual_lives() {
	local service
	step "SVIDs live as long as usual again"
	[ $# -gt 0 ] || set -- server client
	for service in "$@"; do
		lab_entry "$service"
		expect_success "the entry of $service has the default TTL again"
	done
	expect_left least 600 60 "both programs hold an SVID of the usual lifetime" server client
}

forge() {
	run docker compose exec "$1" openssl req -x509 -batch -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \
		-keyout ca.key -out ca.pem -subj '/O=Home-made CA' -addext basicConstraints=critical,CA:TRUE
	[ "$exit_status" -eq 0 ] || fail "the home-made CA could not be made"
	run docker compose exec "$1" openssl req -x509 -batch -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \
		-CA ca.pem -CAkey ca.key -keyout "$2.key" -out "$2.pem" -subj /O=SPIRE \
		-addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
		-addext extendedKeyUsage=serverAuth,clientAuth -addext "subjectAltName=URI:$3"
	[ "$exit_status" -eq 0 ] || fail "the home-made certificate could not be made"
}

join() {
	local cli=/opt/spire/bin/spire-server
	extras "$1"
	run docker compose exec -T "$2" "$cli" bundle show '|' docker compose exec -T "$1" sh -c 'cat >/scratch/bundle.pem'
	expect_success "$1 can tell the true SPIRE server from any other"
	run docker compose exec "$2" "$cli" token generate -spiffeID "$3"
	token=$(sed -n 's/^Token: //p' <<<"$output")
	[ -n "$token" ] || fail "$2 made no token"
	run docker compose exec --detach "$1" spire-agent run -config "/etc/spire/$1/agent.conf" -joinToken "$token" -logFile /proc/1/fd/1
	expect_log "$1" "Node attestation was successful.*/spire/agent/join_token/$token\"" "its agent has joined"
	expect_log "$2" "Agent attestation request completed.*/spire/agent/join_token/$token\"" "$2 knows it by the token"
	expect_log "$1" 'Starting agent APIs' "it serves the Workload API to the programs of $1"
}

# authority Active|Prepared|Old: its ID, from what `localauthority x509 show` prints; nothing if there is none.
authority() { awk -v state="$1" '/ X.509 authority:$/ {mine = $1 == state} mine && /^ *Authority ID: / {print $NF}'; }

expect_refused() {
	local regex="TLS handshake error from [^ ]+: $2"
	run docker compose exec tools curl -sSk "${@:4}" "https://server:8443/$name"
	expect_no_output "Success!!!" "curl is not served"
	expect_log server "$regex" "$3"
	expect_no_log server "\"/$name\"" "no request came through"
	explain "curl sends its request before it reads the refusal: what it says differs from run to run. openssl sends nothing, and reads what it is told."
	mark_logs
	run docker compose exec tools openssl s_client -connect server:8443 "${@:4}" -brief -ign_eof
	expect_exit 1 "the connection failed"
	expect_output "alert $1" "openssl is told by an alert: $1"
	expect_log server "$regex" "the server refused it for the same reason"
}
