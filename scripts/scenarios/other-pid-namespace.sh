# scripts/lab scenario other-pid-namespace
# a process outside the agent's PID namespace must get no identity, although an entry matches

step "The client in the PID namespace of the host"
run docker compose exec --user client-workload client client
expect_success "the client is served"
run docker compose exec client svid
expect_output "SPIFFE ID   spiffe://example.org/client" "svid gets the identity of the entry"

step "A copy of the client, with the same user, program and socket, in a PID namespace of its own"
extras client-elsewhere
run docker compose exec client-elsewhere svid
expect_exit 1 "the copy gets no identity"
expect_log spire-agent 'could not resolve caller information' "the agent cannot tell which process has connected"
run docker compose exec client-elsewhere client -wait 3s
expect_exit 3 "the client exits without an identity"
explain "The entry matches the user, but this process has no PID in the agent's PID namespace."

step "The client in the host's PID namespace again"
run docker compose exec client svid
expect_output "SPIFFE ID   spiffe://example.org/client" "the client still gets its identity"
