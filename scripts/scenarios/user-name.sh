# scripts/lab scenario user-name
# a user selector must be resolved in the agent's own user database

cli=/opt/spire/bin/spire-server

step "User 4242 has no name on the host, so an entry selects it by number"
run docker compose exec spire-server "$cli" entry create -entryID scenario-user-name -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:uid:4242
expect_success "there is an entry for unix:uid:4242"
expect_soon 30 "SPIFFE ID   spiffe://example.org/guest" "a process of user 4242 gets the identity" docker compose exec --user 4242 client svid

step "The same entry with a user name that no process can have"
run docker compose exec spire-server "$cli" entry update -entryID scenario-user-name -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:4242
expect_success "the SPIRE server accepts the entry, because it does not know the users of a host"
expect_soon 30 "no identity issued" "a process of user 4242 gets no identity" docker compose exec --user 4242 client svid
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false selectors="[^"]*,unix:uid:4242" ' "the agent found the number and no name, so there is no unix:user selector"
explain "The kernel gives the agent the number of the user (4242), and no name. The agent looks up the name in its own /etc/passwd, which does not list 4242. So there is no unix:user selector, and SPIRE reports no error."

step "A container without a user database, in which user 1112 has no name"
extras no-users
run docker compose exec no-users svid
expect_output "SPIFFE ID   spiffe://example.org/client" "the process of user 1112 gets the client's identity, because the agent's database counts"
run docker compose exec no-users client
expect_success "the server serves this process"
expect_output "Success!!!" "the client prints the server's answer"
explain "The agent's /etc/passwd gives 1112 the name client-workload. The name that the container has for this user does not matter."

step "Select the user by its number again"
run docker compose exec spire-server "$cli" entry update -entryID scenario-user-name -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:uid:4242
expect_success "the entry has the number again"
expect_soon 30 "SPIFFE ID   spiffe://example.org/guest" "a process of user 4242 gets the identity again" docker compose exec --user 4242 client svid
