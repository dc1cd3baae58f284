package scenario

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/traffic"
)

// trafficBegins starts the client "steady", which sends a request every 250 ms, each over a new connection.
func (r *run) trafficBegins(ctx context.Context, _ []string) error {
	now, err := r.lab.Now(ctx)
	if err != nil {
		return err
	}
	if err := r.command(ctx, strings.Fields("docker compose up --detach --no-deps --force-recreate "+lab.Steady)); err != nil {
		return err
	}
	last := ""
	held, err := r.wait(ctx, int(r.options.LogLimit.Seconds()*3/2), "the first request of the traffic is served", func() (bool, error) {
		texts, err := r.texts(ctx, lab.Steady, time.Time{})
		if errors.Is(err, engine.ErrNoContainer) {
			err = nil
		}
		for _, text := range texts {
			if last = text; text == "Success!!!" {
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		return err
	}
	if !held {
		return failf("the first request of the traffic was not served: %s", last)
	}
	inspection, err := r.lab.Inspect(ctx, lab.Steady)
	if err != nil {
		return err
	}
	for _, network := range inspection.NetworkSettings.Networks {
		r.trafficAddress = network.IPAddress
	}
	r.trafficBegan = now
	return nil
}

// trafficEnds stops the client, and prints the results of all requests: how many were served, how often each error occurred, and how
// many requests the server received and refused.
func (r *run) trafficEnds(ctx context.Context, _ []string) error {
	if r.trafficBegan.IsZero() {
		return failf("there is no traffic: traffic_begins comes first")
	}
	if err := r.command(ctx, strings.Fields("docker compose stop "+lab.Steady)); err != nil {
		return err
	}
	client, err := r.lab.Log(ctx, lab.Steady, time.Time{})
	if err != nil {
		return err
	}
	server, err := r.lab.Log(ctx, lab.Server, r.trafficBegan)
	if err != nil {
		return err
	}
	var all []traffic.Line
	for _, line := range client {
		all = append(all, traffic.Line{Side: traffic.Client, At: line.Time, Text: line.Text})
	}
	for _, line := range server {
		all = append(all, traffic.Line{Side: traffic.Server, At: line.Time, Text: line.Text})
	}
	taken, err := traffic.Take(all, r.trafficAddress)
	if err != nil {
		return failf("%v", err)
	}
	r.mu.Lock()
	r.traffic = taken
	r.mu.Unlock()
	taken.Write(r.out)
	return r.ok("every request is accounted for")
}

var errNoTraffic = failf("there is no traffic to judge: traffic_begins and traffic_ends come first")

func (r *run) expectLossless(_ context.Context, args []string) error {
	if r.traffic == nil {
		return errNoTraffic
	}
	said, err := r.traffic.Lossless()
	if err != nil {
		return failf("%s: %v", args[0], err)
	}
	return r.ok("%s: %s", args[0], said)
}

// expectOutage checks that all failures of the traffic are consecutive, have a matching reason, and began after a time.
func (r *run) expectOutage(_ context.Context, args []string) error {
	if r.traffic == nil {
		return errNoTraffic
	}
	outage, err := r.traffic.Outage(regexp.MustCompile(args[0]), moment(args[2]))
	if err != nil {
		return failf("%s: %v", args[1], err)
	}
	r.out.Say("    %s", outage)
	return r.ok("%s: %s", args[1], r.traffic.Sums())
}

// seeProcesses prints the process of each service, and remembers it.
func (r *run) seeProcesses(ctx context.Context, args []string) error {
	var err error
	if r.processes, err = r.processesOf(ctx, args); err != nil {
		return err
	}
	for _, process := range r.processes {
		r.out.Say("    %s", process)
	}
	return nil
}

func (r *run) processesOf(ctx context.Context, services []string) ([]engine.Process, error) {
	var all []engine.Process
	for _, service := range services {
		process, err := r.lab.Process(ctx, service)
		if err != nil {
			return nil, failf("%v", err)
		}
		all = append(all, process)
	}
	return all, nil
}

// expectSameProcesses checks that each of these services still has the process that was remembered.
func (r *run) expectSameProcesses(ctx context.Context, args []string) error {
	if len(r.processes) == 0 {
		return failf("there is no process to compare: see_processes comes first")
	}
	var services, changed []string
	for _, process := range r.processes {
		services = append(services, process.Service)
	}
	now, err := r.processesOf(ctx, services)
	if err != nil {
		return err
	}
	for i := range now {
		if now[i] != r.processes[i] {
			changed = append(changed, fmt.Sprintf("before: %s; now: %s", r.processes[i], now[i]))
		}
	}
	if len(changed) > 0 {
		return failf("%s: %s", args[0], strings.Join(changed, "; "))
	}
	return r.ok("%s", args[0])
}
