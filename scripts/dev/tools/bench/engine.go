package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func names() []string { return slices.Sorted(maps.Keys(commands)) }

// output runs a command in the lab's folder, and returns its output without the line feed at the end.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	text := strings.TrimRight(string(out), "\n")
	if err != nil {
		return text, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}

func docker(ctx context.Context, args ...string) (string, error) {
	return output(ctx, "docker", args...)
}

// composeCommand returns a command for the Compose that scripts/dev/lib/host.sh has found or built.
func composeCommand(args ...string) (string, []string) {
	if compose := os.Getenv("BENCH_COMPOSE"); compose != "docker-plugin" && compose != "" {
		return compose, args
	}
	return "docker", append([]string{"compose"}, args...)
}

func compose(ctx context.Context, args ...string) (string, error) {
	name, args := composeCommand(args...)
	return output(ctx, name, args...)
}

// withLoad returns arguments for Compose that add the services of the measurement to the lab's services.
func withLoad(args ...string) []string {
	return append([]string{"-f", "compose.yaml", "-f", "scripts/dev/tools/bench/compose.yaml"}, args...)
}

// services are the services that plain `docker compose up` starts. scripts/dev/bench.sh gets them from Compose.
var services = strings.Fields(os.Getenv("BENCH_SERVICES"))

func containers(ctx context.Context) (map[string]string, error) {
	out, err := docker(ctx, "ps", "--all", "--no-trunc", "--filter", "label=com.docker.compose.project="+os.Getenv("COMPOSE_PROJECT_NAME"),
		"--filter", "label=com.docker.compose.oneoff=False", "--format", `{{.Label "com.docker.compose.service"}} {{.ID}}`)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for line := range strings.Lines(out) {
		if service, id, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			ids[service] = id
		}
	}
	for _, service := range services {
		if ids[service] == "" {
			return nil, fmt.Errorf("the lab has no container for %s", service)
		}
	}
	return ids, nil
}

// up starts the lab, and waits for the first request that was served. It returns the time of this request by the
// engine's clock.
func up(ctx context.Context) (time.Time, error) {
	if _, err := compose(ctx, "up", "--detach"); err != nil {
		return time.Time{}, err
	}
	ids, err := containers(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return logged(ctx, ids["client"], "Success!!!")
}

// down removes the lab with its volumes, even after ctx was cancelled.
func down(ctx context.Context) error {
	_, err := compose(context.WithoutCancel(ctx), withLoad("--profile", "*", "down", "--volumes", "--remove-orphans")...)
	return err
}

// logged follows the log of a container up to the first line with the text. It returns the time at which the engine
// received this line.
func logged(ctx context.Context, container, text string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "docker", "logs", "--follow", "--timestamps", container)
	reader, writer := io.Pipe()
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		return time.Time{}, err
	}
	go func() { writer.CloseWithError(command.Wait()) }()
	defer reader.Close()
	for lines := bufio.NewScanner(reader); lines.Scan(); {
		stamp, line, _ := strings.Cut(lines.Text(), " ")
		if strings.Contains(line, text) {
			return time.Parse(time.RFC3339Nano, stamp)
		}
	}
	return time.Time{}, fmt.Errorf("container %.12s did not log %q within a minute", container, text)
}

// clock returns how far the engine's clock is ahead of this machine's clock. On Docker Desktop the engine has a
// separate clock.
func clock(ctx context.Context) (time.Duration, error) {
	before := time.Now()
	out, err := docker(ctx, "info", "--format", "{{.SystemTime}}")
	if err != nil {
		return 0, err
	}
	after := time.Now()
	engine, err := time.Parse(time.RFC3339Nano, out)
	if err != nil {
		return 0, err
	}
	switch {
	case engine.Before(before):
		return engine.Sub(before), nil
	case engine.After(after):
		return engine.Sub(after), nil
	}
	return 0, nil // the difference is too small to be measured
}
