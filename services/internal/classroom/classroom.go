// Package classroom counts for a classroom of labs on one machine: the networks that the engine has left, what the
// containers' memory comes to, and which lab is as it should be.
package classroom

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// Main is the command line. It returns the exit status, as [cli.Answer] does.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	return cli.Answer(map[string]cli.Command{"memory": memory, "networks": networks, "table": table}, args, in, out, errOut)
}

// defaultPools are the engine's own, where its configuration names none.
var defaultPools = []string{
	"172.17.0.0/16 16", "172.18.0.0/16 16", "172.19.0.0/16 16", "172.20.0.0/14 16",
	"172.24.0.0/14 16", "172.28.0.0/14 16", "192.168.0.0/16 20",
}

// networks writes for how many more networks the engine has addresses. It takes them from its pools,
// lines "pool BASE SIZE", and leaves out what overlaps a network or a route that is there, lines
// "used CIDR". IPv6 has no end, and is passed over.
func networks(args []string, in io.Reader, out io.Writer) error {
	if err := cli.Parse(flag.NewFlagSet("networks", flag.ContinueOnError), args, out); err != nil {
		return err
	}
	lines, err := readLines(in)
	if err != nil {
		return err
	}
	var pools []string
	var used []netip.Prefix
	for _, line := range lines {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case rest == "" || strings.Contains(rest, ":"):
		case what == "pool":
			pools = append(pools, rest)
		case what == "used":
			network, err := netip.ParsePrefix(rest)
			if err != nil {
				return fmt.Errorf("%q is no network: %w", rest, err)
			}
			used = append(used, network.Masked())
		}
	}
	if len(pools) == 0 {
		pools = defaultPools
	}
	free := 0
	for _, pool := range pools {
		n, err := freeIn(pool, used)
		if err != nil {
			return err
		}
		free += n
	}
	fmt.Fprintln(out, free)
	return nil
}

// freeIn counts the networks of a pool, "BASE SIZE", that overlap none of used.
func freeIn(pool string, used []netip.Prefix) (int, error) {
	base, size, _ := strings.Cut(pool, " ")
	whole, err := netip.ParsePrefix(base)
	bits, errBits := strconv.Atoi(size)
	if err != nil || errBits != nil || bits < whole.Bits() || bits > 32 {
		return 0, fmt.Errorf("%q is no address pool", pool)
	}
	free := 0
	address := whole.Masked().Addr()
	for range 1 << (bits - whole.Bits()) {
		network := netip.PrefixFrom(address, bits)
		if !overlapsAny(network, used) {
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

// next is the first address after an IPv4 network.
func next(network netip.Prefix) netip.Addr {
	a := network.Addr().As4()
	n := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	n += 1 << (32 - network.Bits())
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

var size = regexp.MustCompile(`^([0-9.]+)([KMGT]i)?B$`)

// kib reads a size as `docker stats` writes it.
func kib(text string) (float64, error) {
	found := size.FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("%q is no size such as 12.5MiB", text)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size such as 12.5MiB", text)
	}
	unit := map[string]float64{"": 1.0 / 1024, "Ki": 1, "Mi": 1024, "Gi": 1 << 20, "Ti": 1 << 30}[found[2]]
	return n * unit, nil
}

// memory sums lines "CONTAINER SIZE ...", and writes the sum in KiB.
func memory(args []string, in io.Reader, out io.Writer) error {
	if err := cli.Parse(flag.NewFlagSet("memory", flag.ContinueOnError), args, out); err != nil {
		return err
	}
	lines, err := readLines(in)
	if err != nil {
		return err
	}
	sum := 0.0
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			return fmt.Errorf("this has no size: %q", line)
		}
		n, err := kib(fields[1])
		if err != nil {
			return err
		}
		sum += n
	}
	fmt.Fprintln(out, int(sum))
	return nil
}

// lab is one of a classroom, as the file for machines has it.
type lab struct {
	Name      string  `json:"lab"`
	Ready     float64 `json:"ready_s"`
	MemoryMiB float64 `json:"memory_mib"`
	Result    string  `json:"result"`
}

// report is that file.
type report struct {
	N          int   `json:"n"`
	Seconds    int   `json:"seconds"`
	MachineMiB int   `json:"machine_memory_mib"`
	Labs       []lab `json:"labs"`
}

// table writes the table of a classroom, or with -json the file for machines. It reads a line
// "lab NAME SECONDS RESULT" for each lab, and what `docker stats` says as "memory CONTAINER SIZE ...".
func table(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("table", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "for machines")
	took := flags.Int("seconds", 0, "how long all of it took")
	machine := flags.Int("machine-memory", 0, "what the machine has less than before, in MiB")
	if err := cli.Parse(flags, args, out); err != nil {
		return err
	}
	lines, err := readLines(in)
	if err != nil {
		return err
	}
	labs, err := readLabs(lines)
	if err != nil {
		return err
	}
	if *asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report{len(labs), *took, *machine, labs})
	}
	width := 0
	for _, l := range labs {
		width = max(width, len(l.Name)+1)
	}
	fmt.Fprintf(out, "%-*s %11s %12s  %s\n", width, "lab", "ready after", "memory", "result")
	for _, l := range labs {
		fmt.Fprintf(out, "%-*s %9.2f s %8.1f MiB  %s\n", width, l.Name, l.Ready, l.MemoryMiB, l.Result)
	}
	return nil
}

func readLabs(lines []string) ([]lab, error) {
	labs := []lab{}
	used := map[string]float64{} // KiB, by container
	for _, line := range lines {
		fields := strings.SplitN(line, " ", 4)
		switch {
		case fields[0] == "lab" && len(fields) == 4:
			ready, err := strconv.ParseFloat(fields[2], 64)
			if err != nil {
				return nil, fmt.Errorf("%q is no number of seconds", fields[2])
			}
			labs = append(labs, lab{Name: fields[1], Ready: ready, Result: fields[3]})
		case fields[0] == "memory" && len(fields) >= 3:
			n, err := kib(fields[2])
			if err != nil {
				return nil, err
			}
			used[fields[1]] += n
		default:
			return nil, cli.Usagef("table: this is neither a lab nor its memory: %q", line)
		}
	}
	for i := range labs {
		for container, n := range used {
			if strings.HasPrefix(container, labs[i].Name+"-") {
				labs[i].MemoryMiB += n / 1024
			}
		}
		labs[i].MemoryMiB = float64(int(labs[i].MemoryMiB*10+0.5)) / 10
	}
	return labs, nil
}

// readLines returns all lines.
func readLines(in io.Reader) ([]string, error) {
	var lines []string
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines, scanner.Err()
}
