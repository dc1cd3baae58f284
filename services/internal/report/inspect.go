package report

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
)

// inspected has the necessary fields of the output of `docker inspect` for a container.
type inspected struct {
	ID           string `json:"Id"`
	Name         string
	Image        string
	RestartCount int
	Config       struct {
		Image       string
		Cmd         []string
		User        string
		Env         []string
		Labels      map[string]string
		StopTimeout int
	}
	State struct {
		Status                string
		ExitCode              int
		OOMKilled             bool
		Error                 string
		StartedAt, FinishedAt time.Time
		Health                *struct{ Status string }
	}
	HostConfig struct {
		PidMode                    string
		CapAdd, CapDrop            []string
		ReadonlyRootfs, Privileged bool
	}
	Mounts []struct {
		Type, Name, Source, Destination, Driver string
		RW                                      bool
	}
	NetworkSettings struct {
		Networks map[string]struct {
			IPAddress string
			Aliases   []string
		}
	}
}

// shownVariables are the variables whose values are no secrets. For every other variable, a report has
// only the name.
var shownVariables = []string{"SPIFFE_ENDPOINT_SOCKET", "AGENT_TTL"}

func readContainers(out []byte) ([]facts.Container, error) {
	var said []inspected
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, err
	}
	all := make([]facts.Container, 0, len(said))
	for _, is := range said {
		c := facts.Container{
			ID: is.ID, Name: strings.TrimPrefix(is.Name, "/"), Service: is.Config.Labels["com.docker.compose.service"],
			Project: is.Config.Labels["com.docker.compose.project"], OneOff: is.Config.Labels["com.docker.compose.oneoff"],
			Image: is.Config.Image, ImageID: is.Image, Command: is.Config.Cmd, User: is.Config.User,
			Status: is.State.Status, ExitStatus: is.State.ExitCode, OutOfMemory: is.State.OOMKilled, Error: is.State.Error,
			StartedAt: is.State.StartedAt, FinishedAt: is.State.FinishedAt, Restarts: is.RestartCount,
			PIDMode: is.HostConfig.PidMode, CapAdd: is.HostConfig.CapAdd, CapDrop: is.HostConfig.CapDrop,
			StopTimeout: is.Config.StopTimeout, ReadOnly: is.HostConfig.ReadonlyRootfs, Privileged: is.HostConfig.Privileged,
			Settings: map[string]string{}, Networks: map[string]facts.Network{},
		}
		if is.State.Health != nil {
			c.Health = is.State.Health.Status
		}
		for _, variable := range is.Config.Env {
			name, value, _ := strings.Cut(variable, "=")
			c.Environment = append(c.Environment, name)
			for _, known := range shownVariables {
				if name == known {
					c.Settings[name] = value
				}
			}
		}
		for _, m := range is.Mounts {
			mount := facts.Mount{Type: m.Type, Name: m.Name, At: m.Destination, Writable: m.RW}
			if m.Type == "bind" {
				mount.Source = m.Source
			}
			c.Mounts = append(c.Mounts, mount)
		}
		for name, n := range is.NetworkSettings.Networks {
			c.Networks[name] = facts.Network{Address: n.IPAddress, Aliases: n.Aliases}
		}
		all = append(all, c)
	}
	return all, nil
}
