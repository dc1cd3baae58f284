# scripts/lab scenario old-tls
# TLS below 1.2 must be refused, also to a client with the right SVID

# offer VERSION: one request with the client's real SVID. Many an OpenSSL forbids the old
# versions itself; SECLEVEL=0 makes it offer them.
offer() {
	run docker compose exec --user client-workload tools sh -c "printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | openssl s_client -ign_eof -connect server:8443 -$1 -cipher DEFAULT@SECLEVEL=0 -brief -cert svid.0.pem -key svid.0.key -CAfile bundle.0.pem -verify_return_error 2>&1" '|' grep -E '^(CONNECTION|Protocol|Success)|error:'
}

step "First the versions that the server speaks, with the SVID of client-workload"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
for version in 3 2; do
	offer "tls1_$version"
	expect_output "Protocol version: TLSv1.$version" "TLS 1.$version is agreed on"
	expect_output "Success!!!" "the request is served"
done

step "The same SVID and the same request, over TLS 1.1 and 1.0"
for version in 1.1 1.0; do
	case $version in
	1.1) option=tls1_1 offered='302 301' ;;
	1.0) option=tls1 offered='301' ;;
	esac
	offer "$option"
	expect_no_output "CONNECTION ESTABLISHED" "no handshake is completed over TLS $version"
	expect_no_output "Success!!!" "nothing is served"
	expect_exit 1 "the client ends with an error"
	expect_output "alert protocol version" "it is told that the version is the reason"
	expect_log server "TLS handshake error from [^ ]+: tls: client offered only unsupported versions: \[$offered\]$" "the server refused, and says what it was offered"
done
explain "The numbers are hexadecimal, as they stand on the wire: 301 is TLS 1.0, 302 is TLS 1.1. The client got no further than its first message, so that its SVID was never asked for."
