#!/usr/bin/env bash
# SVIDs must rotate without a restart and without one failed request
# shellcheck source=../lib/scenario.sh
. "$(dirname "$0")/../lib/scenario.sh"
begin
ttl=$(quick 14 20)

# rotations SERVICE: those since the step began.
rotations() { new_lines "$1" | grep ' rotated: '; }

# rotated SERVICE TIMES: so often since the step began.
rotated() { [ "$(rotations "$1" | wc -l)" -ge "$2" ]; }

# expect_one_identity SERVICE ID: each rotation takes up the serial that the one before has left,
# and names the same SPIFFE ID.
expect_one_identity() {
	local number
	rotations "$1" | sed -n 1,3p | indent
	number=$(rotations "$1" | in_image account rotations -id "$2") || fail "$1: $number"
	passed "$1: $number rotations, each from one serial to another, the SPIFFE ID is always $2"
}

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
expect_one_identity server spiffe://example.org/server
expect_one_identity steady spiffe://example.org/client

step "Account for every request"
expect_same_processes "both are the processes that they were: nothing was restarted"
traffic_ends
expect_lossless "the rotations cost nothing"
explain "The agent asked for a new SVID long before the old one expired, and sent it down the stream that each program keeps open to the Workload API. The next handshake used it."

usual_lives
