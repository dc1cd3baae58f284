# fetched: a registry that does not give what is asked for
# shellcheck shell=bash disable=SC2154,SC2016

# registry ANSWER: none of the images is here, and this is what a pull ends with.
registry() {
	does sh -c 'rm -f .cache/staged .cache/built-*'
	stand_in docker 'case "$1 $2" in "image inspect") exit 1 ;; "pull "*) '"$1"'; exit 1 ;; *) exec "$real" "$@" ;; esac'
	without go
}

laptop "a rate limit, and no Go"
registry 'echo "toomanyrequests: You have reached your unauthenticated pull rate limit." >&2'
refused up "cannot be pulled: toomanyrequests" "docker login"

laptop "a credential helper that is not installed"
registry 'echo "error getting credentials - err: exec: \"docker-credential-desktop\": executable file not found in \$PATH" >&2'
refused up "docker-credential-desktop" "take credsStore and credHelpers out of $box/home/.docker/config.json"

laptop "a proxy that opens TLS"
registry 'echo "Error response from daemon: tls: failed to verify certificate: x509: certificate signed by unknown authority" >&2'
refused up "x509: certificate signed by unknown authority" "give the room's CA to Docker"

laptop "a registry that cannot be reached"
registry 'echo "dial tcp: lookup ghcr.io: no such host" >&2'
refused up "no such host" "let the engine reach the registry"

laptop "a pull that is silent for long"
registry 'sleep 11; echo "net/http: TLS handshake timeout" >&2'
refused up "still pulling" "TLS handshake timeout"
