# scripts/lab scenario expired
# an SVID must be refused by the server once it has expired

extras tools

step "Mint an SVID of the client that lives for 12 seconds, and use it at once"
run docker compose exec -T spire-server /opt/spire/bin/spire-server x509 mint -spiffeID spiffe://example.org/client -ttl 12s '|' docker compose exec -T tools sh -c 'cat >short.pem'
expect_success "the SPIRE server mints it"
run docker compose exec tools curl -sSk --cert short.pem --key short.pem https://server:8443/
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"

step "Wait until it has expired"
run docker compose exec tools openssl x509 -in short.pem -noout -dates
expect_soon 30 "Certificate will expire" "it has expired" docker compose exec tools openssl x509 -in short.pem -noout -checkend 0

step "Use it in the same way"
expect_refused "bad certificate" 'x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: current time [^ ]+ is after [^ ]+$' "the server refused, and says what the time is and when the SVID expired" --cert short.pem --key short.pem
explain "Nobody had to revoke anything, and no list of revoked certificates was asked. A stolen copy is soon worthless."
