#!/usr/bin/env bash
# each helper function of the scenarios must pass where it holds, and fail where it does not
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin

# holds WHAT FUNCTION...: the function passes, and is counted. In a shell of its own, whose end is not this check's.
holds() {
	local what=$1 said
	shift
	said=$( (trap - EXIT INT TERM && exec 3>&1 4>&2 && "$@" && say "$checks checks") 2>&1) || fail "$what: it fails: $(tail -n 1 <<<"$said")"
	passed "$what"
}

# does_not WHAT WHY FUNCTION...: the function fails, and says why.
does_not() {
	local what=$1 why=$2 said status=0
	shift 2
	said=$( (trap 'say "$failure"' EXIT && trap - INT TERM && "$@") 2>&1) || status=$?
	[ "$status" -ne 0 ] || fail "$what does not fail"
	[[ $said == *"$why"* ]] || fail "$what fails, and does not say: $why (but: $(tail -n 1 <<<"$said"))"
	passed "$what fails, and says why"
}

# after COMMAND... -- FUNCTION...: the function, after that command was run.
after() {
	local command=()
	while [ "$1" != -- ]; do command+=("$1") && shift; done
	run "${command[@]}"
	"${@:2}"
}

svid=(docker compose exec --user client-workload client svid)
no_svid=(docker compose exec --user guest-workload client svid)

step "Of a command"
holds "expect_success" after "${svid[@]}" -- expect_success why
does_not "expect_success of one that fails" "exit status is " after "${no_svid[@]}" -- expect_success why
does_not "expect_exit of another status" "exit status is 0, not 4" after "${svid[@]}" -- expect_exit 4 why
holds "expect_output" after "${svid[@]}" -- expect_output spiffe://example.org/client why
does_not "expect_output of what is not there" "the output lacks: spiffe://example.org/server" after "${svid[@]}" -- expect_output spiffe://example.org/server why
holds "expect_no_output" after "${svid[@]}" -- expect_no_output spiffe://example.org/server why
does_not "expect_no_output of what is there" "the output has: spiffe://example.org/client" after "${svid[@]}" -- expect_no_output spiffe://example.org/client why
holds "expect_soon" expect_soon 5 spiffe://example.org/client why "${svid[@]}"
does_not "expect_soon of what never comes" "after 1 s the output lacks: never" expect_soon 1 never why "${svid[@]}"
holds "a setting and a pipe" after FIRST=1 docker compose exec client svid '|' sed 's/client/piped/' -- expect_output spiffe://example.org/piped why
run_limit=1
does_not "run of what does not end" "did not end within 1 s" run docker compose logs --follow client
run_limit=120

step "Of a condition"
holds "expect" expect why true
does_not "expect of what does not hold" "this does not hold: false" expect why false
holds "eventually" eventually 5 why true
does_not "eventually of what never holds" "not within 1 s: false" eventually 1 why false

step "Of a log"
log_limit=3
run docker compose exec --user client-workload client client
holds "expect_log" expect_log server 'Request received' why
does_not "expect_log of what was not logged" "server did not log: never" expect_log server never why
does_not "expect_log without a log" "there is no container of nobody" expect_log nobody . why
holds "expect_no_log" expect_no_log server never why
does_not "expect_no_log of what was logged" "server logged: " expect_no_log server 'Request received' why
does_not "expect_no_log without a log" "the log of nobody cannot be read" expect_no_log nobody . why
holds "expect_log_within" expect_log_within 60 "$step_began" server 'Request received' why
does_not "expect_log_within of what came too late" "not 60 s at most" expect_log_within 60 2020-01-01T00:00:00Z server 'Request received' why
mark_logs
does_not "expect_log of what was logged before the step" "server did not log: shutting down" expect_log server 'shutting down' why

step "Of time"
holds "expect_past" expect_past 5 2020-01-01T00:00:00Z why
does_not "expect_past of what is far off" why expect_past 1 2100-01-01T00:00:00Z why
holds "expect_left least" expect_left least 1 20 why client
does_not "expect_left most" why expect_left most 1 1 why client
does_not "countdown of an SVID that lives for long" "has not logged" countdown node
holds "quick" test "$(QUICK=1 quick a b)$(QUICK='' quick a b)" = ab

step "Of processes"
see_processes client
holds "expect_same_processes" expect_same_processes why
processes=${processes/process/process 9}
does_not "expect_same_processes of another one" "they were" expect_same_processes why

step "Of traffic"
traffic_address=10.0.0.9
traffic='client 2026-11-24T12:00:00.1Z Success!!!
client 2026-11-24T12:00:01.1Z 1 requests sent: 1 served, 0 failed
server 2026/11/24 12:00:00 Request received from "spiffe://example.org/client": GET "/steady"'
holds "expect_lossless" expect_lossless why
traffic=${traffic/Success!!!/Error connecting to \"https://server:8443/\": Get \"https://server:8443/\": EOF}
traffic=${traffic/1 served, 0 failed/0 served, 1 failed}
does_not "expect_lossless of what was lost" why expect_lossless why
does_not "expect_outage with other words" why expect_outage ': remote error: tls: bad certificate$' why 2026-11-24T12:00:00Z

step "Of a scenario"
cat >"$scratch/nothing.sh" <<-END
	#!/usr/bin/env bash
	# a scenario that checks nothing must fail
	. '$LAB_DIR/scripts/lib/scenario.sh'
	begin
END
output=$(bash "$scratch/nothing.sh" 2>&1) && fail "a scenario that checks nothing passes"
expect_output "FAIL nothing: it checked nothing" "one that checks nothing fails"
