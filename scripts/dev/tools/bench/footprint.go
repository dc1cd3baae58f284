package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Footprint is the memory and CPU time that an idle lab uses, and the size of its images.
type Footprint struct {
	Seconds    float64     `json:"seconds"` // how long the idle lab was watched
	Containers []Container `json:"containers"`
	MemoryMiB  float64     `json:"memory_mib"`
	CPUPercent float64     `json:"cpu_percent"` // of one core
	Images     []Image     `json:"images"`
	Download   Download    `json:"download"`
}

// Container is the memory and CPU time that one container of an idle lab uses.
type Container struct {
	Service    string  `json:"service"`
	MemoryMiB  float64 `json:"memory_mib"`
	CPUPercent float64 `json:"cpu_percent"` // of one core
}

// Image is one image that the lab uses.
type Image struct {
	Name      string  `json:"name"`
	MiB       float64 `json:"mib"`
	Scenarios bool    `json:"scenarios_only"` // only scenarios need the image, `docker compose up` does not
}

// Download is the compressed size of the image layers that `docker compose up` needs. Each layer counts once, because a
// registry sends it once.
type Download struct {
	MiB       float64 `json:"mib"`
	Layers    int     `json:"layers"`
	BuiltHere bool    `json:"built_here"` // true for images that were built on this machine, whose layers differ from the official images
}

const mebibyte = 1 << 20

func footprint(ctx context.Context, o options) (err error) {
	result := Footprint{Seconds: pick(o, 30.0, 3)}
	// The engine counts a cached file as memory of the container that read the file first. So the lab is restarted,
	// because its files are then in the cache already.
	if err := down(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, down(ctx)) }()
	if _, err := up(ctx); err != nil {
		return err
	}
	if _, err := compose(ctx, "down"); err != nil {
		return err
	}
	if _, err := up(ctx); err != nil {
		return err
	}
	// The measurement begins when the work of the start is over.
	if err := wait(ctx, pick(o, 10*time.Second, time.Second)); err != nil {
		return err
	}
	if err := result.watch(ctx); err != nil {
		return err
	}
	fmt.Printf("  an idle lab uses %.0f MiB and %.1f %% of a core\n", result.MemoryMiB, result.CPUPercent)
	if err := result.weigh(ctx); err != nil {
		return err
	}
	fmt.Printf("  its images are %.0f MiB to download\n", result.Download.MiB)
	return save("footprint", result)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

type counters struct {
	at     time.Time
	cpu    time.Duration // CPU time since the container's start
	memory float64       // bytes, as `docker stats` shows them
}

// watch reads the counters at the beginning and at the end of the measurement. So it needs no samples, and only the lab
// runs in between.
func (f *Footprint) watch(ctx context.Context) error {
	client, err := engine(ctx)
	if err != nil {
		return err
	}
	ids, err := containers(ctx)
	if err != nil {
		return err
	}
	first := map[string]counters{}
	running := slices.DeleteFunc(slices.Clone(services), func(service string) bool { return service == "bootstrap" })
	for _, service := range running {
		if first[service], err = read(ctx, client, ids[service]); err != nil {
			return err
		}
	}
	if err := wait(ctx, time.Duration(f.Seconds*float64(time.Second))); err != nil {
		return err
	}
	for _, service := range running {
		last, err := read(ctx, client, ids[service])
		if err != nil {
			return err
		}
		one := Container{
			Service:    service,
			MemoryMiB:  last.memory / mebibyte,
			CPUPercent: 100 * (last.cpu - first[service].cpu).Seconds() / last.at.Sub(first[service].at).Seconds(),
		}
		f.Containers = append(f.Containers, one)
		f.MemoryMiB += one.MemoryMiB
		f.CPUPercent += one.CPUPercent
	}
	return nil
}

// engine returns a client for the engine's API, which has counters that the docker command does not show.
func engine(ctx context.Context) (*http.Client, error) {
	host, err := docker(ctx, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	if err != nil {
		return nil, err
	}
	socket, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return nil, fmt.Errorf("the engine is at %s: its counters are read from a Unix socket only", host)
	}
	var dialer net.Dialer
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", socket)
	}}}, nil
}

