#!/usr/bin/env bash
# SVIDs must rotate without a restart and without one failed request
# shellcheck source=../lib/scenario.sh
. "$(dirname "$0")/../lib/scenario.sh"
LOGS='server steady'
begin
ttl=$(quick 14 20)

# rotated SERVICE TIMES: so often since the step began.
rotated() { [ "$(new_lines "$1" | grep -c ' rotated: ')" -ge "$2" ]; }

# expect_one_identity SERVICE ID: each rotation takes up the serial that the one before has left,
# and names the same SPIFFE ID.
expect_one_identity() {
	local lines
	lines=$(new_lines "$1" | grep ' rotated: ')
	head -n 3 <<<"$lines" | indent
	awk -v id="$2" '{ sub(/^.*X\.509-SVID of /, ""); sub(/,.*/, "") }
		$1 != id || $4 == $6 || last && $4 != last { exit 1 } { last = $6 }' <<<"$lines" ||
		fail "$1: the rotations are no unbroken chain of serials of $2"
	passed "$1: $(grep -c . <<<"$lines") rotations, each from one serial to another, the SPIFFE ID is always $2"
}

step "Give both sides SVIDs that live $ttl seconds, and send requests all the while"
short_lived "$ttl"
run restart server
expect_success "the server is started anew: it has known no other SVID"
traffic_begins
see_processes server steady
explain "The server is the lab's own. The client is a second one, which sends a request over a new connection every 250 ms: each handshake shows the SVID that is current."

step "Wait for three rotations on each side"
first=$(held_until server)
eventually $((3 * ttl)) "the server's SVID has rotated three times" rotated server 3
eventually $((3 * ttl)) "the client's SVID has rotated three times" rotated steady 3
eventually "$ttl" "the SVID that the server held when this step began has expired" past "$first"
expect_one_identity server spiffe://example.org/server
expect_one_identity steady spiffe://example.org/client

step "Account for every request"
expect_same_processes "both are the processes that they were: nothing was restarted"
traffic_ends
expect_lossless "the rotations cost nothing"
explain "The agent asked for a new SVID long before the old one expired, and sent it down the stream that each program keeps open to the Workload API. The next handshake used it."
