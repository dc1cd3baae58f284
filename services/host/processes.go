package main

import (
	"bufio"
	"encoding/hex"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// containerID matches a container's ID in a cgroup path, for every container engine and both versions of cgroups.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// processes returns the processes in /proc that run the lab's programs. It leaves out all other processes: /proc may have the processes of
// the whole machine, whose command lines are private. With cgroup namespaces, the cgroup path of a process in the observer's own container
// does not contain the ID of this container.
func processes(proc fs.FS) []observation.Process {
	folders, _ := fs.Glob(proc, "[1-9]*")
	var seen []observation.Process
	for _, folder := range folders {
		pid, err := strconv.Atoi(folder)
		if err != nil {
			continue
		}
		text, err := fs.ReadFile(proc, folder+"/cmdline")
		if err != nil {
			continue // it has exited
		}
		command := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
		if !lasting(command) {
			continue
		}
		container := ""
		if groups, err := fs.ReadFile(proc, folder+"/cgroup"); err == nil {
			// The last ID is the container's, because an engine may itself run in a container.
			if ids := containerID.FindAllString(string(groups), -1); len(ids) > 0 {
				container = ids[len(ids)-1]
			}
		}
		seen = append(seen, observation.Process{PID: pid, Container: container, Command: command})
	}
	slices.SortFunc(seen, func(a, b observation.Process) int { return a.PID - b.PID })
	return seen
}

// lasting reports whether a command line starts a program of the lab that keeps running.
func lasting(command []string) bool {
	directory, program := filepath.Split(command[0])
	switch {
	case program == "server" || program == "client":
		return directory == "" || directory == "/opt/spiffe-lab/bin/"
	case program == "spire-agent" || program == "spire-server":
		return len(command) > 1 && command[1] == "run"
	}
	return false
}

// listening returns the TCP addresses on which programs listen in this network namespace, from /proc/net/tcp and tcp6. It leaves out the
// address of Docker's DNS server.
func listening(proc fs.FS) []string {
	var addresses []string
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		file, err := proc.Open(name)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 4 || fields[3] != "0A" { // TCP_LISTEN
				continue
			}
			if address, ok := socketAddress(fields[1]); ok && address.Addr() != netip.AddrFrom4([4]byte{127, 0, 0, 11}) {
				addresses = append(addresses, address.String())
			}
		}
		_ = file.Close()
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

// socketAddress reads an address of /proc/net/tcp: 32-bit words, each in the byte order of a little-endian machine, and the port.
func socketAddress(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(raw) != net.IPv4len && len(raw) != net.IPv6len {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip, uint16(number)), ok
}