func read(ctx context.Context, client *http.Client, id string) (counters, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/v1.41/containers/"+id+"/stats?stream=false&one-shot=true", nil)
	if err != nil {
		return counters{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return counters{}, err
	}
	defer response.Body.Close()
	var stats struct {
		Read time.Time
		CPU  struct {
			Usage struct {
				Total uint64 `json:"total_usage"`
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
		Memory struct {
			Usage float64
			Stats map[string]float64
		} `json:"memory_stats"`
	}
	if err := json.NewDecoder(response.Body).Decode(&stats); err != nil {
		return counters{}, fmt.Errorf("the engine's counters for container %.12s: %w", id, err)
	}
	if response.StatusCode != http.StatusOK || stats.Memory.Usage == 0 {
		return counters{}, fmt.Errorf("the engine has no counters for container %.12s: %s", id, response.Status)
	}
	// Cached files do not count, because the kernel can drop them at any time. cgroup v1 and v2 have different names
	// for the size of cached files.
	cache := stats.Memory.Stats["total_inactive_file"]
	if v2, ok := stats.Memory.Stats["inactive_file"]; ok && cache == 0 {
		cache = v2
	}
	return counters{stats.Read, time.Duration(stats.CPU.Usage.Total), stats.Memory.Usage - cache}, nil
}

// weigh reads the sizes of the images, and compresses their layers as a registry stores them.
func (f *Footprint) weigh(ctx context.Context) error {
	needed, err := images(ctx)
	if err != nil {
		return err
	}
	all, err := images(ctx, "--profile", "*")
	if err != nil {
		return err
	}
	for _, name := range all {
		size, err := docker(ctx, "image", "inspect", "--format", "{{.Size}}", name)
		if err != nil {
			continue // some images for scenarios may not be built
		}
		bytes, err := strconv.ParseFloat(size, 64)
		if err != nil {
			return err
		}
		f.Images = append(f.Images, Image{Name: name, MiB: bytes / mebibyte, Scenarios: !slices.Contains(needed, name)})
		f.Download.BuiltHere = f.Download.BuiltHere || strings.HasPrefix(name, "spiffe-lab/spire-")
	}
	command := exec.CommandContext(ctx, "docker", append([]string{"save"}, needed...)...)
	pipe, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	bytes, layers, err := compressed(pipe)
	if err := errors.Join(err, command.Wait()); err != nil {
		return fmt.Errorf("docker save: %w", err)
	}
	f.Download.MiB, f.Download.Layers = float64(bytes)/mebibyte, layers
	return nil
}

func images(ctx context.Context, args ...string) ([]string, error) {
	out, err := compose(ctx, append(args, "config", "--images")...)
	if err != nil {
		return nil, err
	}
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(out)))), nil
}

// compressed returns the compressed size of the layers in the output of `docker save`. Each layer counts once. The
// function reads the engine's own format and the OCI format, whose layers may be compressed already.
func compressed(saved io.Reader) (bytes int64, layers int, err error) {
	seen := map[[sha256.Size]byte]bool{}
	archive := tar.NewReader(saved)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return bytes, layers, nil
		}
		if err != nil {
			return 0, 0, err
		}
		blob := strings.HasPrefix(header.Name, "blobs/")
		if header.Typeflag != tar.TypeReg || !blob && !strings.HasSuffix(header.Name, "/layer.tar") {
			continue
		}
		sum, size, isLayer, err := weighLayer(archive)
		if err != nil {
			return 0, 0, err
		}
		if !isLayer || seen[sum] {
			continue
		}
		seen[sum] = true
		bytes += size
		layers++
	}
}

func weighLayer(layer io.Reader) (sum [sha256.Size]byte, size int64, isLayer bool, err error) {
	buffered := bufio.NewReaderSize(layer, 1024)
	head, err := buffered.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return sum, 0, false, err
	}
	hash, count := sha256.New(), &counter{}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")), bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		_, err = io.Copy(io.MultiWriter(hash, count), buffered)
	case len(head) == 512 && bytes.HasPrefix(head[257:], []byte("ustar")), len(head) == 512 && head[0] == 0:
		packed := gzip.NewWriter(count)
		_, err = io.Copy(io.MultiWriter(hash, packed), buffered)
		err = errors.Join(err, packed.Close())
	default:
		return sum, 0, false, nil // this file describes the image, and is not a layer
	}
	return [sha256.Size]byte(hash.Sum(nil)), count.n, true, err
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
