# scripts/lab scenario old-tls
# the server must refuse TLS below 1.2, even for a client with the right SVID

# offer VERSION: sends one request over this version of TLS, with the client's real SVID. Many builds
# of OpenSSL forbid TLS 1.0 and 1.1. With SECLEVEL=0 these builds offer both.
offer() {
	run docker compose exec --user client-workload tools sh -c "printf \"GET / HTTP/1.0\\r\\n\\r\\n\" | openssl s_client -ign_eof -connect server:8443 -$1 -cipher DEFAULT@SECLEVEL=0 -brief -cert svid.0.pem -key svid.0.key -CAfile bundle.0.pem -verify_return_error 2>&1" '|' grep -E '^(CONNECTION|Protocol|Success)|error:'
}

step "The versions that the server accepts, with the SVID of client-workload"
extras tools
run docker compose exec --user client-workload tools spire-agent api fetch x509 -write /scratch
for version in 3 2; do
	offer "tls1_$version"
	expect_output "Protocol version: TLSv1.$version" "both sides use TLS 1.$version"
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
	expect_no_output "Success!!!" "the client is not served"
	expect_exit 1 "the client exits with an error"
	expect_output "alert protocol version" "the alert names the version as the reason"
	expect_log server "TLS handshake error from [^ ]+: tls: client offered only unsupported versions: \[$offered\]$" "the server refused, and logs the versions that the client offered"
done
explain "The numbers are hexadecimal, as on the network: 301 is TLS 1.0, 302 is TLS 1.1. The server refused the client's first message, so it never asked for the client's SVID."
