# How long SVIDs live. There is one clock, the engine's: the learner's may be wrong.
# shellcheck shell=bash

quick() { if [ -n "${QUICK:-}" ]; then say "$1"; else say "$2"; fi; }

held_until() { log_of "$1" | sed -n 's/^.* expires \(.*Z\)$/\1/p' | tail -n 1; }

expect_past() {
	in_image account past -within "${1}s" "$2" || fail "$3"
	passed "$3"
}

# expect_left most|least SECONDS LIMIT WHY SERVICE...: in words, of the SVIDs that running programs hold.
expect_left() {
	svids_live "$@" || fail "$4"
	passed "$4"
}

svids_live() {
	# Who asks ends when the answer is found, and that is no failure.
	(
		set +o pipefail
		while :; do
			for service in "${@:5}"; do say "$service $(held_until "$service")" || exit 0; done
			sleep 0.2
		done 2>/dev/null |
			in_image account held "-$1" "$2" -within "${3}s" -what "$4" ${on_terminal:+-tty} "${@:5}"
	)
}

countdown() {
	local expires
	expires=$(held_until "$1")
	[ -n "$expires" ] || fail "$1 has not logged which SVID it holds"
	(
		set +o pipefail
		compose logs --follow --no-color "$1" ${traffic_began:+steady} 2>/dev/null |
			in_image account countdown ${traffic_began:+-traffic} ${on_terminal:+-tty} "$1" "$expires"
	) || fail "the SVID of $1 has not expired"
	passed "the SVID of $1 has expired, by the clock"
}
