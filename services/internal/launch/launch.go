// Package launch brings the lab's images up to date, starts the lab, and removes it.
package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cause"
	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// Launcher starts and removes one lab.
type Launcher struct {
	*engine.Engine
	Screen *screen.Screen
}

// Up brings the images up to date, starts the lab, and waits until its client has been served.
func (l *Launcher) Up(ctx context.Context) error {
	l.forgetStart()
	if err := l.Preflight(ctx); err != nil {
		return err
	}
	if err := l.Build(ctx, false); err != nil {
		l.keepStart(ctx, err)
		return err
	}
	began := time.Now()
	if err := l.start(ctx); err != nil {
		return l.giveUp(ctx, err)
	}
	return l.tell(ctx, time.Since(began))
}

func (l *Launcher) start(ctx context.Context) error {
	before, err := l.Containers(ctx)
	if err != nil {
		return err
	}
	// Podman 4 gives Compose a network's name where Compose expects its ID. So Compose tries to replace every container, and Podman
	// refuses to replace a container on which others depend.
	if strings.HasPrefix(l.Podman, "4.") && len(before) > 0 {
		l.Screen.Say("Podman 4 cannot replace single containers, so all containers of the lab are recreated")
		if err := l.run(ctx, "removing the containers", l.Compose(ctx, nil, "down")); err != nil {
			return fmt.Errorf("the lab's containers cannot be removed: %w", err)
		}
		before = nil
	}
	if err := l.composeUp(ctx); err != nil {
		return err
	}
	after, err := l.Containers(ctx)
	if err != nil {
		return err
	}
	recreated := replaced(before, after)
	if len(recreated) > 0 {
		l.Screen.Say("recreated (image or configuration changed): %s", strings.Join(recreated, ", "))
	}
	if slices.Contains(recreated, lab.SPIREServer) {
		if err := l.restartAgent(ctx); err != nil {
			return err
		}
	}
	began, again := time.Now(), firstLook
	return Until(ctx, time.Minute, "the client is served", func() error {
		err := l.served(ctx)
		if err == nil || time.Since(began) < again {
			return err
		}
		again = time.Since(began) + 2*firstLook
		// Waiting does not help against some causes.
		if v := cause.Judge(l.Report(ctx, report.Options{Patience: 2 * report.Patience}), true); v.Finding != nil && v.Finding.Stays {
			return hopeless{errors.New("the client is not served")}
		}
		return err
	})
}

// served returns nil if the running client is served and the agent answers. A client that has its SVID is served without the agent, too, until
// the SVID expires.
func (l *Launcher) served(ctx context.Context) error {
	if err := l.ClientServed(ctx); err != nil {
		return err
	}
	if err := l.Exec(ctx, io.Discard, io.Discard, lab.SPIREAgent, "", "/opt/spire/bin/spire-agent", "healthcheck"); err != nil {
		return fmt.Errorf("the agent does not answer: %w", err)
	}
	return nil
}

// firstLook is how long the lab waits for the client before it looks for a cause against which waiting does not help.
const firstLook = 10 * time.Second

// hopeless is an error against which waiting does not help.
type hopeless struct{ error }

