package classroom

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
)

// needRoom returns an error if there is a classroom already, or if n labs do not fit on this machine.
func (c *Class) needRoom(ctx context.Context, n int) error {
	labs, err := c.labs(ctx)
	if err != nil {
		return err
	}
	if len(labs) > 0 {
		return &engine.Problem{What: fmt.Sprintf("a classroom exists already, with these labs (%d): %s", len(labs), strings.Join(labs, " ")), Remedy: "\"make classroom-down\" removes it"}
	}
	free, err := c.freeNetworks(ctx)
	if err != nil {
		return err
	}
	if free < n {
		return &engine.Problem{What: fmt.Sprintf("Docker has addresses for %d more networks, but %d labs need %d networks", free, n, n),
			Remedy: `start fewer labs, or remove networks that nobody uses (docker network prune), or widen Docker's address pools. To widen them, put this into
      /etc/docker/daemon.json (Docker Desktop: Settings, Docker Engine), and restart the engine:
      {"default-address-pools": [{"base": "10.201.0.0/16", "size": 24}]}`}
	}
	if left, known := c.machine.available(); known && left < n*labNeeds {
		return &engine.Problem{What: fmt.Sprintf("this machine has %d MiB of memory left, but %d labs need about %d MiB", left, n, n*labNeeds),
			Remedy: fmt.Sprintf("start at most %d labs, or stop other programs", left/labNeeds)}
	}
	return nil
}

// pool is a range of addresses from which the engine makes networks.
type pool struct {
	Base string
	Size int // the prefix length of each network, in bits
}

// defaultPools are the pools that the engine uses if its configuration names no pools.
var defaultPools = []pool{
	{"172.17.0.0/16", 16}, {"172.18.0.0/16", 16}, {"172.19.0.0/16", 16}, {"172.20.0.0/14", 16},
	{"172.24.0.0/14", 16}, {"172.28.0.0/14", 16}, {"192.168.0.0/16", 20},
}

// freeNetworks returns how many more networks the engine can create. It counts the networks of the engine's pools, without those
// that overlap an existing network or route.
func (c *Class) freeNetworks(ctx context.Context) (int, error) {
	said, err := c.Ask(ctx, "info", "--format", "{{json .DefaultAddressPools}}")
	if err != nil {
		return 0, err
	}
	var pools []pool
	if err := json.Unmarshal([]byte(said), &pools); err != nil {
		return 0, fmt.Errorf("docker info gave address pools that are not JSON: %w", err)
	}
	if said, err = c.Ask(ctx, "network", "ls", "--quiet"); err != nil {
		return 0, err
	}
	used := c.machine.routes()
	if ids := strings.Fields(said); len(ids) > 0 {
		if said, err = c.Ask(ctx, append([]string{"network", "inspect"}, ids...)...); err != nil {
			return 0, err
		}
		var networks []struct {
			IPAM struct{ Config []struct{ Subnet string } }
		}
		if err := json.Unmarshal([]byte(said), &networks); err != nil {
			return 0, fmt.Errorf("docker network inspect gave an answer that is not JSON: %w", err)
		}
		for _, network := range networks {
			for _, config := range network.IPAM.Config {
				used = append(used, config.Subnet)
			}
		}
	}
	return countFree(pools, used)
}

// countFree counts those networks of the pools that overlap no network in the list used. It leaves out IPv6 pools, which have
// enough addresses.
func countFree(pools []pool, used []string) (int, error) {
	var taken []netip.Prefix
	for _, text := range used {
		if text == "" || strings.Contains(text, ":") {
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a network: %w", text, err)
		}
		taken = append(taken, network.Masked())
	}
	if len(pools) == 0 {
		pools = defaultPools
	}
	free := 0
	for _, pool := range pools {
		if strings.Contains(pool.Base, ":") {
			continue
		}
		n, err := pool.free(taken)
		if err != nil {
			return 0, err
		}
		free += n
	}
	return free, nil
}

func (p pool) free(taken []netip.Prefix) (int, error) {
	whole, err := netip.ParsePrefix(p.Base)
	if err != nil || p.Size < whole.Bits() || p.Size > 32 {
		return 0, fmt.Errorf(`"%s %d" is not an address pool`, p.Base, p.Size)
	}
	free := 0
	address := whole.Masked().Addr()
	for range 1 << (p.Size - whole.Bits()) {
		network := netip.PrefixFrom(address, p.Size)
		if !overlapsAny(network, taken) {
			free++
		}
		address = next(network)
	}
	return free, nil
}

func overlapsAny(network netip.Prefix, others []netip.Prefix) bool {
	for _, other := range others {
		if network.Overlaps(other) {
			return true
		}
	}
	return false
}

// next returns the first address after an IPv4 network.
func next(network netip.Prefix) netip.Addr {
	address := network.Addr().As4()
	n := binary.BigEndian.Uint32(address[:]) + 1<<(32-network.Bits())
	binary.BigEndian.PutUint32(address[:], n)
	return netip.AddrFrom4(address)
}

// linux reads the facts from the Linux kernel. On other systems all facts are empty.
type linux struct{}

func (linux) available() (int, bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	return availableIn(string(text))
}

func availableIn(text string) (int, bool) {
	found := regexp.MustCompile(`(?m)^MemAvailable: *(\d+) kB$`).FindStringSubmatch(text)
	if found == nil {
		return 0, false
	}
	kib, err := strconv.Atoi(found[1])
	return kib / 1024, err == nil
}

func (linux) routes() []string {
	text, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil
	}
	return routesIn(string(text))
}

// routesIn reads the destinations and masks of /proc/net/route. They are hexadecimal numbers in the machine's byte order, which is
// little-endian on both architectures for which the lab has images.
func routesIn(text string) []string {
	var all []string
	for scanner := bufio.NewScanner(strings.NewReader(text)); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 8 {
			continue
		}
		address, err := hex.DecodeString(fields[1])
		mask, errMask := hex.DecodeString(fields[7])
		if err != nil || errMask != nil || len(address) != 4 || len(mask) != 4 {
			continue
		}
		if ones := bits.OnesCount32(binary.LittleEndian.Uint32(mask)); ones > 0 { // 0 is the default route
			all = append(all, fmt.Sprintf("%d.%d.%d.%d/%d", address[3], address[2], address[1], address[0], ones))
		}
	}
	return all
}
