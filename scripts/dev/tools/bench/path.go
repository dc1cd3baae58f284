package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/pprof/profile"
	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// Path compares the cost of a request with go-spiffe to the cost with crypto/tls and static certificates.
type Path struct {
	Benchmarks []Comparison `json:"benchmarks"` // of the server and of the client, each benchmark in one process
	Profile    []Share      `json:"profile"`    // the CPU time of one request on a new connection, on both sides
	Real       []Traffic    `json:"real"`       // the times between two containers
}

// Comparison is one benchmark with go-spiffe and with static certificates. The two variants run in turn.
type Comparison struct {
	Program    string  `json:"program"`
	Connection string  `json:"connection"` // "new" for a new connection for each request, or "kept"
	Static     Cost    `json:"static"`
	SPIFFE     Cost    `json:"spiffe"`
	Above      Spread  `json:"above_static_percent"` // how much more time go-spiffe takes, for each round
	AboveCPU   Spread  `json:"cpu_above_static_percent"`
	P          float64 `json:"p"` // the p-value of the two series of times, by the Mann-Whitney test
}

// Cost is the time and the CPU time that one request takes, on both sides together.
type Cost struct {
	Microseconds Spread `json:"microseconds"`
	CPU          Spread `json:"cpu_microseconds"`
}

// Share is the CPU time that a function and all functions below it use, for one request on a new connection.
type Share struct {
	Function string  `json:"function"`
	Static   float64 `json:"static_microseconds"`
	SPIFFE   float64 `json:"spiffe_microseconds"`
}

// files is the folder with the files of the measurement. The image of the measurement gets a copy as [inImage].
const files = ".cache/bench-image"

var kinds = []string{"static", "spiffe"}

func path(ctx context.Context, o options) error {
	var result Path
	binaries, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(binaries)
	for _, program := range []string{"Server", "Client"} {
		binary := filepath.Join(binaries, program)
		if _, err := output(ctx, "go", "test", "-c", "-o", binary, "./services/"+map[string]string{"Server": "server", "Client": "client"}[program]); err != nil {
			return err
		}
		for _, connection := range []string{"new", "kept"} {
			one, err := compare(ctx, o, binary, program, connection)
			if err != nil {
				return err
			}
			result.Benchmarks = append(result.Benchmarks, one)
			fmt.Printf("  %s, %s connection: %.0f us with static certificates, %.0f us with go-spiffe\n", program, connection,
				one.Static.Microseconds.Median, one.SPIFFE.Microseconds.Median)
		}
	}
	if result.Profile, err = profiled(ctx, o, filepath.Join(binaries, "Server")); err != nil {
		return err
	}
	if result.Real, err = between(ctx); err != nil {
		return err
	}
	return save("path", result)
}

// compare runs the two variants in turn, each in its own process, so that a change of the machine's load affects both.
func compare(ctx context.Context, o options, binary, program, connection string) (Comparison, error) {
	requests := map[string]int{"new": pick(o, 500, 100), "kept": pick(o, 10000, 1000)}[connection]
	times, cpu := map[string][]float64{}, map[string][]float64{}
	var percent, percentCPU []float64
	for round := range pick(o, 12, 2) {
		for i := range kinds {
			kind := kinds[(i+round)%len(kinds)]
			one, err := benchmark(ctx, binary, fmt.Sprintf("^Benchmark%s$/^%s$/^%s$", program, connection, kind), requests)
			if err != nil {
				return Comparison{}, err
			}
			times[kind] = append(times[kind], one.microseconds)
			cpu[kind] = append(cpu[kind], one.cpu)
		}
		percent = append(percent, above(times["spiffe"][round], times["static"][round]))
		percentCPU = append(percentCPU, above(cpu["spiffe"][round], cpu["static"][round]))
	}
	sample := func(kind string) *benchmath.Sample {
		return benchmath.NewSample(append([]float64(nil), times[kind]...), &benchmath.DefaultThresholds)
	}
	return Comparison{
		Program: program, Connection: connection,
		Static: Cost{spread(times["static"]), spread(cpu["static"])},
		SPIFFE: Cost{spread(times["spiffe"]), spread(cpu["spiffe"])},
		Above:  spread(percent), AboveCPU: spread(percentCPU),
		P: benchmath.AssumeNothing.Compare(sample("static"), sample("spiffe")).P,
	}, nil
}

