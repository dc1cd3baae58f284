package launch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/report"
	"github.com/spiffe-lab/spiffe-lab/services/internal/sources"
)

// ImageSources lists the files and folders that go into the images.
var ImageSources = []string{
	".dockerignore", "compose.yaml", "go.mod", "go.sum", "scripts/dev/tools/shell", "scripts/scenarios/extras.yaml",
	"services/Dockerfile", "services/client", "services/extras", "services/host", "services/internal/cli", "services/internal/health",
	"services/internal/identity", "services/internal/observation", "services/server", "services/tools", "spire",
}

const goDownload = "install Go 1.26 or newer (https://go.dev/dl/)"

// Build brings the images up to date with their sources, and does nothing if nothing has changed. SPIRE is the official image if it
// is here or can be pulled, else it is compiled from its Go module. tools asks for the tools' image too, which only scenarios need.
func (l *Launcher) Build(ctx context.Context, tools bool) error {
	return l.build(ctx, tools, l.buildAll)
}

// stamp is the file with what this folder's images were built from. Each clone of the lab has its own.
func (l *Launcher) stamp() string { return l.Cache("built-" + l.Setting("LAB_TAG") + ".json") }

// ImageOfAnotherFolder returns a service whose container runs an image that was not built in this folder, though this folder has built
// one: the tag is shared by all clones of the lab on this machine, and another clone has moved it.
func (l *Launcher) ImageOfAnotherFolder(ctx context.Context) (service string, err error) {
	known, err := readState(l.stamp())
	if err != nil || len(known.Images) == 0 {
		return "", nil // nothing was built here
	}
	containers, err := l.Containers(ctx)
	if err != nil {
		return "", err
	}
	for _, container := range containers {
		if !slices.Contains(lab.Services, container.Service) {
			continue
		}
		inspection, err := l.Inspect(ctx, container.Service)
		if err != nil {
			return "", err
		}
		own := false
		for _, id := range known.Images {
			own = own || id == inspection.Image
		}
		if !own {
			return container.Service, nil
		}
	}
	return "", nil
}

// Adopt takes the images that are here as built from the sources that are here: a kit brought both.
func (l *Launcher) Adopt(ctx context.Context) error {
	return l.build(ctx, false, func(context.Context, bool) error { return nil })
}

func (l *Launcher) build(ctx context.Context, tools bool, produce func(ctx context.Context, tools bool) error) error {
	tools = tools || l.HasImage(ctx, l.Image(lab.Tools))
	before, err := l.state(ctx, tools)
	if err != nil {
		return err
	}
	stamp := l.stamp()
	if known, err := readState(stamp); err == nil && known.equal(before) && before.complete() {
		return nil
	}
	if err := l.composeFile(ctx); err != nil {
		return err
	}
	if err := produce(ctx, tools); err != nil {
		return err
	}
	after, err := l.state(ctx, tools)
	if err != nil {
		return err
	}
	if !after.complete() {
		return &engine.Problem{Code: lab.NoImage, What: "not all images are here: there is no " + after.missing(), Remedy: "docker load --input images.tar.gz, in the kit's folder"}
	}
	if changed := after.changed(before); len(changed) > 0 {
		l.Screen.Say("rebuilt: %s", strings.Join(changed, ", "))
	}
	text, err := json.MarshalIndent(after, "", "  ")
	if err != nil {
		return err
	}
	// A disk that is full must not leave half of it.
	if err := os.WriteFile(stamp+".part", append(text, '\n'), 0o644); err != nil {
		return l.Unwritable(stamp, err)
	}
	return os.Rename(stamp+".part", stamp)
}

// state is what images were built from, and which they are.
type state struct {
	Sources  string            // hash of all files
	Versions map[string]string // of .env and the environment
	Images   map[string]string // the ID of each; empty if it is missing or made for another architecture
}

