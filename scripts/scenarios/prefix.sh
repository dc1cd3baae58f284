# scripts/lab scenario prefix
# a prefix rule must compare whole path segments: the prefix /client must match /client/a, but not /client-evil

# entry NAME PATH SELECTOR: creates an entry of this scenario, with the lab's host as its parent.
entry() {
	run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID "scenario-prefix-$1" -parentID spiffe://example.org/host -spiffeID "spiffe://example.org/$2" -selector "$3"
	expect_success "there is an entry for spiffe://example.org/$2"
}

# ask USER: sends one request to the server that authorizes by prefix.
ask() { run docker compose exec --user "$1" client client -wait 15s -url https://prefix-server:8443/; }

step "A server that accepts spiffe://example.org/client, and every SPIFFE ID below it"
extras prefix-server
entry below client/a unix:user:guest-workload
entry beside client-evil unix:uid:4242
expect_log prefix-server 'serving on' "the server is ready"

step "Clients at the prefix, and below it"
ask client-workload
expect_success "client-workload is served"
expect_log prefix-server 'Request received from "spiffe://example\.org/client"' "the client's SPIFFE ID is the prefix itself"
ask guest-workload
expect_success "guest-workload is served"
expect_log prefix-server 'Request received from "spiffe://example\.org/client/a"' "this SPIFFE ID is the prefix, a slash and one more segment"

step "A client whose SPIFFE ID begins with the letters of the prefix, but is not below the prefix"
ask 4242
expect_exit 4 "the process of user 4242 is refused"
expect_output "remote error: tls: bad certificate" "the client learns only that its certificate is bad"
expect_no_output "Success!!!" "the client is not served"
expect_log prefix-server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/client-evil"' "the server refused, and logs the client's SPIFFE ID"
explain "As text, spiffe://example.org/client-evil begins with spiffe://example.org/client. go-spiffe's AuthorizeIDPrefix compares whole path segments: the path must be /client, or begin with /client/."

step "The two permitted clients again"
ask client-workload
expect_success "client-workload is still served"
ask guest-workload
expect_success "guest-workload is still served"
