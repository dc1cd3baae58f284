# scripts/lab scenario rotation
# SVIDs must rotate without a restart and without one failed request

ttl=$(quick 14 20)

# rotated SERVICE TIMES: so often since the step began.
rotated() { [ "$(new_lines "$1" | grep -cE ' rotated: ')" -ge "$2" ]; }

step "Give both sides SVIDs that live $ttl seconds, and send requests all the while"
short_lived "$ttl"
run docker compose restart server
expect_success "the server is started anew: it has known no other SVID"
traffic_begins
see_processes server steady
explain "The server is the lab's own. The client is a second one, which sends a request over a new connection every 250 ms: each handshake shows the SVID that is current."

step "Wait for three rotations on each side"
first=$(held_until server)
eventually $((3 * ttl)) "the server's SVID has rotated three times" rotated server 3
eventually $((3 * ttl)) "the client's SVID has rotated three times" rotated steady 3
expect_past "$ttl" "$first" "the SVID that the server held when this step began has expired"
expect_rotations server spiffe://example.org/server
expect_rotations steady spiffe://example.org/client

step "Account for every request"
expect_same_processes "both are the processes that they were: nothing was restarted"
traffic_ends
expect_lossless "the rotations cost nothing"
explain "The agent asked for a new SVID long before the old one expired, and sent it down the stream that each program keeps open to the Workload API. The next handshake used it."

usual_lives
