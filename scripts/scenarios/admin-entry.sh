# scripts/lab scenario admin-entry
# a workload with the flag admin must be able to mint every SVID; removing the flag must not revoke a minted SVID

cli=/opt/spire/bin/spire-server

# entry COMMAND [FLAG]: creates or updates the entry for guest-workload.
entry() {
	local command=$1
	shift
	run docker compose exec spire-server "$cli" entry "$command" -entryID scenario-admin-entry -parentID spiffe://example.org/host -spiffeID spiffe://example.org/ops -selector unix:user:guest-workload "$@"
}

step "A workload without the flag admin is not authorized to mint"
entry create
expect_success "guest-workload gets the SPIFFE ID spiffe://example.org/ops"
extras tools
expect_soon 30 "PermissionDenied desc = authorization denied for method /spire.api.server.svid.v1.SVID/MintX509SVID" "the SPIRE server refuses the call" docker compose exec tools extras mint -id spiffe://example.org/client
expect_log spire-server 'level=error msg="Failed to authenticate caller" .*caller_id="spiffe://example\.org/ops" .*method=MintX509SVID' "the SPIRE server has authenticated the caller, and logs its SPIFFE ID"

step "The workload's entry gets the flag admin"
entry update -admin
expect_success "the entry has the flag"
expect_output "Admin                   : true" "the SPIRE server shows the flag"
expect_soon 30 "the SPIRE server has minted spiffe://example.org/client" "the workload mints an SVID for the client over the network" docker compose exec tools extras mint -id spiffe://example.org/client -out client.pem
expect_no_log spire-server 'level=info .*MintX509SVID' "the SPIRE server has not logged the call, because its audit log is off by default"
run docker compose exec tools curl -sSk --cert client.pem --key client.pem https://server:8443/minted
expect_output "Success!!!" "curl uses the minted SVID, and is served as the client"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/minted"' "the server cannot see that this SVID was minted"
explain "The flag permits most calls of the SPIRE server's API over the network. The SVID does not contain the flag. At each call the SPIRE server looks up the entries with the caller's SPIFFE ID."

step "The flag is removed"
entry update
expect_success "the entry has no flag"
expect_soon 30 "PermissionDenied desc = authorization denied for method /spire.api.server.svid.v1.SVID/MintX509SVID" "a new call is refused" docker compose exec tools extras mint -id spiffe://example.org/client -out more.pem
run docker compose exec tools curl -sSk --cert client.pem --key client.pem https://server:8443/still-minted
expect_output "Success!!!" "curl is still served with the minted SVID"
expect_log server 'Request received from "spiffe://example\.org/client": GET "/still-minted"' "the server accepts the SVID as the client's"
run docker compose exec tools openssl x509 -in client.pem -noout -enddate
explain "The minted SVID is valid until it expires. To make it invalid sooner, taint and revoke the CA, as in the scenario ca-rotation."
