# scripts/lab scenario rotation
# SVIDs must rotate without a restart and without one failed request

ttl=20

# rotated SERVICE N: asks whether the SVID of this service has rotated at least N times since the step began.
rotated() { [ "$(new_lines "$1" | grep -cE ' rotated: ')" -ge "$2" ]; }

step "Both sides get SVIDs that are valid for $ttl seconds, and a client sends requests all the time"
short_lived "$ttl"
run docker compose restart server
expect_success "the server is restarted, so it has never held an SVID with the default lifetime"
traffic_begins
see_processes server steady
explain "The server is the lab's server. The client runs only for this scenario. Every 250 ms it sends a request over a new connection, so each handshake uses the current SVID."

step "Wait for three rotations on each side"
first=$(held_until server)
eventually $((3 * ttl)) "the server's SVID has rotated three times" rotated server 3
eventually $((3 * ttl)) "the client's SVID has rotated three times" rotated steady 3
expect_past "$ttl" "$first" "the SVID that the server held when this step began has expired"
expect_rotations server spiffe://example.org/server
expect_rotations steady spiffe://example.org/client

step "Account for every request"
expect_same_processes "both programs are still the same processes: nothing was restarted"
traffic_ends
expect_lossless "the rotations cost nothing"
explain "The agent requested a new SVID long before the old one expired. It sent the new SVID over the stream that each program keeps open to the Workload API. The next handshake used the new SVID."

usual_lives
