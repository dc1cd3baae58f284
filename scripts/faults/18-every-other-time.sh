# scripts/lab break every-other-time
# now and then the client meets somebody who is not the server
level 2
category "between: another container"
doctor LAB103

ticket() {
	cat <<'END'
  From: the team of the client
  Since the network was "tidied up" our client is served at one time and not at another, or at none: it says that it
  met somebody with another SPIFFE ID, and does not speak to him. The server's team swears that the server has
  one name, and one SPIFFE ID. There is nothing of the other one in their log.

  Please see that whoever asks for "server" reaches the server. The client must not become less strict.
END
}

right() {
	lab up --detach --no-deps spire-server
	wait_until 60 "the SPIRE server answers" cli healthcheck
}

wrong restart 'may meet somebody else' 'names are given when a container is made, and it was not made anew'
wrong_restart() { restarted spire-server spire-agent server client; }

wrong by_address 'may meet somebody else' 'one client goes round the name; everybody else still has to guess'
wrong_by_address() {
	local address
	address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container_of server)")
	remake client <<-END
		services: {client: {command: ["client", "-interval", "5s", "-health", "127.0.0.1:8080", "-url", "https://$address:8443/"]}}
	END
}

wrong takes_the_other 'takes spiffe://example.org/spire/server for its server' 'the client was right to be strict: now it speaks to whom it met'
wrong_takes_the_other() {
	remake client <<-'END'
		services: {client: {command: ["client", "-interval", "5s", "-health", "127.0.0.1:8080", "-server-id", "spiffe://example.org/spire/server", "-url", "https://spire-server:8443/"]}}
	END
}

wrong gone 'the SPIRE server does not answer' 'whoever had the name twice is gone, and so is the one who issues identities'
wrong_gone() { docker stop "$(container_of spire-server)"; }

hint answered_twice 'Where does the name lead? From a container of the lab: docker compose exec client observer client shows "addresses".'
hint answered_twice 'Two addresses have the name server. Whose is the other? docker network inspect names the containers of a network with their addresses; docker inspect the names of each.'
hint true 'The container of spire-server was made with the network alias server, and it listens on 8443, too (it offers its trust bundle there). docker compose up --detach spire-server makes it as compose.yaml has it.'

debrief() {
	cat <<'END'
  What it was: two containers had the name server on the lab's network, the second was the SPIRE server, whose bundle
    endpoint listens on port 8443 as well. DNS gave both addresses.
  How to see it: the client names the SPIFFE ID that it met, spiffe://example.org/spire/server. A name proves nothing;
    the client was never in danger, only without an answer.
  In life: an alias that was left over, a service twice in two Compose projects on one network
    (https://docs.docker.com/compose/how-tos/networking/).
  Which scenario shows it: make scenario-bad-server-id
END
}

# ------------------------------------------------- from here on you read what is to be found --------------------

answered_twice() { test "$(inside client root observer -limit 3s client | captured '"addresses":\[([^]]*)\]' | distinct '[0-9]+\.[0-9.]+')" -ge 2; }
inject() {
	remake spire-server <<-'END'
		services: {spire-server: {networks: {default: {aliases: [server]}}}}
	END
	wait_until 60 "the SPIRE server answers" cli healthcheck
}
shows() { answered_twice; }
