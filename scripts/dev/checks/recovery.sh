# scripts/lab script scripts/dev/checks/recovery.sh
# the client must be served again within 15 s of whatever happened, with nothing done by hand but up

step "Restart of the agent"
run docker compose restart spire-agent
eventually 15 "served after a restart of the agent" served

step "Restart of the SPIRE server"
run docker compose restart spire-server
eventually 15 "served after a restart of the SPIRE server" served

step "Eviction of the agent"
run docker compose exec spire-server /opt/spire/bin/spire-server agent evict -spiffeID spiffe://example.org/spire/agent/x509pop/host
expect_success "the agent is evicted"
agents() { server_cli agent list | grep -E spiffe://example.org/spire/agent/x509pop/host; }
eventually 15 "the agent attested again" agents
eventually 15 "served after the eviction" served

step "Down, keeping the volumes, and up"
run docker compose down
run docker compose up --detach
expect_success "up over old volumes"
eventually 15 "served after down and up" served

step "The SPIRE server loses its data under a running agent"
run docker compose rm --stop --force spire-server bootstrap
run docker volume rm "${project}_spire-server-data"
expect_success "its volume is removed"
run docker compose up --detach
expect_success "up over a SPIRE server without data"
eventually 15 "served after the loss" served

step "Every container killed, one at a time, and up"
for service in client server spire-agent spire-server node; do
	run docker compose kill "$service"
	run docker compose up --detach
	expect_success "up after $service was killed"
	eventually 15 "served after $service was killed" served
done

step "Stop, and up twice in a row"
run docker compose stop
run docker compose up --detach
run docker compose up --detach
expect_success "a second up"
eventually 15 "served after stop and up" served
