# scripts/lab scenario first-server
# an agent with insecure_bootstrap must trust an impostor SPIRE server, and an agent with a bundle must not

cli=/opt/spire/bin/spire-server
agent=spiffe://example.org/spire/agent/x509pop/host-b

# agent NAME FLAG...: starts one more agent on host-b.
agent() {
	local name=$1
	shift
	run docker compose exec --detach host-b spire-agent run -config /etc/spire/host-b/agent-x509pop.conf -dataDir "/scratch/$name" -logFile /proc/1/fd/1 "$@"
}

step "A second host, with a credential of its own and the trust bundle"
extras host-b
run docker compose exec -T spire-server "$cli" x509 mint -spiffeID spiffe://example.org/node/host-b -ttl 1h '|' docker compose exec -T host-b sh -c 'cat >/scratch/host.pem'
expect_success "host-b has a certificate and a key, for x509pop"
explain "The warning 'lifetime was capped shorter' is not true here. The scenario ttl-cap shows why."
run docker compose exec -T spire-server "$cli" bundle show '|' docker compose exec -T host-b sh -c 'cat >/run/trust-bundle/bundle.pem'
expect_success "host-b has the trust bundle"

step "An agent with the bundle joins the lab's SPIRE server"
agent real -serverAddress spire-server -trustBundle /run/trust-bundle/bundle.pem -socketPath /scratch/real.sock
expect_log host-b "Node attestation was successful.*spiffe_id=\"$agent\"" "the agent has verified the SPIRE server, and has joined"
expect_log spire-server "Agent attestation request completed.*agent_id=\"$agent\"" "the SPIRE server has authenticated the agent"

step "An agent with the bundle connects to an impostor of the SPIRE server"
extras impostor-spire-server
expect_log impostor-spire-server 'Starting Server APIs.*network=tcp' "the impostor serves the trust domain example.org, with a different CA"
agent wary -serverAddress impostor-spire-server -trustBundle /run/trust-bundle/bundle.pem -socketPath /scratch/wary.sock
expect_log host-b 'x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority' "the agent refuses the impostor, because no CA of the bundle has signed the impostor's certificate"
expect_no_log impostor-spire-server 'Agent attestation request completed' "the agent has not attested to the impostor"

step "An agent with insecure_bootstrap connects to the impostor"
agent trusting -serverAddress impostor-spire-server -insecureBootstrap
expect_log host-b 'Insecure bootstrap enabled; skipping server certificate verification' "the agent does not verify the SPIRE server"
expect_log host-b "Node attestation was successful.*spiffe_id=\"$agent\"" "the agent with insecure_bootstrap has joined the impostor, and reports a success"
expect_log impostor-spire-server "Agent attestation request completed.*agent_id=\"$agent\"" "the impostor has verified the host's certificate with the real trust bundle"
run docker compose exec impostor-spire-server "$cli" entry create -socketPath /scratch/api.sock -parentID "$agent" -spiffeID spiffe://example.org/client -selector unix:user:client-workload
expect_success "the impostor has an entry for a program of host-b"
expect_soon 30 "SPIFFE ID   spiffe://example.org/client" "client-workload of host-b gets an SVID with the right SPIFFE ID" docker compose exec --user client-workload host-b svid
explain "The agent trusted the first SPIRE server that answered, and got the trust bundle from it. From now on the impostor decides which SPIFFE IDs the workloads of this host have, and which CAs they trust."

step "The lab's server refuses the SVID, and the client on host-b refuses the lab's server"
run docker compose exec --user client-workload host-b sh -c 'cd /scratch && spire-agent api fetch x509 -write /scratch >/dev/null && curl -sSk --cert svid.0.pem --key svid.0.key https://server:8443/first-server'
expect_no_output "Success!!!" "the lab's server does not serve curl"
expect_log server 'TLS handshake error from [^ ]+: x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority' "the server refuses the SVID, because no CA in its trust bundle has signed it"
run docker compose exec --user client-workload host-b client -url https://server:8443/
expect_exit 4 "the client on host-b refuses the lab's server"
expect_output 'x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority' "this client has the impostor's trust bundle"
run docker compose exec --user client-workload client client
expect_success "the client on the first host is served"

step "The second host leaves"
run docker compose rm --stop --force host-b
run docker compose exec spire-server "$cli" agent evict -spiffeID "$agent"
expect_success "the lab's SPIRE server has forgotten the agent of host-b"
