# scripts/lab scenario plain-http
# a client that speaks plain HTTP must be told so, and get nothing

url_path=/plain-http-$$

step "First a client that speaks HTTPS and shows its SVID: curl, as client-workload"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
run docker compose exec --user client-workload tools curl -sS -k --cert svid.0.pem --key svid.0.key "https://server:8443$url_path"
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"
expect_log server "Request received from \"spiffe://example.org/client\": GET \"$url_path\"" "the server knows who asked"

step "The same user, host and port, by plain HTTP"
run docker compose exec --user client-workload tools curl -sS -i "http://server:8443$url_path"
expect_no_output "Success!!!" "nothing is served by plain HTTP"
expect_output "HTTP/1.0 400 Bad Request" "the answer is a refusal"
expect_output "Client sent an HTTP request to an HTTPS server." "the client is told what it did wrong"
expect_log server 'TLS handshake error from [^ ]+: client sent an HTTP request to an HTTPS server$' "the server saw no TLS"
expect_no_log server "Request received from .* GET \"$url_path\"" "the request never reached the program behind TLS"
explain "The refusal comes without a redirect to https. A client that is redirected has already sent its request, with all that is in it, to whoever was listening; and it does so again the next time."
