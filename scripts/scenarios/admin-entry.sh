# scripts/lab scenario admin-entry
# the holder of an admin SVID must be able to mint every identity; removing the flag revokes nothing that was minted

cli=/opt/spire/bin/spire-server

# entry COMMAND [FLAG]: creates or updates the entry of guest-workload.
entry() {
	local command=$1
	shift
	run docker compose exec spire-server "$cli" entry "$command" -entryID scenario-admin-entry -parentID spiffe://example.org/host -spiffeID spiffe://example.org/ops -selector unix:user:guest-workload "$@"
}

step "A workload without the flag may mint nothing"
entry create
expect_success "guest-workload is spiffe://example.org/ops"
extras tools
expect_soon 30 "PermissionDenied desc = authorization denied for method /spire.api.server.svid.v1.SVID/MintX509SVID" "the SPIRE server refuses it" docker compose exec tools extras mint -id spiffe://example.org/client
expect_log spire-server 'level=error msg="Failed to authenticate caller" .*caller_id="spiffe://example\.org/ops" .*method=MintX509SVID' "the SPIRE server has authenticated it, and logs its SPIFFE ID"

step "Its entry gets the flag admin"
entry update -admin
expect_success "the entry has the flag"
expect_output "Admin                   : true" "the SPIRE server shows it"
expect_soon 30 "the SPIRE server has minted spiffe://example.org/client" "over the network it mints an SVID of the client" docker compose exec tools extras mint -id spiffe://example.org/client -out client.pem
expect_no_log spire-server 'level=info .*MintX509SVID' "the SPIRE server has not logged that: its audit log is off by default"
run docker compose exec tools curl -sSk --cert client.pem --key client.pem https://server:8443/minted
expect_output "Success!!!" "with it, curl is served as the client"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/minted"' "the server cannot tell the difference"
explain "The flag permits nearly every call of the SPIRE server's API, over the network. The SVID does not show it: at each call the SPIRE server looks up the entries of the caller's SPIFFE ID."

step "The flag is removed"
entry update
expect_success "the entry has no flag"
expect_soon 30 "PermissionDenied desc = authorization denied for method /spire.api.server.svid.v1.SVID/MintX509SVID" "a new call is refused" docker compose exec tools extras mint -id spiffe://example.org/client -out more.pem
run docker compose exec tools curl -sSk --cert client.pem --key client.pem https://server:8443/still-minted
expect_output "Success!!!" "the SVID that was minted is still served"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/still-minted"' "to the server it is the client"
run docker compose exec tools openssl x509 -in client.pem -noout -enddate
explain "What was minted is valid until it expires. To end it sooner, taint and revoke the CA: make scenario-ca-rotation shows how."
