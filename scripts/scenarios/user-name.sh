# scripts/lab scenario user-name
# a user selector must be resolved in the agent's own user database

cli=/opt/spire/bin/spire-server

step "User 4242 has no name on the host: an entry selects it by number"
run docker compose exec spire-server "$cli" entry create -entryID scenario-user-name -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:uid:4242
expect_success "there is an entry for unix:uid:4242"
expect_soon 30 "SPIFFE ID   spiffe://example.org/guest" "a process of user 4242 gets the identity" docker compose exec --user 4242 client svid

step "The same entry with a name: no process can have this selector"
run docker compose exec spire-server "$cli" entry update -entryID scenario-user-name -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:user:4242
expect_success "the SPIRE server takes the entry: it cannot know the users of a host"
expect_soon 30 "no identity issued" "a process of user 4242 gets no identity" docker compose exec --user 4242 client svid
expect_log spire-agent 'msg="No identity issued" method=FetchX509SVID pid=[0-9]+ registered=false selectors="[^"]*,unix:uid:4242" ' "the last selector is the number: there is no unix:user after it"
explain "The kernel tells the agent a number. The agent looks for its name in its own /etc/passwd, where 4242 is not. Then there is no unix:user selector at all, and SPIRE reports no error for that."

step "A container without a user database: its user 1112 has no name there"
extras no-users
run docker compose exec no-users svid
expect_output "SPIFFE ID   spiffe://example.org/client" "the process with the number 1112 is the client, by the agent's database"
run docker compose exec no-users client
expect_success "the server serves it"
expect_output "Success!!!" "the client prints the server's answer"
explain "It is the agent's /etc/passwd that gives 1112 the name client-workload. What the container calls the user counts for nothing."

step "Back to the number"
run docker compose exec spire-server "$cli" entry update -entryID scenario-user-name -parentID spiffe://example.org/host -spiffeID spiffe://example.org/guest -selector unix:uid:4242
expect_success "the entry has the number again"
expect_soon 30 "SPIFFE ID   spiffe://example.org/guest" "a process of user 4242 gets the identity again" docker compose exec --user 4242 client svid
