# scripts/lab scenario ttl-cap
# an SVID must not be valid for longer than its CA, whatever TTL is requested

cli=/opt/spire/bin/spire-server

# mint SERVER ID TTL: lets this SPIRE server mint an SVID, and prints when the SVID expires.
mint() { run docker compose exec -T "$1" "$cli" x509 mint -spiffeID "$2" -ttl "$3" '|' docker compose exec -T tools openssl x509 -noout -enddate; }

step "A SPIRE server whose CA is valid for 24 hours"
extras partner-server tools
eventually 30 "this SPIRE server answers" inside partner-server '' "$cli" healthcheck
run docker compose exec -T partner-server "$cli" bundle show '|' docker compose exec -T tools openssl x509 -noout -enddate
ca_ends=$(captured '^notAfter=(.*)$' <<<"$output")
expect "openssl shows when the CA expires" test -n "$ca_ends"

step "An SVID for one hour"
mint partner-server spiffe://partner.test/client 1h
hour_ends=$(captured '^notAfter=(.*)$' <<<"$output")
expect "the SVID is minted" test -n "$hour_ends"
expect "the SVID expires before its CA" test "$hour_ends" != "$ca_ends"
expect_output "X509-SVID lifetime was capped shorter than specified ttl; expires " "the SVID is valid for an hour, although SPIRE's command line warns that the lifetime was capped"

step "An SVID for 48 hours, from the same SPIRE server"
mint partner-server spiffe://partner.test/client 48h
expect_output "notAfter=$ca_ends" "the SVID is minted, and expires together with its CA"
expect_success "no error is reported, only the warning"
explain "The SPIRE server compares the requested expiry with the expiry of its CA, and uses the earlier time. If the SVID expired later, verifiers would refuse it as soon as the CA has expired. SPIRE 1.15.3 prints the warning for every -ttl."

step "The same request to the lab's own SPIRE server, whose CA is valid for a year"
run docker compose exec -T spire-server "$cli" x509 mint -spiffeID spiffe://example.org/client -ttl 48h '|' docker compose exec -T tools sh -c 'cat >long.pem'
run docker compose exec tools openssl x509 -in long.pem -noout -checkend 172000
expect_output "Certificate will not expire" "the SVID is valid for the 48 hours"
run docker compose exec tools openssl x509 -in long.pem -noout -checkend 173000
expect_output "Certificate will expire" "the SVID is not valid for longer"
