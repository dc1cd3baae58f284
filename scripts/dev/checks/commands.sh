#!/usr/bin/env bash
# every command must work from any directory, with spaces in the path, and say what is wrong
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin
elsewhere=$scratch

# make_says TARGET TEXT: make from another directory, over a path with a space.
ln -s "$LAB_DIR" "$elsewhere/a lab"
make_says() {
	output=$(cd / && make --no-print-directory -C "$elsewhere/a lab" "$1" 2>&1) || fail "make $1: $output"
	[[ $output == *"$2"* ]] || fail "make $1 does not say: $2"
	passed "make $1 says: $2"
}

step "From another directory, through a path with a space"
make_says help "make up"
make_says status "the client's latest request was served"
make_says entries "spiffe://example.org/host"
make_says svid "SPIFFE ID   spiffe://example.org/server"
make_says scenarios "must"
make_says scenario-happy-path "PASS happy-path"

step "A wrong name is named, with the remedy"
if output=$("$LAB_DIR/scripts/lab.sh" scenario no-such-one 2>&1); then fail "a scenario that does not exist is no error"; fi
expect_output 'there is no scenario "no-such-one"' "it names the scenario"
expect_output "make scenarios" "it says what to do"

step "Every scenario has its expectation on the second line"
for file in "$LAB_DIR"/scripts/scenarios/*.sh "$LAB_DIR"/scripts/dev/checks/*.sh; do
	sed -n 2p "$file" | has '^# .* must ' || fail "$file has no expectation"
done
passed "each says what must be"
