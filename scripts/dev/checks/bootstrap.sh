# scripts/lab script scripts/dev/checks/bootstrap.sh
# bootstrap must create what is missing, change no entry that exists, and stop at every other failure

own='-parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload'

# entries: all that there are, but for their revision numbers.
entries() { server_cli entry show | grep -E '^([^FR]|F[^o]|R[^e])'; }

# as_before, as_made: they are what $before or $made has. A function, because a condition that does not hold is shown.
as_before() { test "$(entries)" = "$before"; }
as_made() { test "$(entries)" = "$made"; }

# changed WHY ARG...: an entry is changed, as a learner would do it.
changed() {
	local why="$1"
	shift
	run docker compose exec spire-server /opt/spire/bin/spire-server entry "$@"
	expect_success "$why"
}

# bootstrap_keeps: it succeeds, and every entry is what it was.
bootstrap_keeps() {
	before=$(entries)
	run docker compose run --rm --no-deps bootstrap
	expect_success "bootstrap succeeds"
	expect_output "bootstrap: done" "it came to its end"
	expect "the entries are what they were" as_before
}

# restored_as_printed: the commands that bootstrap printed, run as printed, restore the lab's own entries.
restored_as_printed() {
	local commands line
	commands=$(say "$output" | captured '^ *(docker compose exec .*)$')
	expect "it prints how to restore the lab's own entry" test -n "$commands"
	line=1
	while test "$line" -le "$(say "$commands" | count)"; do
		run $(say "$commands" | head -n "$line" | tail -n 1)
		expect_success "that works as printed"
		line=$((line + 1))
	done
	expect "the entries are the lab's own" as_made
}

step "Over a lab that is as it should be, bootstrap changes nothing"
bootstrap_keeps
for id in host server client; do
	expect_output "entry for spiffe://example.org/$id is as it should be" "it says so of the entry $id"
done
expect_no_output "differs" "it finds no difference"
made=$(entries)

step "An entry in which every field differs but its names is kept"
changed "the client's entry has a TTL, a selector, a DNS name and more" update -entryID client $own \
	-selector unix:uid:1112 -x509SVIDTTL 60 -jwtSVIDTTL 30 -dns client.test -hint try -admin -downstream -entryExpiry 4000000000 -jwtSVIDIncludeJTI
bootstrap_keeps
expect_output "The entry client differs from the lab's own entry" "it says which entry differs"
for line in "- X509-SVID TTL           : default" "+ X509-SVID TTL           : 60" "- JWT-SVID TTL            : default" "+ JWT-SVID TTL            : 30" \
	"+ Selector                : unix:uid:1112" "+ DNS name                : client.test" "+ Hint                    : try" "+ Admin                   : true" \
	"+ Downstream              : true" "+ Expiration time         : " "+ JwtSvidIncludeJti       : true"; do
	expect_output "$line" "it prints the difference"
done
expect_no_output ": unix:user:client-workload" "it does not print what is equal"
restored_as_printed

step "The entry ID client belongs to another SPIFFE ID: the lab starts nevertheless"
changed "the client's entry names somebody else" update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/other -selector unix:user:client-workload
run docker compose up --detach
expect_success "docker compose up succeeds"
bootstrap_keeps
expect_output "+ SPIFFE ID               : spiffe://example.org/other" "it prints the difference"
restored_as_printed

step "The entry ID client belongs to another parent, and the alias of the host to another agent"
changed "the client's entry is for another host" update -entryID client -parentID spiffe://example.org/elsewhere -spiffeID spiffe://example.org/client -selector unix:user:client-workload
changed "the alias has another selector" update -entryID host -parentID spiffe://example.org/spire/server -spiffeID spiffe://example.org/host \
	-selector spiffe_id:spiffe://example.org/spire/agent/x509pop/elsewhere
bootstrap_keeps
expect_output "+ Parent ID               : spiffe://example.org/elsewhere" "it prints the difference"
expect_output "+ Selector                : spiffe_id:spiffe://example.org/spire/agent/x509pop/elsewhere" "it prints the difference"
restored_as_printed

step "Entries with other entry IDs give the lab's SPIFFE IDs"
changed "the client's entry is deleted" delete -entryID client
changed "it is created under an ID of SPIRE's choice" create $own
changed "there is a second entry beside the server's" create -entryID second -parentID spiffe://example.org/host -spiffeID spiffe://example.org/server -selector unix:uid:1112
bootstrap_keeps
expect_output "- Entry ID                : client" "it prints the difference"
expect_output "The entry second differs from the lab's own entry" "it says which entry differs"
restored_as_printed

step "The entry ID client belongs to another SPIFFE ID, and two entries give the client's"
changed "the client's entry names somebody else" update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/other -selector unix:user:guest-workload
changed "there is a second entry" create -entryID second $own
changed "there is a third entry" create -entryID third $own -selector unix:uid:1112
bootstrap_keeps
for id in client second third; do expect_output "The entry $id differs from the lab's own entry" "it says which entry differs"; done
restored_as_printed

step "An entry that is missing is created"
changed "the client's entry is deleted" delete -entryID client
run docker compose run --rm --no-deps bootstrap
expect_success "bootstrap succeeds"
expect_output "spire-server entry create -entryID client $own" "it prints the command that it runs"
expect "the entries are the lab's own" as_made
eventually 60 "the client is served" client_served

step "A command that fails stops it, with the command and what it said"
run docker inspect --format '{{.Config.Image}}' "$project-bootstrap-1"
image=$output
run docker run --rm --network none --user 0:0 --cap-drop ALL --cap-add DAC_OVERRIDE --label com.docker.compose.project= --label com.docker.compose.service= \
	--volumes-from "$project-bootstrap-1:ro" "$image" /opt/spiffe-lab/bootstrap.sh
expect_exit 1 "bootstrap fails"
expect_output "bootstrap: 'spire-server x509 mint -spiffeID spiffe://example.org/node/host -ttl 8700h -write /run/host-credential' failed with exit status 1" "it names the command"
expect_output "read-only file system" "it shows what the command said"
expect_no_output "bootstrap: done" "it went no further"
