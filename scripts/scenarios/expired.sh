# scripts/lab scenario expired
# the server must refuse an SVID that has expired

extras tools

step "Mint an SVID for the client, valid for 12 seconds, and use it at once"
run docker compose exec -T spire-server /opt/spire/bin/spire-server x509 mint -spiffeID spiffe://example.org/client -ttl 12s '|' docker compose exec -T tools sh -c 'cat >short.pem'
expect_success "the SPIRE server mints the SVID"
explain "The warning 'lifetime was capped shorter' is not true here. SPIRE 1.15.3 prints it for every -ttl. The scenario ttl-cap shows why."
run docker compose exec tools curl -sSk --cert short.pem --key short.pem https://server:8443/
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"

step "Wait until the SVID has expired"
run docker compose exec tools openssl x509 -in short.pem -noout -dates
expect_soon 30 "Certificate will expire" "the SVID has expired" docker compose exec tools openssl x509 -in short.pem -noout -checkend 0

step "Use the expired SVID in the same way"
expect_refused "bad certificate" 'x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: current time [^ ]+ is after [^ ]+$' "the server refused, and logs the current time and when the SVID expired" --cert short.pem --key short.pem
explain "Nobody revoked this SVID, and the server did not read a list of revoked certificates. A stolen SVID is worthless as soon as it has expired."
