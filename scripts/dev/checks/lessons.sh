#!/usr/bin/env bash
# a lesson that quotes another number than was printed must be found out, and one without pinned sources
# shellcheck source=../../lib/scenario.sh
. "$(dirname "$0")/../../lib/scenario.sh"
begin

# quoted QUOTE PRINTED: does lessons.sh take the one for the other?
quoted() {
	# shellcheck disable=SC2016 # the backquotes are Markdown's
	printf '```console\n%s\n```\n' "$1" >"$scratch/lesson.md"
	say "$2" >"$scratch/printed"
	"$LAB_DIR/scripts/dev/lessons.sh" "$scratch/lesson.md" "$scratch/printed"
}

same() { expect "as good as printed: $1" quoted "$1" "$2"; }
other() {
	! quoted "$1" "$2" >/dev/null || fail "\"$1\" passes for \"$2\""
	passed "not what was printed: $1"
}

step "What differs from run to run may differ"
same "server logs: 2026/11/24 21:07:54 http: TLS handshake error from 172.25.0.6:59262: EOF" "    server logs: 2026/11/25 01:00:00 http: TLS handshake error from 10.0.0.1:41000: EOF"
same "expires 2026-11-24T21:09:32Z" "expires 2026-11-25T10:48:59Z"
same "rotated: serial 3881EBCC7D32FA3EAF96A9664CC848D -> CDE31A73E460964A73D4A7EBD323836" "rotated: serial 9F1EBCC7D32FA3EAF96A9664CC848D0A -> 11E31A73E460964A73D4A7EBD3238365"
same "117 requests: 117 served, 0 failed; the server received 117, and refused 0" "119 requests: 119 served, 0 failed; the server received 119, and refused 0"
same 'msg="No identity issued" pid=285 registered=false' 'msg="No identity issued" pid=1246 registered=false'
same "PASS bad-id (8 checks, 3 s)" "PASS bad-id (8 checks, 11 s)"
same "client   Up 1 second (health: starting)" "client         Up About a minute (healthy)"

step "Nothing else may"
other "exit status 4" "exit status 3"
other "Protocol version: TLSv1.2" "Protocol version: TLSv1.3"
other "svid: uid 1112: rpc error" "svid: uid 1113: rpc error"
other "Reused, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256" "Reused, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"
other "-ttl 12s" "-ttl 13s"
other "117 requests: 117 served, 0 failed" "117 requests: 112 served, 5 failed"
other "PASS bad-id (8 checks, 3 s)" "PASS bad-id (7 checks, 3 s)"
other "https://server:8443/" "https://server:9443/"
other "curl: (60) SSL" "curl: (55) SSL"

# lesson EXPRESSION: is the lesson of bad-id, changed by sed, still whole?
lesson() {
	sed -E "$1" "$LAB_DIR/scripts/scenarios/bad-id.md" >"$scratch/lesson.md"
	! cmp -s "$scratch/lesson.md" "$LAB_DIR/scripts/scenarios/bad-id.md" || fail "\"$1\" changes nothing"
	"$LAB_DIR/scripts/dev/lessons.sh" "$scratch/lesson.md" 2>&1
}
not_whole() {
	local found
	! found=$(lesson "$1") || fail "a lesson passes with this change: $1"
	grep -qF -- "$2" <<<"$found" || fail "not \"$2\", but: $found"
	passed "found out: $2"
}

step "A lesson links its sources, each to one version"
expect "the lesson of bad-id is whole" "$LAB_DIR/scripts/dev/lessons.sh" "$LAB_DIR/scripts/scenarios/bad-id.md"
not_whole 's/^Sources: //' 'has no paragraph "Sources: "'
not_whole 's|/665a28f[0-9a-f]+/|/main/|' 'not one link to a tag, a commit or an RFC'
not_whole 's|www.rfc-editor.org/rfc/|www.example.org/|' 'not one link to a tag, a commit or an RFC'
not_whole 's|(\[RFC 8446, section 2\].*)|see \1|' 'not one link to a tag, a commit or an RFC'
not_whole 's|(go-spiffe/blob)/v[0-9.]+/|\1/v2.0.0/|' 'a source of another version'
not_whole 's/under "Validation"/in section 5/' 'names sections outside its sources: section 5'
