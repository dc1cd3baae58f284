# scripts/lab scenario no-certificate
# the server must refuse a client that presents no certificate

extras tools

step "curl with a certificate, the SVID of client-workload"
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
expect_success "client-workload fetches its SVID, as files"
run docker compose exec --user client-workload tools curl -sSk --cert svid.0.pem --key svid.0.key https://server:8443/
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"
explain "The k in -sSk turns off curl's check of the server's certificate. That check looks for a DNS name, and this certificate does not have one. The server's check of the client does not depend on this option."

step "curl without a certificate"
expect_refused "certificate required" "tls: client didn't provide a certificate" "the server refused, and logs that the client sent no certificate"
explain "The alert 'certificate required' has the number 116. The server refuses before it reads a single byte of HTTP."

step "Without a certificate over TLS 1.2, which does not have the alert 'certificate required'"
run docker compose exec tools openssl s_client -connect server:8443 -tls1_2 -brief -ign_eof
expect_exit 1 "the connection failed"
expect_output "alert handshake failure" "the client learns only that the handshake failed"
expect_log server "TLS handshake error from [^ ]+: tls: client didn't provide a certificate\$" "the server logs the same reason as over TLS 1.3"
