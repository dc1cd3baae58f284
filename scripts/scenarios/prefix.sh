# scripts/lab scenario prefix
# a rule for a part of the trust domain must end at a path segment: /client admits /client/a, and not /client-evil

# entry NAME PATH SELECTOR: an entry of this scenario on the lab's host.
entry() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID "scenario-prefix-$1" -parentID spiffe://example.org/host -spiffeID "spiffe://example.org/$2" -selector "$3"
	expect_success "there is an entry for spiffe://example.org/$2"
}

# ask USER: one request to the server that admits by prefix.
ask() { run docker compose exec --user "$1" client client -wait 15s -url https://prefix-server:8443/; }

step "A server that admits spiffe://example.org/client, and every SPIFFE ID below it"
extras prefix-server
entry below client/a unix:user:guest-workload
entry beside client-evil unix:uid:4242
expect_log prefix-server 'serving on' "the server is ready"

step "Clients at the prefix, and below it"
ask client-workload
expect_success "client-workload is served"
expect_log prefix-server 'Request received from "spiffe://example\.org/client"' "its SPIFFE ID is the prefix itself"
ask guest-workload
expect_success "guest-workload is served"
expect_log prefix-server 'Request received from "spiffe://example\.org/client/a"' "its SPIFFE ID continues the prefix after a slash"

step "A client whose SPIFFE ID begins with the same letters"
ask 4242
expect_exit 4 "the process of user 4242 is refused"
expect_output "remote error: tls: bad certificate" "it is told only that its certificate is bad"
expect_no_output "Success!!!" "nothing was served"
expect_log prefix-server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/client-evil"' "the server refused it, and names its SPIFFE ID"
explain "As text, spiffe://example.org/client-evil begins with spiffe://example.org/client. go-spiffe's AuthorizeIDPrefix compares whole path segments: the path must be /client, or begin with /client/."

step "The two permitted clients again"
ask client-workload
expect_success "client-workload is still served"
ask guest-workload
expect_success "guest-workload is still served"
