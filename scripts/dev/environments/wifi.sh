# wifi: DNS servers that do not answer, refuse, or lie; and what the lab sends to the local network
# shellcheck shell=bash disable=SC2154,SC2034,SC2016

# local_network MANNER: a network with a DNS server of that kind, for each service that would ask the DNS server of the
# machine's network: those to which compose.yaml gives none.
local_network() {
	[ -z "$skip$wrong" ] || return 0
	docker network create "other-$project" >/dev/null
	gateway=$(docker network inspect "other-$project" --format '{{(index .IPAM.Config 0).Gateway}}')
	(cd "$LAB_DIR" && go build -o "$box/sandbox" ./scripts/dev/environments/sandbox)
	"$box/sandbox" dns "$gateway:53" "$1" >"$box/asked" &
	others=$!
	printf 'services:\n' >"$box/dns.yaml"
	for service in spire-server server client; do printf '  %s: {dns: %s}\n' "$service" "$gateway" >>"$box/dns.yaml"; done
}

starts "the usual time of a start"
start
usual=${took:-}
for manner in hangs refuses lies; do
	starts "a DNS server that $manner: less than twice the usual time, and it is not asked"
	local_network "$manner"
	start "$box/dns.yaml"
	holds "it was asked: $(head -n 1 "${box:-}/asked" 2>/dev/null)" test ! -s "$box/asked"
	holds "${took:-} s instead of $usual s" awk -v took="${took:-}" -v usual="$usual" 'BEGIN {exit !(took < 2 * usual)}'
	does sh -c 'docker exec "$0" probe http://nobody.test/ || true' "$project-client-1"
	holds "it is not asked by anybody: this shows nothing" grep nobody "$box/asked"
	[ -n "$skip$wrong" ] || say "    $usual s usually, $took s with it"
done

starts "a lab that starts and runs for 20 s: no packet goes to an address outside its network"
does "$COMPOSE" create
if [ -z "$skip$wrong" ]; then
	(cd "$LAB_DIR" && go build -o "$box/sandbox" ./scripts/dev/environments/sandbox)
	"$box/sandbox" watch "$(docker network inspect "${project}_default" --format '{{(index .IPAM.Config 0).Subnet}}')" >"$box/seen" &
	others=$!
fi
works up "the client is served"
does sleep 20
holds "it went elsewhere: $(sed -n 2p "${box:-}/seen" 2>/dev/null)" test "$(cat "${box:-}/seen" 2>/dev/null)" = watching
# What the client sends to another network of this machine is such a packet, and goes no further.
does docker network create "other-$project"
does sh -c 'docker exec "$0" probe "http://$(docker network inspect "$1" --format "{{(index .IPAM.Config 0).Gateway}}"):9/" || true' "$project-client-1" "other-$project"
holds "the watch sees nothing at all: this shows nothing" grep 'protocol 6' "$box/seen"