func readState(file string) (state, error) {
	var s state
	text, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

func (s state) complete() bool { return s.missing() == "" }

func (s state) missing() string {
	for name, id := range s.Images {
		if id == "" {
			return name
		}
	}
	return ""
}

func (s state) equal(other state) bool {
	same := func(a, b map[string]string) bool {
		for name := range a {
			if a[name] != b[name] {
				return false
			}
		}
		return len(a) == len(b)
	}
	return s.Sources == other.Sources && same(s.Versions, other.Versions) && same(s.Images, other.Images)
}

// changed returns the short names of the images that are not those of before.
func (s state) changed(before state) []string {
	var names []string
	for name, id := range s.Images {
		if before.Images[name] != id {
			short, _, _ := strings.Cut(strings.TrimPrefix(name, lab.ImagePrefix), ":")
			names = append(names, short)
		}
	}
	slices.Sort(names)
	return names
}

func (l *Launcher) state(ctx context.Context, tools bool) (state, error) {
	s := state{Versions: map[string]string{}, Images: map[string]string{}}
	var err error
	if s.Sources, err = sources.Hash(l.Dir, ImageSources...); err != nil {
		return s, err
	}
	for _, name := range []string{"SPIRE_VERSION", "SPIRE_REGISTRY", "GO_IMAGE", "TOOLS_BASE_IMAGE"} {
		s.Versions[name] = l.Setting(name)
	}
	names := lab.Images
	if tools {
		names = slices.Concat(names, []string{lab.Tools})
	}
	for _, name := range names {
		image := l.Image(name)
		s.Images[image] = l.imageID(ctx, image)
	}
	return s, nil
}

// imageID returns nothing where the image is not here, or was made for another machine than the engine's.
func (l *Launcher) imageID(ctx context.Context, image string) string {
	said, err := l.Ask(ctx, "image", "inspect", "--format", "{{.Id}} {{.Architecture}}", image)
	id, arch, _ := strings.Cut(strings.TrimSpace(said), " ")
	if err != nil || arch != l.Arch {
		return ""
	}
	return id
}

// buildAll takes the way that was taken before, or the first that is open.
func (l *Launcher) buildAll(ctx context.Context, tools bool) error {
	if _, err := os.Stat(l.Cache("prebuilt")); err == nil {
		return l.FromModules(ctx, tools)
	}
	refusal := l.pullAll(ctx, tools)
	if refusal == nil {
		l.Screen.Say("building the lab's images with %s: about a minute the first time", l.Setting("GO_IMAGE"))
		args := []string{"--project-name", lab.Project, "build"}
		if tools {
			args = append([]string{"--profile", "extras"}, args...)
		}
		// Compose labels an image with the project, which would make it another image: the labs of a folder share theirs.
		if err := l.run(ctx, "building the images", l.Compose(ctx, nil, args...)); err != nil {
			if file := l.composeFile(ctx); file != nil {
				return file
			}
			return refused(lab.NotBuilt, "the lab's images could not be built with "+l.Setting("GO_IMAGE")+": "+err.Error(), err.Error(), "make images builds them from Go modules instead")
		}
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, err := exec.LookPath("go"); err != nil {
		return &engine.Problem{Code: report.ProblemOf(refusal).Code, What: refusal.Error(), Remedy: remedy(refusal.Error()) + "; or bring the images with docker load; or install Go 1.26 (https://go.dev/dl/), with which all of them can be built from a Go module mirror"}
	}
	l.Screen.Say("%s", report.Secrets(refusal.Error()))
	l.Screen.Say("building every image from Go modules instead")
	return l.FromModules(ctx, tools)
}

// FromModules compiles everything with this machine's Go, and builds the images from that.
func (l *Launcher) FromModules(ctx context.Context, tools bool) error {
	args := []string{filepath.Join(l.Dir, "scripts", "dev", "images.sh")}
	if !tools {
		args = append(args, lab.Node, lab.SPIREServer, lab.Bootstrap, lab.SPIREAgent)
	}
	cmd := l.Command(ctx, nil, "bash", args...)
	var said strings.Builder
	shown := &report.Writer{Out: l.Screen} // go names its proxy, which may have a password
	cmd.Stdout, cmd.Stderr = l.Screen, io.MultiWriter(shown, &said)
	err := errors.Join(cmd.Run(), shown.Flush())
	var exit *exec.ExitError
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == noCompiler:
		return errors.Join(ErrSaid, &engine.Problem{Code: lab.NoCompiler, What: "there is no C compiler for SPIRE's server; the lines above say which"})
	case !errors.As(err, &exit):
		return &engine.Problem{Code: lab.NotBuilt, What: "the lab's images could not be built from Go modules: " + err.Error(), Remedy: "install bash, or let the engine pull the images"}
	}
	return errors.Join(ErrSaid, refused(lab.NotBuilt, "the images could not be built from Go modules; the lines above say why", said.String(), ""))
}

// ErrSaid ends a command after the script that it called has said what is wrong and what to do.
var ErrSaid = errors.New("the images could not be built from Go modules; the lines above say why")

// noCompiler is the exit status with which scripts/dev/images.sh reports that there is no C compiler for the engine's machine.
const noCompiler = 3

// pullAll returns what the registry said where one of the images cannot be had.
func (l *Launcher) pullAll(ctx context.Context, tools bool) error {
	registry, version := l.Setting("SPIRE_REGISTRY"), l.Setting("SPIRE_VERSION")
	images := []string{registry + "/spire-server:" + version, registry + "/spire-agent:" + version, l.Setting("GO_IMAGE")}
	if tools {
		images = append(images, l.Setting("TOOLS_BASE_IMAGE"))
	}
	for _, image := range images {
		if l.imageID(ctx, image) != "" {
			continue
		}
		l.Screen.Say("pulling %s", image)
		var out strings.Builder
		cmd := l.Docker(ctx, "pull", image)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := l.Screen.While("still pulling "+image, cmd.Run); err != nil {
			return refused(lab.NotPulled, image+" cannot be pulled: "+engine.LastLine(out.String()), out.String(), "")
		}
	}
	return nil
}

// remedy returns what helps against the refusal of a registry.
func remedy(refusal string) string {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(refusal, word) })
	}
	switch {
	case has("toomanyrequests", "rate limit"):
		return "the registry limits how much one network address may pull: docker login gives you a limit of your own, or wait six hours"
	case has("getting credentials", "docker-credential"):
		return "a credential helper that Docker's config.json names does not work: remove credsStore and credHelpers from " + filepath.Join(filepath.Dir(filepath.Dir(pluginLink())), "config.json")
	case has("expired or is not yet valid"):
		return "compare the time of this machine and of the engine with a clock: date; docker info --format '{{.SystemTime}}'"
	case has("x509", "certificate"):
		return "the engine does not trust a certificate between here and the registry: add your network's CA to Docker"
	case has("unauthorized", "denied", "not found", "manifest unknown"):
		return "check that the registry has this image; .env and your environment name it: SPIRE_REGISTRY, SPIRE_VERSION, GO_IMAGE, TOOLS_BASE_IMAGE"
	case has("no space left"):
		return "the engine's disk is full: docker system df shows what uses it"
	case has("no matching manifest"):
		return "there is no image for this machine's architecture"
	}
	return "let the engine reach the registry: network, VPN, or the proxy in Docker's settings"
}

