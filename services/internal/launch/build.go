package launch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
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

// Build brings the images up to date with their sources. It does nothing if nothing has changed. For SPIRE it uses the official image if
// the engine has this image or can pull it. Otherwise it compiles SPIRE from its Go module. If tools is true, Build also builds the image
// tools, which only scenarios need.
func (l *Launcher) Build(ctx context.Context, tools bool) error {
	return l.build(ctx, tools, l.buildAll)
}

// stamp returns the file that records the sources of this folder's images. Each clone of the lab has a separate file.
func (l *Launcher) stamp() string { return l.Cache("built-" + l.Setting("LAB_TAG") + ".json") }

// ImageOfAnotherFolder returns a service whose container runs an image that was not built in this folder. If no image was built in this
// folder, it returns an empty text. All clones of the lab on this machine share the tag of the images, so a build in a different clone
// moves the tag.
func (l *Launcher) ImageOfAnotherFolder(ctx context.Context) (service string, err error) {
	containers, err := l.Containers(ctx)
	if err != nil {
		return "", err
	}
	for _, container := range containers {
		inspection, err := l.Inspect(ctx, container.Service)
		if err != nil {
			return "", err
		}
		if l.BuiltElsewhere(container.Service, inspection.Image) {
			return container.Service, nil
		}
	}
	return "", nil
}

// BuiltElsewhere reports whether a service of the lab runs an image that was not built in this folder. The parameter image is the ID of
// that image. If no image was built in this folder, BuiltElsewhere returns false.
func (l *Launcher) BuiltElsewhere(service, image string) bool {
	known, err := readState(l.stamp())
	if err != nil || len(known.Images) == 0 || !slices.Contains(lab.Services, service) {
		return false // nothing was built here
	}
	return !slices.Contains(slices.Collect(maps.Values(known.Images)), image)
}

// Adopt records that the engine's images were built from this folder's sources, because a kit brought both.
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
		return &engine.Problem{Code: lab.NoImage, What: "an image is missing: there is no " + after.missing(), Remedy: "run this in the kit's folder: docker load --input images.tar.gz"}
	}
	if changed := after.changed(before); len(changed) > 0 {
		l.Screen.Say("rebuilt: %s", strings.Join(changed, ", "))
	}
	text, err := json.MarshalIndent(after, "", "  ")
	if err != nil {
		return err
	}
	// On a full disk, a half-written file must not remain.
	if err := os.WriteFile(stamp+".part", append(text, '\n'), 0o644); err != nil {
		return l.Unwritable(stamp, err)
	}
	return os.Rename(stamp+".part", stamp)
}