// composeUp starts the containers. On a terminal, Compose writes its progress and its error to the terminal. If this first attempt fails, a
// second attempt collects the error in a text.
func (l *Launcher) composeUp(ctx context.Context) error {
	up := []string{"up", "--detach", "--remove-orphans"}
	if l.Screen.Terminal && l.run(ctx, "starting the lab", l.Compose(ctx, nil, up...)) == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	var out strings.Builder
	cmd := l.Compose(ctx, nil, up...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := l.Screen.While("still starting the lab", cmd.Run)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if !l.Screen.Terminal {
		l.Screen.Say("  %s", report.Secrets(strings.ReplaceAll(strings.TrimSpace(out.String()), "\n", "\n  ")))
	}
	if file := l.composeFile(ctx); file != nil {
		return file
	}
	return refused(lab.NotStarted, "the lab did not start: "+engine.LastLine(out.String()), out.String(), "")
}

// refusals are the sentences with which an engine refuses a request, by code. The engine itself gives no codes.
var refusals = map[string][]string{
	lab.DiskFull:      {"no space left on device", "disk quota exceeded", "not enough space on the disk"},
	lab.NoNetworkLeft: {"all predefined address pools have been fully subnetted", "non-overlapping IPv4 address pool"},
}

// refused returns the problem for a request that the engine, or a program that uses the engine, has refused. If the parameter said, which
// is the output, has a sentence of refusals, the problem gets the code of this sentence. Otherwise the problem gets the code in the
// parameter code.
func refused(code, what, said, remedy string) *engine.Problem {
	for known, sentences := range refusals {
		for _, sentence := range sentences {
			if at := strings.Index(said, sentence); at >= 0 {
				line := said[strings.LastIndexByte(said[:at], '\n')+1:]
				line, _, _ = strings.Cut(line, "\n")
				if !strings.Contains(what, sentence) {
					what += ": " + strings.TrimSpace(line)
				}
				return &engine.Problem{Code: known, What: what, Remedy: remedy}
			}
		}
	}
	return &engine.Problem{Code: code, What: what, Remedy: remedy}
}

// replaced returns the services that have a different container now than before.
func replaced(before, after []engine.Container) []string {
	var services []string
	for _, now := range after {
		for _, then := range before {
			if then.Service == now.Service && then.ID != now.ID {
				services = append(services, now.Service)
			}
		}
	}
	return services
}

// restartAgent restarts the agent, whose cache may have SVIDs that an earlier SPIRE server has signed.
func (l *Launcher) restartAgent(ctx context.Context) error {
	l.Screen.Say("the agent is restarted, because it has cached SVIDs from before the SPIRE server was recreated")
	if err := l.run(ctx, "restarting the agent", l.Compose(ctx, nil, "restart", lab.SPIREAgent)); err != nil {
		return fmt.Errorf("the agent cannot be restarted: %w", err)
	}
	return Until(ctx, 30*time.Second, "the agent issues SVIDs again", func() error {
		var out strings.Builder
		if err := l.Exec(ctx, &out, &out, lab.Client, lab.ClientUser, "svid"); err != nil {
			return errors.New(engine.LastLine(out.String()))
		}
		return nil
	})
}

// tell prints bootstrap's log, the client's last answer, the state of the containers, and what to try next.
func (l *Launcher) tell(ctx context.Context, took time.Duration) error {
	lines, err := l.Log(ctx, lab.Bootstrap, time.Time{})
	if err != nil {
		return err
	}
	for _, line := range lines[max(0, len(lines)-12):] {
		l.Screen.Say("  %s", line.Text)
	}
	answer, err := l.lastAnswer(ctx)
	if err != nil {
		return err
	}
	l.Screen.Say("the client is served (%d s): %s", int(took.Seconds()), answer)
	if err := l.Table(ctx); err != nil {
		return err
	}
	l.Screen.Say(`
Try next:
  make scenario-bad-id    run the client as the wrong user, and see who refuses
  make scenarios          all that can be broken on purpose
  make svid               the identity that each user gets
  make logs               what the two programs log
  make down               remove everything`)
	return nil
}

// lastAnswer returns the last line of the client's standard output, which has only answers.
func (l *Launcher) lastAnswer(ctx context.Context) (string, error) {
	client, err := l.Container(ctx, lab.Client)
	if err != nil {
		return "", err
	}
	said, err := l.Ask(ctx, "logs", client.ID)
	return engine.LastLine(said), err
}

// Table prints the state of each running container.
func (l *Launcher) Table(ctx context.Context) error {
	all, err := l.Containers(ctx)
	if err != nil {
		return err
	}
	width := len("SERVICE")
	for _, container := range all {
		width = max(width, len(container.Service))
	}
	l.Screen.Say("%-*s   %s", width, "SERVICE", "STATUS")
	for _, container := range all {
		if container.Runs() {
			l.Screen.Say("%-*s   %s", width, container.Service, container.Status)
		}
	}
	return nil
}

// giveUp explains a start that failed: by its cause, or else by the last log lines of the service that has a problem.
func (l *Launcher) giveUp(ctx context.Context, failure error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if file := l.composeFile(ctx); file != nil {
		l.keepStart(ctx, file)
		return file
	}
	l.keepStart(ctx, failure)
	if v := l.Doctor(ctx, report.Options{}); v.Finding != nil {
		return &engine.Problem{Code: v.Finding.Code, What: failure.Error() + "\n" + strings.TrimRight(v.Text(), "\n")}
	}
	service := l.inTrouble(ctx)
	lines, err := l.Log(ctx, service, time.Time{})
	if err != nil {
		return failure
	}
	for _, line := range lines[max(0, len(lines)-15):] {
		l.Screen.Say("  %s", line.Text)
	}
	return &engine.Problem{What: failure.Error() + "; the lines above are from " + service, Remedy: "\"make down\" removes what was started"}
}

// composeFile returns an error if Compose cannot read compose.yaml.
func (l *Launcher) composeFile(ctx context.Context) error {
	out, err := l.Compose(ctx, nil, "config", "--quiet").CombinedOutput()
	if err == nil {
		return nil
	}
	with, remedy := "", "\"git diff compose.yaml scripts/scenarios\" shows what was changed"
	if name := engine.OverrideIn(l.Folder); name != "" {
		with, remedy = " with "+name, "correct "+filepath.Join(l.Folder, name)+", or move it away; "+remedy
	}
	return &engine.Problem{Code: lab.WrongComposeFile, What: "Compose cannot read compose.yaml" + with + ": " + engine.LastLine(string(out)), Remedy: remedy}
}

// inTrouble returns the first service that has a problem, in the order in which services start. If no service has a problem, it returns the
// client.
func (l *Launcher) inTrouble(ctx context.Context) string {
	for _, service := range lab.Services {
		inspection, err := l.Inspect(ctx, service)
		if err != nil {
			continue
		}
		well := inspection.State.Status == "running" && inspection.RestartCount == 0
		if !lab.Lasts(service) {
			well = inspection.State.Status == "exited" && inspection.State.ExitCode == 0
		}
		if !well {
			return service
		}
	}
	return lab.Client
}

// run runs a long command. On a terminal the command shows its own progress. Elsewhere there is a line every 10 s, and the output of the
// command only if it fails.
func (l *Launcher) run(ctx context.Context, what string, cmd *exec.Cmd) error {
	if l.Screen.Terminal {
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return errors.New("the lines above say why")
		}
		return nil
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := l.Screen.While("still "+what, cmd.Run); err != nil {
		for line := range strings.Lines(out.String()) {
			l.Screen.Say("  %s", report.Secrets(strings.TrimRight(line, "\r\n")))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errors.New(engine.LastLine(out.String()))
	}
	return nil
}

// Until polls a condition until it holds. Its error has the description of the condition, and the last error of the condition.
func Until(ctx context.Context, limit time.Duration, what string, condition func() error) error {
	for began := time.Now(); ; {
		err := condition()
		if err == nil || errors.As(err, new(hopeless)) {
			return err
		}
		if time.Since(began) >= limit {
			return fmt.Errorf("timed out after %d s waiting until %s: %w", int(limit.Seconds()), what, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Down removes the lab, and prints what stays.
func (l *Launcher) Down(ctx context.Context) error {
	stays, err := l.Remove(ctx)
	for _, text := range stays {
		l.Screen.Tell(text)
	}
	return err
}

// Remove removes the containers, networks and volumes of this lab, but nothing that the lab did not create. It returns a sentence for each
// network or volume that stays.
func (l *Launcher) Remove(ctx context.Context) (stays []string, err error) {
	if err := l.needOwn(ctx); err != nil {
		return nil, err
	}
	l.SayOverride()
	if err := l.run(ctx, "removing the lab", l.Compose(ctx, nil, "--profile", "*", "down", "--volumes", "--remove-orphans")); err != nil {
		if file := l.composeFile(ctx); file != nil {
			return nil, file
		}
		left, leftErr := l.Containers(ctx)
		networks, networksErr := l.Networks(ctx)
		if errors.Join(leftErr, networksErr) != nil || len(left) > 0 || len(networks) == 0 {
			return nil, fmt.Errorf("the lab cannot be removed: %w", err)
		}
	}
	if stays, err = l.dropNetworks(ctx); err != nil {
		return stays, err
	}
	// Compose keeps a volume that no service uses at the moment, such as the empty disk of the scenario server-wiped.
	volumes, err := l.Volumes(ctx)
	if err != nil {
		return stays, err
	}
	for _, volume := range volumes {
		if !slices.Contains(lab.Volumes, strings.TrimPrefix(volume, l.Project+"_")) {
			stays = append(stays, fmt.Sprintf("the volume %s stays, because the lab did not create it", volume))
		} else if _, err := l.Ask(ctx, "volume", "rm", volume); err != nil {
			return stays, err
		}
	}
	for _, name := range []string{"unfinished-", "screen-"} {
		_ = os.Remove(l.Cache(name + l.Project))
	}
	l.forgetStart()
	return stays, nil
}

// dropNetworks removes the networks that Compose has left, and returns a sentence for each network that stays. A network stays if another
// container is connected to it. It stays, too, if the engine counts endpoints of containers that are gone ("has active endpoints",
// https://github.com/moby/moby/issues/42119): it may do so for a moment, or until it restarts.
func (l *Launcher) dropNetworks(ctx context.Context) (stays []string, err error) {
	networks, err := l.Networks(ctx)
	if err != nil {
		return nil, err
	}
	for _, network := range networks {
		connected, err := l.Ask(ctx, "network", "inspect", "--format", "{{range .Containers}}{{.Name}} {{end}}", network)
		if err != nil {
			return stays, err
		}
		if names := strings.Fields(connected); len(names) > 0 {
			stays = append(stays, fmt.Sprintf("the network %s stays, because a container that the lab did not create is connected to it: %s", network, strings.Join(names, ", ")))
			continue
		}
		for wait := time.Second; ; wait *= 2 {
			if _, err = l.Ask(ctx, "network", "rm", network); err == nil || wait > 2*time.Second {
				break
			}
			select {
			case <-ctx.Done():
				return stays, ctx.Err()
			case <-time.After(wait):
			}
		}
		if err != nil {
			stays = append(stays, fmt.Sprintf("the network %s stays: %v. The next start uses it again. After a restart of the Docker Engine, \"make down\" removes it.", network, err))
		}
	}
	return stays, nil
}

// Need checks that the lab works with the engine and with Compose.
func (l *Launcher) Need(ctx context.Context) error {
	if err := l.Connect(ctx); err != nil {
		return err
	}
	return l.needCompose(ctx)
}

// Clean removes built files from the lab's folder. The images stay.
func (l *Launcher) Clean() error {
	if target, err := os.Readlink(pluginLink()); err == nil && target == l.OwnCompose() {
		if err := os.Remove(pluginLink()); err != nil {
			return err
		}
	}
	return removeBuilt(l.Cache())
}

// removeBuilt removes a folder. Windows does not remove a running program, so this program may stay there.
func removeBuilt(folder string) error {
	err := os.RemoveAll(folder)
	if err == nil || runtime.GOOS != "windows" {
		return err
	}
	self, selfErr := os.Executable()
	if selfErr != nil {
		return err
	}
	return filepath.WalkDir(folder, func(file string, entry fs.DirEntry, walkErr error) error {
		if walkErr == nil && !entry.IsDir() && !SameFile(file, self) {
			return err
		}
		return walkErr
	})
}

// pluginLink returns where docker looks for its Compose plugin.
func pluginLink() string {
	config := os.Getenv("DOCKER_CONFIG")
	if config == "" {
		home, _ := os.UserHomeDir()
		config = filepath.Join(home, ".docker")
	}
	name := "docker-compose"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(config, "cli-plugins", name)
}
