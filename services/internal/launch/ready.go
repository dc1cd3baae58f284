package launch

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// Ready checks that the lab runs and its client is served, and starts the lab if necessary.
func (l *Launcher) Ready(ctx context.Context, out io.Writer) error {
	if err := l.Need(ctx); err != nil {
		return err
	}
	if whole, err := l.Whole(ctx); err != nil {
		return err
	} else if whole && l.ClientServed(ctx) == nil {
		service, err := l.ImageOfAnotherFolder(ctx)
		if err != nil {
			return err
		}
		if service == "" {
			return l.needOwn(ctx)
		}
		l.Screen.Say("%s runs an image that was not built in this folder: building this folder's images", service)
	}
	l.Screen.Say("%sstarting the lab ...%s", l.Screen.Dim, l.Screen.Plain)
	return l.quietly(out, func(quiet *Launcher) error { return quiet.Up(ctx) })
}

// quietly calls do, and prints its messages only if it fails.
func (l *Launcher) quietly(out io.Writer, do func(*Launcher) error) error {
	var said bytes.Buffer
	quiet := *l
	quiet.Screen = screen.Plain(&said)
	err := do(&quiet)
	if err != nil {
		_, _ = said.WriteTo(out)
	}
	return err
}

// Reset removes the lab and starts a new one. If an attempt fails, Reset tries again, up to three times in all, because the engine may
// still be busy with an interrupted command.
func (l *Launcher) Reset(ctx context.Context, out io.Writer) error {
	var err error
	for attempt := range 3 {
		if err = l.reset(ctx, out); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Duration(attempt+1) * time.Second)
	}
	return err
}

func (l *Launcher) reset(ctx context.Context, out io.Writer) error {
	if err := l.Need(ctx); err != nil {
		return err
	}
	containers, err := l.Containers(ctx)
	if err != nil {
		return err
	}
	for _, container := range containers {
		if container.State == "paused" {
			if _, err := l.Ask(ctx, "unpause", container.ID); err != nil {
				return err
			}
		}
	}
	return l.quietly(out, func(quiet *Launcher) error {
		if err := quiet.Down(ctx); err != nil {
			return err
		}
		return quiet.Up(ctx)
	})
}

// NeedTools builds the image tools if the engine lacks it.
func (l *Launcher) NeedTools(ctx context.Context, out io.Writer) error {
	if l.HasImage(ctx, l.Image(lab.Tools)) {
		return nil
	}
	l.Screen.Say("  %sbuilding the image of the tools, once ...%s", l.Screen.Dim, l.Screen.Plain)
	return l.quietly(out, func(quiet *Launcher) error { return quiet.Build(ctx, true) })
}

// NeedRunning returns an error if the lab's client is not running.
func (l *Launcher) NeedRunning(ctx context.Context) error {
	if err := l.Need(ctx); err != nil {
		return err
	}
	client, err := l.Container(ctx, lab.Client)
	if err != nil || client.State != "running" {
		return &engine.Problem{Code: lab.NotRunning, What: "the lab is not running", Remedy: "make up"}
	}
	return nil
}

// Show prints a docker compose command, and then runs it with the learner's terminal.
func (l *Launcher) Show(cmd *exec.Cmd, words string) error {
	l.Screen.Say("%s$ docker compose %s%s", l.Screen.Dim, words, l.Screen.Plain)
	cmd.Stdout, cmd.Stderr = l.Screen, l.Screen
	return cmd.Run()
}
