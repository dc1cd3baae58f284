# scripts/lab scenario foreign-trust-domain
# an SVID of another trust domain must be refused by the server

extras tools partner-server

step "First an SVID minted by the SPIRE server of example.org"
run docker compose exec -T spire-server /opt/spire/bin/spire-server x509 mint -spiffeID spiffe://example.org/client '|' docker compose exec -T tools sh -c 'cat >own.pem'
expect_success "example.org mints spiffe://example.org/client"
run docker compose exec tools curl -sSk --cert own.pem --key own.pem https://server:8443/
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"

step "Another minted by the SPIRE server of partner.test, with the same path"
expect_soon 30 "Server is healthy" "partner.test has a SPIRE server of its own" docker compose exec partner-server /opt/spire/bin/spire-server healthcheck
run docker compose exec -T partner-server /opt/spire/bin/spire-server x509 mint -spiffeID spiffe://partner.test/client '|' docker compose exec -T tools sh -c 'cat >partner.pem'
expect_success "partner.test mints spiffe://partner.test/client"
run docker compose exec tools openssl x509 -in partner.pem -noout -ext subjectAltName
expect_output "URI:spiffe://partner.test/client" "the certificate carries a SPIFFE ID of partner.test"

step "Use it in the same way"
expect_refused "bad certificate" 'x509svid: could not get X509 bundle: x509bundle: no X\.509 bundle for trust domain "partner\.test"' "the server refused: it has nothing to verify a name of partner.test with" --cert partner.pem --key partner.pem
explain "A trust domain vouches for its own names only. To accept the names of another one must hold its trust bundle: that is what federation is about."
