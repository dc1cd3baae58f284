# scripts/lab break every-other-time
# sometimes the client connects to something that is not the server
level 2
category "between: another container"
doctor LAB103

ticket() {
	cat <<'END'
  From: the team of the client
  Since the network was "tidied up" our client is served one time and not the next. When it is not, it says that it met a
  different SPIFFE ID, and it sends no request. The server's team swears that the server has one name and one
  SPIFFE ID, and that its log shows nothing of those connections.

  Please see that whoever asks for "server" reaches the server. The client must not become less strict.
  The new name ca and the variable INVENTORY of the SPIRE server are wanted, and stay.
END
}
states 'it met a different SPIFFE ID' met_another
states 'its log shows nothing of those connections' '! log_of server | grep -E "spiffe://example.org/spire/server"'

cause name-twice "Two containers have the name \"server\" on the network."
answer forged-certificate "Somebody forged a certificate for the server's name." \
	"The client logged an unexpected SPIFFE ID. It checks a SPIFFE ID only after it has verified the certificate with the trust bundle, so the certificate was not forged." 'docker compose logs client'
answer server-entry "Somebody changed the SPIFFE ID in the server's entry." \
	"The SVID of server-workload has the SPIFFE ID spiffe://example.org/server, during the fault and after it." 'make svid'
answer two-entries "Two entries match the server, so it has two SVIDs." \
	"Exactly one entry has the selector unix:user:server-workload, during the fault and after it." 'make entries'
answer wrong-url "The client was started with the wrong URL of its server." \
	"The client has no flag -url, so it requests https://server:8443/, during the fault and after it." 'docker compose config client'

setup() {
	override spire-server <<-'END'
		# By the network team: the SPIRE server has the name ca, too.
		services:
		  spire-server:
		    environment: {INVENTORY: network-team}
		    networks:
		      default:
		        aliases:
		          - ca
	END
	wait_until 60 "the SPIRE server answers" cli healthcheck
	wait_until 60 "the agent is connected" client_served
}

right() {
	edited compose.override.yaml '^ *- server$' '' | override spire-server
	wait_until 60 "the SPIRE server answers" cli healthcheck
}

also written_out
right_written_out() {
	edited compose.override.yaml '- server$' '- spire-server' | override spire-server
	wait_until 60 "the SPIRE server answers" cli healthcheck
}

also recreated
right_recreated() {
	edited compose.override.yaml '^ *- server$' '' | override
	lab rm --stop --force spire-server
	lab up --detach
	wait_until 60 "the SPIRE server answers" cli healthcheck
}

wrong by_address 'which is not an address of the container "server"' 'The client no longer uses the name "server". Everybody else who looks up this name still gets two addresses.' 'docker inspect "$(container_of client)" | grep -E "https://[0-9.]+:8443/"'
wrong_by_address() {
	local address
	address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container_of server)")
	client_asks "https://$address:8443/"
}

wrong takes_the_other 'the client accepts the server SPIFFE ID spiffe://example.org/spire/server' 'The client was right to refuse the SPIRE server. Now it authorizes the SPIRE server, and sends its requests to the SPIRE server.'
wrong_takes_the_other() {
	remake client <<-'END'
		services: {client: {command: ["client", "-interval", "5s", "-health", "127.0.0.1:8080", "-server-id", "spiffe://example.org/spire/server", "-url", "https://spire-server:8443/"]}}
	END
}

wrong stopped 'the SPIRE server does not answer' 'The name "server" now has only one address. But the SPIRE server is stopped, so it issues no SVIDs.'
wrong_stopped() { docker stop "$(container_of spire-server)"; }

wrong hosts_file 'which is not an address of the container "server"' 'The setting extra_hosts changes the file /etc/hosts in only one container. Everybody else who looks up the name "server" still gets two addresses.' 'docker inspect "$(container_of client)" | grep -E "\"server:[0-9.]+\""'
wrong_hosts_file() {
	local address
	address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container_of server)")
	remake client <<-END
		services: {client: {extra_hosts: ["server:$address"]}}
	END
}

wrong new_lab 'the SPIRE server has lost its data' 'The data of the SPIRE server was deleted, and the SPIRE server still has the alias "server".'
wrong_new_lab() { lab down --volumes && lab up --detach; }

wrong whole_file 'INVENTORY' 'The client always reaches the server, but the name ca and the variable INVENTORY were deleted together with compose.override.yaml.' '! override_has .'
wrong_whole_file() {
	no_override spire-server
	wait_until 60 "the SPIRE server answers" cli healthcheck
}

hint true 'To which addresses does the name "server" resolve? See "addresses" in the output of: docker compose exec client observer client'
hint true 'The name "server" should resolve to one address. The command "docker network inspect" shows which container has which address. The command "docker inspect" shows the aliases of a container. An alias is a name on the network.'
hint true 'The fault: compose.override.yaml gave the SPIRE server the alias "server". The bundle endpoint of the SPIRE server listens on port 8443, like the server. Remove the alias "server" from compose.override.yaml, keep the other lines, and run "docker compose up --detach spire-server".'

debrief() {
	cat <<'END'
  What it was: compose.override.yaml gave the name "server" on the lab's network to a second container, the SPIRE
    server. So the name "server" resolved to the addresses of two containers. The bundle endpoint of the SPIRE server
    listens on port 8443, like the server.
  How to see it: the client logs an unexpected SPIFFE ID, spiffe://example.org/spire/server. The client sent no request
    to the SPIRE server. A DNS name proves nothing, so the client does not rely on the name.
  What a restart or docker compose up changes: nothing. An alias is part of a container's network settings, and a
    restart keeps these settings. When Compose recreates the container, it reads the override, and sets the alias
    again.
  Seen in production: an alias was left over, or two Compose projects on one network had a service with the same name
    (https://docs.docker.com/compose/how-tos/networking/).
  Which scenario shows it: make scenario-bad-server-id
END
}

# ------------------------------------------------- the solution: do not read on while you search ----------------

met_another() { log_of client | grep -E 'unexpected ID "spiffe://example.org/spire/server"'; }
answered_twice() { test "$(inside client root observer -limit 3s client | captured '"addresses":\[([^]]*)\]' | distinct '[0-9]+\.[0-9.]+')" -ge 2; }
inject() {
	override_adds spire-server <<-'END'
		          - server
	END
	wait_until 60 "the SPIRE server answers" cli healthcheck
	wait_until 80 "the client has met the other one" met_another
}
shows() { answered_twice; }
