# wifi: a DNS server that does not answer
# shellcheck shell=bash disable=SC2154,SC2016

starts "a DNS server that never answers is never asked"
if [ -z "$skip" ]; then
	docker network create "$project-room" >/dev/null
	gateway=$(docker network inspect "$project-room" --format '{{(index .IPAM.Config 0).Gateway}}')
	(cd "$LAB_DIR" && go build -o "$box/deaf" ./scripts/laptops/deaf)
	"$box/deaf" "$gateway:53" >"$box/asked" &
	deaf=$!
	printf 'services:\n  spire-agent:\n    dns: %s\n' "$gateway" >"$box/dns.yaml"
	docker run --rm --network "$project-room" --dns "$gateway" "$WORKLOAD_IMAGE" probe http://stand-in.test/ >/dev/null 2>&1 || true
	holds "the stand-in is not asked by anybody" test -s "$box/asked"
	: >"$box/asked"
fi
does "$COMPOSE" -f compose.yaml -f "$box/dns.yaml" up --detach
asks 'wait_until 60 "the client is served" client_served && say served' "served"
[ -n "$skip" ] || holds "the lab asked it: $(cat "$box/asked")" test ! -s "$box/asked"
[ -n "$skip" ] || kill "$deaf"

starts "no way out of the lab"
works up "the client is served"
if [ -z "$skip$wrong" ]; then
	holds "a program of the lab finds a way out" sh -c '"$@" 2>&1 | grep "network is unreachable"' sh \
		docker exec --user client-workload "$(container_of client)" client -url https://192.0.2.1:443/ -timeout 5s
fi
