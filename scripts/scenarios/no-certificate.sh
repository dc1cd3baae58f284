# scripts/lab scenario no-certificate
# the server must refuse a client that shows no certificate

extras tools

step "First with a certificate: curl, with the SVID of client-workload"
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
expect_success "client-workload fetches its SVID, as files"
run docker compose exec --user client-workload tools curl -sSk --cert svid.0.pem --key svid.0.key https://server:8443/
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"
explain "The k in -sSk turns off curl's own check of the server, which looks for a DNS name and would find none. What the server checks does not depend on it."

step "The same without a certificate, as anyone would try"
expect_refused "certificate required" "tls: client didn't provide a certificate" "the server refused, and says that it was shown no certificate"
explain "The alert with the number 116 says just this. The refusal comes before a single byte of HTTP is read."

step "The same over TLS 1.2, which has no such alert"
run docker compose exec tools openssl s_client -connect server:8443 -tls1_2 -brief -ign_eof
expect_exit 1 "the connection failed"
expect_output "alert handshake failure" "the client is told less: that the handshake failed"
expect_log server "TLS handshake error from [^ ]+: tls: client didn't provide a certificate\$" "the server's reason is the same"
