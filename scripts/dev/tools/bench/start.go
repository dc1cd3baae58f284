package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Start is the time from `docker compose up -d` to the first request that was served.
type Start struct {
	Stages      []Stage `json:"stages"` // in the order in which they end
	Success     Spread  `json:"success"`
	Returned    Spread  `json:"compose_returned"`
	Floor       Spread  `json:"floor"`
	TimesFloor  float64 `json:"times_floor"` // the ratio of the medians
	EarlyErrors int     `json:"errors_before_success"`
}

// Stage is an event, and its time in seconds since `docker compose up -d`.
type Stage struct {
	Name string `json:"name"`
	At   Spread `json:"at"`
}

// stages are the stages of a start, each with the log line at its end. The engine adds the time to each line, so the
// measurement does not slow down the start.
var stages = []struct{ name, service, text string }{
	{"SPIRE server ready", "spire-server", "address=/tmp/spire-server/private/api.sock"},
	{"bootstrap done", "bootstrap", "bootstrap: done"},
	{"agent attested", "spire-agent", "Node attestation was successful"},
	{"server listening", "server", "serving on"},
	{"first success", "client", "Success!!!"},
}

const created = "containers created"

func start(ctx context.Context, o options) error {
	if err := down(ctx); err != nil {
		return err
	}
	at := map[string][]float64{}
	var returned, floors []float64
	early := 0
	runs := pick(o, 7, 2)
	for run := range runs {
		// The floor and the lab are measured in turn, so that both run under the same conditions.
		floor, err := plainRuns(ctx)
		if err != nil {
			return err
		}
		floors = append(floors, floor)
		one, err := startOnce(ctx)
		if err := errors.Join(err, down(ctx)); err != nil {
			return err
		}
		for name, seconds := range one.at {
			at[name] = append(at[name], seconds)
		}
		returned = append(returned, one.returned)
		early += one.errors
		fmt.Printf("  run %d of %d: first success after %.2f s; %d times plain docker run: %.2f s\n",
			run+1, runs, one.at["first success"], len(services), floor)
	}
	result := Start{Returned: spread(returned), Floor: spread(floors), EarlyErrors: early}
	order := []string{created}
	for _, stage := range stages {
		order = append(order, stage.name)
	}
	for _, service := range services {
		order = append(order, service+" started")
	}
	for _, name := range order {
		result.Stages = append(result.Stages, Stage{name, spread(at[name])})
	}
	result.Success = spread(at["first success"])
	result.TimesFloor = result.Success.Median / result.Floor.Median
	return save("start", result)
}

type started struct {
	at       map[string]float64
	returned float64
	errors   int
}

func startOnce(ctx context.Context) (started, error) {
	one := started{at: map[string]float64{}}
	ahead, err := clock(ctx)
	if err != nil {
		return one, err
	}
	began := time.Now()
	since := func(t time.Time) float64 { return t.Add(-ahead).Sub(began).Seconds() }
	if _, err := compose(ctx, "up", "--detach"); err != nil {
		return one, err
	}
	one.returned = time.Since(began).Seconds()
	ids, err := containers(ctx)
	if err != nil {
		return one, err
	}
	for _, stage := range stages {
		t, err := logged(ctx, ids[stage.service], stage.text)
		if err != nil {
			return one, err
		}
		one.at[stage.name] = since(t)
	}
	for _, service := range services {
		out, err := docker(ctx, "inspect", "--format", "{{.Created}} {{.State.StartedAt}}", ids[service])
		if err != nil {
			return one, err
		}
		var times [2]time.Time
		for i, text := range strings.Fields(out)[:2] {
			if times[i], err = time.Parse(time.RFC3339Nano, text); err != nil {
				return one, err
			}
		}
		one.at[created] = max(one.at[created], since(times[0]))
		one.at[service+" started"] = since(times[1])
	}
	log, err := docker(ctx, "logs", ids["client"])
	if err != nil {
		return one, err
	}
	before, _, _ := strings.Cut(log, "Success!!!")
	one.errors = strings.Count(before, "Error connecting to ")
	return one, nil
}

// plainRuns measures the cost of the engine alone. It starts as many containers as the lab has, one after the other,
// and each container's program exits at once.
func plainRuns(ctx context.Context) (float64, error) {
	prefix := os.Getenv("COMPOSE_PROJECT_NAME") + "-floor-"
	var made []string
	defer func() {
		if len(made) > 0 {
			_, _ = docker(context.WithoutCancel(ctx), append([]string{"rm", "--force"}, made...)...)
		}
	}()
	began := time.Now()
	for i := range services {
		name := fmt.Sprint(prefix, i)
		made = append(made, name)
		if _, err := docker(ctx, "run", "--name", name, os.Getenv("WORKLOAD_IMAGE"), "client", "-help"); err != nil {
			return 0, err
		}
	}
	return time.Since(began).Seconds(), nil
}
