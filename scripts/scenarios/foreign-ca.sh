# scripts/lab scenario foreign-ca
# the server must refuse a certificate that has the right SPIFFE ID, but is signed by a home-made CA

extras tools

step "curl uses the SVID that SPIRE has issued to client-workload"
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
expect_success "client-workload fetches its SVID, as files"
run docker compose exec --user client-workload tools curl -sSk --cert svid.0.pem --key svid.0.key https://server:8443/
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"

step "Make a CA, and a certificate with the client's SPIFFE ID, as anyone can"
forge tools client spiffe://example.org/client
run docker compose exec tools openssl x509 -in client.pem -noout -issuer -ext subjectAltName
expect_output "URI:spiffe://example.org/client" "the certificate has the client's SPIFFE ID"
run docker compose exec tools openssl verify -CAfile ca.pem client.pem
expect_output "client.pem: OK" "the certificate is valid under its own CA"

step "curl uses this certificate in the same way"
expect_refused "bad certificate" 'x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority' "the server refused, because no CA that it trusts has signed the certificate" --cert client.pem --key client.key
explain "The client is not authenticated, because no CA in the trust bundle of example.org signed the certificate. So the SPIFFE ID in the certificate is only text. The server does not reach authorization."