// needCompose builds Compose from its Go module where docker has none that is new enough.
func (l *Launcher) needCompose(ctx context.Context) error {
	if !l.HasCompose(ctx) {
		if err := l.buildCompose(ctx); err != nil {
			return err
		}
	}
	if l.UsesOwnCompose() {
		l.linkPlugin()
	}
	return nil
}

func (l *Launcher) buildCompose(ctx context.Context) error {
	const plugin = "install the plugin: https://docs.docker.com/compose/install/"
	missing := "docker compose " + engine.MinimumCompose + " or newer was not found"
	if _, err := exec.LookPath("go"); err != nil {
		return &engine.Problem{Code: lab.NoCompose, What: missing + ", and there is no Go to build it with", Remedy: goDownload + ", or " + plugin}
	}
	l.Screen.Say("%s: building it from its Go module, about 3 minutes, once", missing)
	if err := l.CompileCompose(ctx, runtime.GOOS, runtime.GOARCH, l.OwnCompose()); err != nil {
		return &engine.Problem{Code: lab.NoCompose, What: "docker compose could not be built: " + err.Error(), Remedy: plugin}
	}
	return nil
}

// CompileCompose compiles Compose, in the version that scripts/dev/tools/compose/go.mod has, into a file.
func (l *Launcher) CompileCompose(ctx context.Context, goos, goarch, file string) error {
	module := filepath.Join(l.Dir, "scripts", "dev", "tools", "compose")
	tool := func(args ...string) *exec.Cmd {
		cmd := l.Command(ctx, []string{"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS=" + goos, "GOARCH=" + goarch}, "go", args...)
		cmd.Dir = module
		return cmd
	}
	version, err := tool("list", "-m", "-f", "{{.Version}}", "github.com/docker/compose/v2").Output()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.run(ctx, "building docker compose", tool("build", "-trimpath", "-ldflags",
		"-s -w -X github.com/docker/compose/v2/internal.Version="+strings.TrimSpace(string(version)), "-o", file, "github.com/docker/compose/v2/cmd"))
}

// linkPlugin makes `docker compose` work for the learner who types it, by a link to the Compose that was built here. It replaces
// nothing that exists, and Clean removes the link.
func (l *Launcher) linkPlugin() {
	link := pluginLink()
	if target, err := os.Readlink(link); err == nil {
		if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(link)
		}
	}
	if _, err := os.Lstat(link); err == nil || os.MkdirAll(filepath.Dir(link), 0o755) != nil {
		return
	}
	if err := os.Symlink(l.OwnCompose(), link); err == nil {
		l.Screen.Say("linked %s to it, so that you can type docker compose yourself (make clean removes the link)", link)
	}
}
