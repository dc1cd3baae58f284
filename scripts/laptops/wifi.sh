# wifi: a DNS server that does not answer
# shellcheck shell=bash disable=SC2154,SC2034,SC2016

starts "a DNS server that never answers: less than twice the usual time"
start
usual=${took:-}
if [ -z "$skip$wrong" ]; then
	docker network create "room-$project" >/dev/null
	gateway=$(docker network inspect "room-$project" --format '{{(index .IPAM.Config 0).Gateway}}')
	(cd "$LAB_DIR" && go build -o "$box/deaf" ./scripts/laptops/deaf)
	"$box/deaf" "$gateway:53" >"$box/asked" &
	deaf=$!
	printf 'services:\n  spire-agent:\n    dns: %s\n' "$gateway" >"$box/dns.yaml"
	start "$box/dns.yaml"
	holds "it was not asked at all: this shows nothing" test -s "$box/asked"
	holds "it was asked for something else than gRPC's own record" sh -c '! grep -v _grpclb "$1"' sh "$box/asked"
	holds "$took s instead of $usual s" awk -v took="$took" -v usual="$usual" 'BEGIN {exit !(took < 2 * usual)}'
	[ -n "$wrong" ] || say "    $usual s usually, $took s with it"
	kill "$deaf"
	deaf=''
	docker network rm "room-$project" >/dev/null
fi
