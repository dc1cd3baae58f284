# fetched: a registry that does not give what is asked for
# shellcheck shell=bash disable=SC2154,SC2016

# registry ANSWER: none of the images is here, and this is what a pull ends with.
registry() {
	does sh -c 'rm -f .cache/prebuilt .cache/built-*'
	stub docker 'case "$1 $2" in "image inspect") exit 1 ;; "pull "*) '"$1"'; exit 1 ;; *) exec "$real" "$@" ;; esac'
	without go
}

environment "a rate limit, and no Go"
registry 'echo "toomanyrequests: You have reached your unauthenticated pull rate limit." >&2'
refused up "cannot be pulled: toomanyrequests" "docker login"

environment "a credential helper that is not installed"
registry 'echo "error getting credentials - err: exec: \"docker-credential-desktop\": executable file not found in \$PATH" >&2'
refused up "docker-credential-desktop" "take credsStore and credHelpers out of $box/home/.docker/config.json"

environment "a proxy that opens TLS"
registry 'echo "Error response from daemon: tls: failed to verify certificate: x509: certificate signed by unknown authority" >&2'
refused up "x509: certificate signed by unknown authority" "give the room's CA to Docker"

environment "a registry that cannot be reached"
registry 'echo "dial tcp: lookup ghcr.io: no such host" >&2'
refused up "no such host" "let the engine reach the registry"

environment "a pull that is silent for long"
registry 'sleep 11; echo "net/http: TLS handshake timeout" >&2'
refused up "still pulling" "TLS handshake timeout"

environment "no space left on the engine"
registry 'echo "failed to register layer: write /usr/lib/go/bin/go: no space left on device" >&2'
refused up "no space left on device" "the engine's disk is full: docker system df"

environment "a version that the registry does not have"
registry 'echo "Error response from daemon: manifest for ghcr.io/spiffe/spire-server:9.9.9 not found: manifest unknown" >&2'
set_to SPIRE_VERSION=9.9.9
refused up "manifest unknown" "does this registry have it? .env and your environment name it: SPIRE_REGISTRY, SPIRE_VERSION"

environment "a registry that wants a login"
registry 'echo "Error response from daemon: Head https://ghcr.io/v2/spiffe/spire-server: unauthorized" >&2'
set_to SPIRE_REGISTRY=registry.intern.test/spiffe
refused up "registry.intern.test/spiffe/spire-server:$SPIRE_VERSION cannot be pulled" "does this registry have it?" "SPIRE_REGISTRY is registry.intern.test/spiffe: your environment sets it"

environment "a classroom, and no image was ever made"
stub docker 'case "$1 $2" in "image inspect") exit 1 ;; *) exec "$real" "$@" ;; esac'
set_to N=2
refused classroom "no lab has been built on this machine yet: there is no image spiffe-lab/" "hint: make up"
