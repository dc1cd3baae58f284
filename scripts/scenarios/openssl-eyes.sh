# scripts/lab scenario openssl-eyes
# tools that do not know SPIFFE must be able to verify an SVID, but only with its trust bundle

url_path=/openssl-eyes-$$

step "Fetch the SVID of client-workload into files, and read it"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
run docker compose exec --user client-workload tools openssl x509 -in svid.0.pem -noout -subject -dates -ext subjectAltName,basicConstraints,keyUsage,extendedKeyUsage
expect_output "URI:spiffe://example.org/client" "the SPIFFE ID is in the subject alternative name, as a URI"
expect_no_output "DNS:" "the SVID has no DNS name"
expect_output "CA:FALSE" "the SVID cannot sign other certificates"
expect_output "TLS Web Server Authentication, TLS Web Client Authentication" "the SVID is valid for both sides of a connection"
explain "The subject is the same in every SVID of this lab. It does not identify a workload, and no program of this lab reads it."

step "Verify the SVID, with and without its trust bundle"
run docker compose exec --user client-workload tools openssl verify -CAfile bundle.0.pem svid.0.pem
expect_success "openssl verifies the SVID with the bundle that the agent sent together with the SVID"
expect_output "svid.0.pem: OK" "openssl reports OK"
run docker compose exec --user client-workload tools openssl verify svid.0.pem
expect_exit 2 "without a bundle openssl refuses the SVID"
expect_output "error 20 at 0 depth lookup: unable to get local issuer certificate" "openssl does not find the CA that signed the SVID"
run docker compose exec --user client-workload tools openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other -keyout other.key -out other.pem
expect_success "openssl creates a second CA"
run docker compose exec --user client-workload tools openssl verify -CAfile other.pem svid.0.pem
expect_exit 2 "with the second CA as the bundle openssl refuses the SVID"
expect_output "error 20 at 0 depth lookup: unable to get local issuer certificate" "the second CA has not signed the SVID"

step "curl uses the SVID, and verifies the server as it verifies every web server"
run docker compose exec --user client-workload tools curl -sS --cacert bundle.0.pem --cert svid.0.pem --key svid.0.key "https://server:8443$url_path"
expect_exit 60 "curl refuses the server"
expect_output "curl: (60) SSL: unable to obtain common name from peer certificate" "curl looks for the host name in the certificate, and finds no DNS name"
expect_no_log server "Request received from .* GET \"$url_path\"" "curl has not sent its request"

step "Switch off curl's check, and check the server's certificate yourself"
run docker compose exec --user client-workload tools sh -c "curl -sS -k --cert svid.0.pem --key svid.0.key -w '%{stderr}%{certs}' https://server:8443$url_path 2>server.pem"
expect_success "curl is served"
expect_output "Success!!!" "curl prints the server's answer"
expect_log server "Request received from \"spiffe://example.org/client\": GET \"$url_path\"" "the server has verified the SVID"
run docker compose exec --user client-workload tools openssl verify -CAfile bundle.0.pem server.pem
expect_output "server.pem: OK" "a CA of this trust domain signed the server's certificate"
run docker compose exec --user client-workload tools openssl x509 -in server.pem -noout -ext subjectAltName
expect_output "URI:spiffe://example.org/server" "the certificate has the server's SPIFFE ID"
explain "With -k, curl accepts any server. You checked the certificate afterwards, which is too late if the request contains a secret. The lab's client verifies the server and its SPIFFE ID before it sends the request."
