# scripts/lab scenario foreign-trust-domain
# the server must refuse an SVID of a trust domain that is not federated with its own

extras tools partner-server

step "An SVID minted by the SPIRE server of example.org"
run docker compose exec -T spire-server /opt/spire/bin/spire-server x509 mint -spiffeID spiffe://example.org/client '|' docker compose exec -T tools sh -c 'cat >own.pem'
expect_success "example.org mints spiffe://example.org/client"
run docker compose exec tools curl -sSk --cert own.pem --key own.pem https://server:8443/
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"

step "An SVID with the same path, minted by the SPIRE server of partner.test"
expect_soon 30 "Server is healthy" "the SPIRE server of partner.test is ready" docker compose exec partner-server /opt/spire/bin/spire-server healthcheck
run docker compose exec -T partner-server /opt/spire/bin/spire-server x509 mint -spiffeID spiffe://partner.test/client '|' docker compose exec -T tools sh -c 'cat >partner.pem'
expect_success "partner.test mints spiffe://partner.test/client"
run docker compose exec tools openssl x509 -in partner.pem -noout -ext subjectAltName
expect_output "URI:spiffe://partner.test/client" "the certificate has a SPIFFE ID of partner.test"

step "curl uses this SVID in the same way"
expect_refused "bad certificate" 'x509svid: could not get X509 bundle: x509bundle: no X\.509 bundle for trust domain "partner\.test"' "the server refused, because it has no trust bundle of partner.test" --cert partner.pem --key partner.pem
explain "A trust bundle verifies only SVIDs of its own trust domain. To authenticate a workload of partner.test, the server needs the trust bundle of partner.test. Federation delivers that bundle."