// state records the sources and the IDs of the images.
type state struct {
	Sources  string            // hash of all files
	Versions map[string]string // the versions in .env and in the environment
	Images   map[string]string // the ID of each image; empty if it is missing or for a different architecture
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

// changed returns the short names of the images whose IDs differ from the IDs in the parameter before.
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

// imageID returns the ID of an image, or nothing if the engine lacks it or it is for a different architecture.
func (l *Launcher) imageID(ctx context.Context, image string) string {
	said, err := l.Ask(ctx, "image", "inspect", "--format", "{{.Id}} {{.Architecture}}", image)
	id, arch, _ := strings.Cut(strings.TrimSpace(said), " ")
	if err != nil || arch != l.Arch {
		return ""
	}
	return id
}

// buildAll builds the images from Go modules if they were built from Go modules before. Otherwise it uses compose.yaml, or Go modules if an
// image cannot be pulled.
func (l *Launcher) buildAll(ctx context.Context, tools bool) error {
	if _, err := os.Stat(l.Cache("prebuilt")); err == nil {
		return l.FromModules(ctx, tools)
	}
	refusal := l.pullAll(ctx, tools)
	if refusal == nil {
		l.Screen.Say("building the lab's images with %s: about a minute the first time", l.Setting("GO_IMAGE"))
		// The images are those of compose.yaml, even if an override changes the containers.
		args := []string{"--file", l.ComposeFile(), "--project-name", lab.Project, "build"}
		if tools {
			args = append([]string{"--profile", "extras"}, args...)
		}
		// All labs of a folder use the same project name to build, and so share their images. Compose writes the project name into a label,
		// so a different name would make additional images.
		if err := l.run(ctx, "building the images", l.Compose(ctx, nil, args...)); err != nil {
			if file := l.composeFile(ctx); file != nil {
				return file
			}
			return refused(lab.NotBuilt, "the lab's images could not be built with "+l.Setting("GO_IMAGE")+": "+err.Error(), err.Error(), "\"make images\" builds them from Go modules instead")
		}
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, err := exec.LookPath("go"); err != nil {
		return &engine.Problem{Code: report.ProblemOf(refusal).Code, What: refusal.Error(), Remedy: remedy(refusal.Error()) + ". Or load the images with \"docker load\". Or install Go 1.26 (https://go.dev/dl/), which can build all images from a Go module mirror"}
	}
	l.Screen.Say("%s", report.Secrets(refusal.Error()))
	l.Screen.Say("building every image from Go modules instead")
	return l.FromModules(ctx, tools)
}

// FromModules compiles everything with this machine's Go, and builds the images from the results.
func (l *Launcher) FromModules(ctx context.Context, tools bool) error {
	args := []string{filepath.Join(l.Dir, "scripts", "dev", "images.sh")}
	if !tools {
		args = append(args, lab.Node, lab.SPIREServer, lab.Bootstrap, lab.SPIREAgent)
	}
	cmd := l.Command(ctx, nil, "bash", args...)
	var said strings.Builder
	shown := &report.Writer{Out: l.Screen} // go prints the address of its proxy, which may contain a password
	cmd.Stdout, cmd.Stderr = l.Screen, io.MultiWriter(shown, &said)
	err := errors.Join(cmd.Run(), shown.Flush())
	var exit *exec.ExitError
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == noCompiler:
		return errors.Join(ErrSaid, &engine.Problem{Code: lab.NoCompiler, What: "there is no C compiler for the SPIRE server; the lines above name the compiler"})
	case !errors.As(err, &exit):
		return &engine.Problem{Code: lab.NotBuilt, What: "the lab's images could not be built from Go modules: " + err.Error(), Remedy: "install bash, or give the engine access to the registry"}
	}
	return errors.Join(ErrSaid, refused(lab.NotBuilt, "the images could not be built from Go modules; the lines above say why", said.String(), ""))
}

// ErrSaid ends a command after a script that has already printed the error and the remedy.
var ErrSaid = errors.New("the images could not be built from Go modules; the lines above say why")

// noCompiler is the exit status of scripts/dev/images.sh if there is no C compiler for the engine's architecture.
const noCompiler = 3

// pullAll returns the registry's error if one of the images cannot be pulled.
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

func remedy(refusal string) string {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(refusal, word) })
	}
	switch {
	case has("toomanyrequests", "rate limit"):
		return "the registry limits the pulls from one network address. Run \"docker login\" to get a separate limit, or wait six hours"
	case has("getting credentials", "docker-credential"):
		return "Docker's config.json names a credential helper that does not work: remove credsStore and credHelpers from " + filepath.Join(filepath.Dir(filepath.Dir(pluginLink())), "config.json")
	case has("expired or is not yet valid"):
		return "compare the time of this machine and of the engine with a clock: date; docker info --format '{{.SystemTime}}'"
	case has("x509", "certificate"):
		return "the engine does not trust the certificate of the registry, or of a proxy before the registry: add your network's CA to Docker"
	case has("unauthorized", "denied", "not found", "manifest unknown"):
		return "check that the registry has this image. Its name depends on these variables in .env and in your environment: SPIRE_REGISTRY, SPIRE_VERSION, GO_IMAGE, TOOLS_BASE_IMAGE"
	case has("no space left"):
		return "the engine's disk is full. \"docker system df\" shows what uses it"
	case has("no matching manifest"):
		return "there is no image for this machine's architecture"
	}
	return "give the engine access to the registry: check the network, the VPN, and the proxy in Docker's settings"
}

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
	const plugin = "install Docker's Compose plugin: https://docs.docker.com/compose/install/"
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

// CompileCompose compiles Compose into a file, in the version of scripts/dev/tools/compose/go.mod.
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

// linkPlugin makes `docker compose` work for the learner, by a link to the Compose that was built here. It does not replace an existing
// file. Clean removes the link.
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
		l.Screen.Say("linked %s to the Compose that was built, so that you can run \"docker compose\" yourself (\"make clean\" removes the link)", link)
	}
}
