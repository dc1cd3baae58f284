# scripts/lab scenario foreign-ca
# the right SPIFFE ID in a certificate of a home-made CA must be refused by the server

extras tools

step "First the SVID that SPIRE has issued to client-workload, used by curl"
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
expect_success "client-workload fetches its SVID, as files"
run docker compose exec --user client-workload tools curl -sSk --cert svid.0.pem --key svid.0.key https://server:8443/
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"

step "Make a CA, and a certificate with the same SPIFFE ID: anyone can"
forge tools client spiffe://example.org/client
run docker compose exec tools openssl x509 -in client.pem -noout -issuer -ext subjectAltName
expect_output "URI:spiffe://example.org/client" "the certificate carries the client's SPIFFE ID"
run docker compose exec tools openssl verify -CAfile ca.pem client.pem
expect_output "client.pem: OK" "under its own CA it is a valid certificate"

step "Use it in the same way"
expect_refused "bad certificate" 'x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority' "the server refused: no CA that it trusts has signed this" --cert client.pem --key client.key
explain "The client is not authenticated, because no CA in the trust bundle of its trust domain signed the certificate. So the SPIFFE ID in it is only text. The server does not get so far as to ask whether this SPIFFE ID is authorized."