type measured struct{ microseconds, cpu float64 }

func benchmark(ctx context.Context, binary, name string, requests int, args ...string) (measured, error) {
	command := exec.CommandContext(ctx, binary, append([]string{"-test.run=^$", "-test.bench=" + name, fmt.Sprintf("-test.benchtime=%dx", requests)}, args...)...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return measured{}, fmt.Errorf("benchmark %s: %w\n%s%s", name, err, out.String(), errs.String())
	}
	used := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	for reader := benchfmt.NewReader(&out, name); reader.Scan(); {
		if result, ok := reader.Result().(*benchfmt.Result); ok {
			if seconds, ok := result.Value("sec/op"); ok {
				return measured{1e6 * seconds, float64(used.Microseconds()) / float64(requests)}, nil
			}
		}
	}
	return measured{}, fmt.Errorf("benchmark %s measured nothing", name)
}

// suspects are functions whose time for a new connection may differ between go-spiffe and static certificates. Their
// names are as in a profile.
var suspects = []string{
	"crypto/tls.(*clientHandshakeStateTLS13).handshake",
	"crypto/tls.(*serverHandshakeStateTLS13).handshake",
	"crypto/x509.(*Certificate).Verify",
	"crypto/x509.ParseCertificate",
	"github.com/spiffe/go-spiffe/v2/svid/x509svid.ParseAndVerify",
	"github.com/spiffe/go-spiffe/v2/svid/x509svid.Verify",
	"github.com/spiffe/go-spiffe/v2/svid/x509svid.IDFromCert",
}

// profiled returns where a request on a new connection uses CPU time, with go-spiffe and with static certificates.
func profiled(ctx context.Context, o options, binary string) ([]Share, error) {
	shares := make([]Share, len(suspects)+1)
	shares[0].Function = "all"
	for i, name := range suspects {
		shares[i+1].Function = name
	}
	requests := pick(o, 4000, 300)
	file := binary + ".profile"
	for _, kind := range kinds {
		if _, err := benchmark(ctx, binary, "^BenchmarkServer$/^new$/^"+kind+"$", requests, "-test.cpuprofile="+file); err != nil {
			return nil, err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		parsed, err := profile.ParseData(text)
		if err != nil {
			return nil, err
		}
		for _, sample := range parsed.Sample {
			each := time.Duration(sample.Value[1]).Seconds() * 1e6 / float64(requests)
			below := map[string]bool{"all": true}
			for _, location := range sample.Location {
				for _, line := range location.Line {
					below[line.Function.Name] = true
				}
			}
			for i := range shares {
				if !below[shares[i].Function] {
					continue
				}
				if kind == "static" {
					shares[i].Static += each
				} else {
					shares[i].SPIFFE += each
				}
			}
		}
	}
	return shares, nil
}

// The function between sends requests from one container of the lab to two others: to the lab's server, and to a server
// with static certificates.
func between(ctx context.Context) (traffic []Traffic, err error) {
	if err := issue(files); err != nil {
		return nil, err
	}
	if err := down(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, down(ctx)) }()
	if _, err := compose(ctx, withLoad("build", "load")...); err != nil {
		return nil, err
	}
	if _, err := up(ctx); err != nil {
		return nil, err
	}
	if _, err := compose(ctx, withLoad("up", "--detach", "--no-deps", "static-server")...); err != nil {
		return nil, err
	}
	line := composeLine(withLoad("run", "--rm", "--no-deps", "-T", "load", "load")...)
	command := exec.CommandContext(ctx, line[0], line[1:]...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("traffic in the lab: %w\n%s", err, errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), &traffic); err != nil {
		return nil, fmt.Errorf("traffic in the lab: %w\n%s", err, out.String())
	}
	for _, t := range traffic {
		fmt.Printf("  %s, %s connection, %d requests: p50 %.2f ms, p99 %.2f ms\n", t.Kind, t.Connection, t.Requests, t.P50, t.P99)
	}
	return traffic, nil
}
