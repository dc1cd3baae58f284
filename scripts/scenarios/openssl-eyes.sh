# scripts/lab scenario openssl-eyes
# an SVID must verify with tools that know nothing of SPIFFE, and only against its own trust bundle

url_path=/openssl-eyes-$$

step "Fetch the SVID of client-workload into files, and read it"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
run docker compose exec --user client-workload tools openssl x509 -in svid.0.pem -noout -subject -dates -ext subjectAltName,basicConstraints,keyUsage,extendedKeyUsage
expect_output "URI:spiffe://example.org/client" "the SPIFFE ID stands in the subject alternative name, as a URI"
expect_no_output "DNS:" "there is no DNS name in it"
expect_output "CA:FALSE" "it may not issue others"
expect_output "TLS Web Server Authentication, TLS Web Client Authentication" "it is good for both ends of a connection"
explain "The subject is the same in every SVID of this lab. It names nobody, and nothing here looks at it."

step "Verify it, with and without its trust bundle"
run docker compose exec --user client-workload tools openssl verify -CAfile bundle.0.pem svid.0.pem
expect_success "against the bundle that came with it, openssl verifies it"
expect_output "svid.0.pem: OK" "openssl says so"
run docker compose exec --user client-workload tools openssl verify svid.0.pem
expect_exit 2 "without a bundle openssl refuses it"
expect_output "error 20 at 0 depth lookup: unable to get local issuer certificate" "it does not know who issued it"
run docker compose exec --user client-workload tools openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other -keyout other.key -out other.pem
expect_success "another CA is made"
run docker compose exec --user client-workload tools openssl verify -CAfile other.pem svid.0.pem
expect_exit 2 "against another bundle openssl refuses it"
expect_output "error 20 at 0 depth lookup: unable to get local issuer certificate" "it does not know who issued it"

step "Let curl use it, and verify the server as it would any web server"
run docker compose exec --user client-workload tools curl -sS --cacert bundle.0.pem --cert svid.0.pem --key svid.0.key "https://server:8443$url_path"
expect_exit 60 "curl refuses the server"
expect_output "curl: (60) SSL: unable to obtain common name from peer certificate" "it wants the host name in it, and finds no name of that kind at all"
expect_no_log server "Request received from .* GET \"$url_path\"" "the request was not sent"

step "Switch off curl's own check, be served, and look at the server with one's own eyes"
run docker compose exec --user client-workload tools sh -c "curl -sS -k --cert svid.0.pem --key svid.0.key -w '%{stderr}%{certs}' https://server:8443$url_path 2>server.pem"
expect_success "curl is served"
expect_output "Success!!!" "it prints the server's answer"
expect_log server "Request received from \"spiffe://example.org/client\": GET \"$url_path\"" "the server took the SVID for what it is"
run docker compose exec --user client-workload tools openssl verify -CAfile bundle.0.pem server.pem
expect_output "server.pem: OK" "the certificate of that very connection is of this trust domain"
run docker compose exec --user client-workload tools openssl x509 -in server.pem -noout -ext subjectAltName
expect_output "URI:spiffe://example.org/server" "and it is the server's"
explain "With -k, curl accepts any server. The certificate was checked afterwards, which is too late if the request contains a secret. The lab's client verifies the server and its SPIFFE ID before it sends the request."
