# scripts/lab scenario plain-http
# the server must refuse a client that speaks plain HTTP, and say why

url_path=/plain-http-$$

step "curl, as client-workload, speaks HTTPS and presents its SVID"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
run docker compose exec --user client-workload tools curl -sS -k --cert svid.0.pem --key svid.0.key "https://server:8443$url_path"
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"
expect_log server "Request received from \"spiffe://example.org/client\": GET \"$url_path\"" "the server logs the client's SPIFFE ID"

step "curl sends the same request by plain HTTP"
run docker compose exec --user client-workload tools curl -sS -i "http://server:8443$url_path"
expect_no_output "Success!!!" "curl is not served by plain HTTP"
expect_output "HTTP/1.0 400 Bad Request" "the server refuses the request"
expect_output "Client sent an HTTP request to an HTTPS server." "the answer says what the client did wrong"
expect_log server 'TLS handshake error from [^ ]+: client sent an HTTP request to an HTTPS server$' "the server logs that it saw no TLS"
expect_no_log server "Request received from .* GET \"$url_path\"" "the request never reached the handler of the server"
explain "The server does not redirect to https. A client that is redirected has already sent its request unencrypted, so anyone on the network could read it. The client would send its next request unencrypted, too."
