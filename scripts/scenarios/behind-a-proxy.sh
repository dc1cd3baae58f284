# scripts/lab scenario behind-a-proxy
# a server must authenticate the peer of its TLS connection, not the client behind a proxy

step "Without a proxy"
run docker compose exec --user client-workload client client
expect_success "the client is served"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/"' "the server sees the client"

step "Through a relay, which copies the bytes of a TCP connection"
extras relay
expect_log relay 'passing connections on' "the relay is ready"
run docker compose exec --user client-workload client client -url https://relay:8443/relayed
expect_output "Success!!!" "the client is served, and has verified the server, not the relay"
expect_log relay 'passing a connection on from' "the connection went through the relay"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/relayed"' "the server sees the client"
explain "The TLS connection goes from the client to the server. The relay has no SVID and no key, and cannot read or change the data."

step "A proxy that terminates TLS"
run docker compose exec spire-server /opt/spire/bin/spire-server entry create -entryID scenario-behind-a-proxy -parentID spiffe://example.org/host -spiffeID spiffe://example.org/proxy -selector unix:user:guest-workload
expect_success "the proxy gets the SPIFFE ID spiffe://example.org/proxy"
extras server-for-proxy tls-proxy
expect_log tls-proxy 'serving on' "the proxy is ready"
expect_log server-for-proxy 'serving on' "the server behind the proxy is ready"
run docker compose exec --user client-workload client client -url https://tls-proxy:8443/
expect_exit 4 "the client refuses the proxy"
expect_output 'unexpected ID "spiffe://example.org/proxy"' "the client's peer is the proxy, but the client expects the server"

step "A client that expects the proxy, and a server that authorizes the proxy"
run docker compose exec --user client-workload client client -server-id spiffe://example.org/proxy -url https://tls-proxy:8443/proxied
expect_output "Success!!!" "the client is served"
expect_log tls-proxy 'sending on a request of "spiffe://example\.org/client"' "the proxy has authenticated the client"
expect_log server-for-proxy 'Request received from "spiffe://example\.org/proxy": GET "/proxied"' "the server sees the proxy"
explain "There are two TLS connections, and the proxy is a peer in both. It names the client in the header X-Forwarded-Client-Cert. To the server this header is only text that the proxy wrote."

step "Another program of the proxy's Unix user sends the same header"
extras tools
run docker compose exec tools spire-agent api fetch x509 -write /scratch
expect_output "spiffe://example.org/proxy" "a program of the proxy's user gets the proxy's SVID"
run docker compose exec tools curl -sSk --cert svid.0.pem --key svid.0.key -H 'X-Forwarded-Client-Cert: URI=spiffe://example.org/client' https://server-for-proxy:8443/header
expect_output "Success!!!" "curl can write this header, and is served"
expect_log server-for-proxy 'Request received from "spiffe://example\.org/proxy": GET "/header"' "the server sees the proxy's SPIFFE ID, and ignores the header"
run docker compose exec tools curl -sSk --cert svid.0.pem --key svid.0.key -H 'X-Forwarded-Client-Cert: URI=spiffe://example.org/client' https://server:8443/header
expect_no_output "Success!!!" "the lab's server does not serve curl"
expect_log server 'TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/proxy"' "the server refused the connection before it read any header"

step "Without a proxy again"
run docker compose exec --user client-workload client client
expect_success "the client is served"
