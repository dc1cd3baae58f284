# time: clocks and languages that are not the engine's
# shellcheck shell=bash disable=SC2154,SC2016

for seconds in -40 40; do
	starts "this machine's clock is $seconds s off the engine's"
	stub date 'now=$("$real" +%s); exec "$real" --date "@$((now + '"$seconds"'))" "$@"'
	set_to QUICK=1
	works up "the client is served"
	works scenario-agent-outage "PASS agent-outage"
	works scenario-rotation "PASS rotation"
	works doctor "all is well"
done

starts "this machine's clock is an hour off the engine's, and the doctor says so"
stub date 'now=$("$real" +%s); exec "$real" --date "@$((now - 3600))" "$@"'
works up "the client is served"
fails doctor "LAB073"

starts "a decimal comma, in a classroom"
set_to LC_ALL=de_DE.UTF-8 LC_NUMERIC=de_DE.UTF-8 LANG=de_DE.UTF-8 N=2
works classroom "make classroom-down removes all of them"
holds "its JSON is invalid" go -C "$LAB_DIR" run ./scripts/dev/environments/sandbox json "${folder:-}/.cache/bench/classroom-2.json"
works classroom-down

starts "Turkish, in which the small I has no dot, and a zone 14 hours ahead"
set_to LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8 LANGUAGE=tr TZ=Pacific/Kiritimati QUICK=1
works up "the client is served"
works scenario-expired "PASS expired"
works doctor "all is well"

environment "Turkish, and a name in capitals"
set_to LC_ALL=tr_TR.UTF-8 "COMPOSE_PROJECT_NAME=IŞIK LIST"
refused up "COMPOSE_PROJECT_NAME=i--ik-list"

environment "a decimal comma"
set_to LC_ALL=de_DE.UTF-8 LC_NUMERIC=de_DE.UTF-8
asks 'say "$LC_ALL $(awk "BEGIN {printf \"%.1f\", 1.5}")"' "C 1.5"

environment "a locale that is not installed"
set_to LC_ALL=tlh_KX.UTF-8 LANG=tlh_KX.UTF-8 LANGUAGE=tlh
asks 'say "<$LC_ALL>"' "<C>"
works scenarios "bad-id"
