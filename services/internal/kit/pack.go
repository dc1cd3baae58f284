// Package kit packs the lab into one file for machines without a network, and starts it there.
package kit

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// Files of a kit, besides the lab's own files in labFolder and the programs in programsFolder/OS-ARCHITECTURE.
const (
	sumsFile         = "SHA256SUMS"
	architectureFile = "architecture.txt"
	imagesFile       = "images.txt"
	composeFile      = "docker-compose.gz"
	savedImages      = "images.tar.gz"
	labFolder        = "lab"
	programsFolder   = "programs"
)

// Machines are the machines for which a kit has the programs lab and console. The form of each name is OS-ARCHITECTURE.
var Machines = []string{"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64", "windows-amd64", "windows-arm64"}

type packer struct {
	*launch.Launcher
	work  string // a temporary folder
	files []file
}

type file struct {
	name   string // in the kit, with slashes
	source string // on this machine; if empty, text is the content
	text   []byte
	mode   fs.FileMode
	sum    string
}

// Pack writes the kit into a folder.
func Pack(ctx context.Context, l *launch.Launcher, folder string) error {
	if err := l.Preflight(ctx); err != nil {
		return err
	}
	if _, err := exec.LookPath("git"); err != nil {
		return &engine.Problem{What: "git, which lists the files of the lab, was not found", Remedy: "pack the kit on a machine with git"}
	}
	if _, err := os.Stat(filepath.Join(l.Dir, ".git")); err != nil {
		return &engine.Problem{What: l.Dir + " is not a git clone", Remedy: "git clone the lab, and pack the kit from there"}
	}
	unlock, err := scenario.Lock(l.Cache("lock-kit"), "another kit is being packed")
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.Build(ctx, true); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return &engine.Problem{What: "the folder for the kit cannot be created: " + err.Error(), Remedy: "name a different folder: make kit KIT=folder"}
	}
	p := &packer{Launcher: l}
	if p.work, err = os.MkdirTemp("", "lab-kit"); err != nil {
		return err
	}
	defer os.RemoveAll(p.work)
	return p.pack(ctx, folder)
}

func (p *packer) pack(ctx context.Context, folder string) error {
	images, err := p.images(ctx)
	if err != nil {
		return err
	}
	p.Screen.Say("the files of the lab, and Compose")
	if err := p.addLab(ctx, images); err != nil {
		return err
	}
	if err := p.addCompose(ctx); err != nil {
		return err
	}
	for _, machine := range Machines {
		if err := p.addPrograms(ctx, machine); err != nil {
			return err
		}
	}
	imagesSize, err := p.addImages(ctx, images)
	if err != nil {
		return err
	}
	p.addText(architectureFile, p.Arch+"\n")
	for _, name := range []string{"start", "start.cmd", "START.txt"} {
		mode := fs.FileMode(0o644)
		if name == "start" {
			mode = 0o755
		}
		p.files = append(p.files, file{name: name, source: filepath.Join(p.Dir, "scripts", "kit", name), mode: mode})
	}
	name := "spiffe-lab-kit-linux-" + p.Arch
	target := filepath.Join(folder, name+".tar.gz")
	size, err := p.write(ctx, name, target)
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", target, err)
	}
	p.Screen.Say("%s: %d MB, of which %d MB are images", target, megabytes(size), megabytes(imagesSize))
	return nil
}

func megabytes(n int64) int64 { return (n + 500_000) / 1_000_000 }

func (p *packer) addText(name, text string) {
	p.files = append(p.files, file{name: name, text: []byte(text), mode: 0o644})
}

// images returns the names of all images. It checks that each is for the engine's architecture, because an engine may have images
// for several architectures under one name, and save the wrong one.
func (p *packer) images(ctx context.Context) ([]string, error) {
	said, err := p.Compose(ctx, nil, "--profile", "*", "config", "--images").Output()
	if err != nil {
		return nil, fmt.Errorf("docker compose config: %w", engine.Reason(err))
	}
	names := strings.Fields(string(said))
	slices.Sort(names)
	names = slices.Compact(names)
	for _, image := range names {
		arch, err := p.Ask(ctx, "image", "inspect", "--format", "{{.Architecture}}", image)
		if err != nil {
			return nil, err
		}
		if arch = strings.TrimSpace(arch); arch != p.Arch {
			return nil, &engine.Problem{What: fmt.Sprintf("%s is for %s, and the engine runs on %s", image, arch, p.Arch), Remedy: "run \"make clean\", then \"make up\" on one engine"}
		}
	}
	return names, nil
}

// addLab adds the files of the lab that git knows. The images get a tag that belongs to the kit, so that loading them does not take
// a name from existing images. The tag is a hash of the files and the images.
func (p *packer) addLab(ctx context.Context, images []string) error {
	said, err := p.Command(ctx, nil, "git", "ls-files", "-z").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", engine.Reason(err))
	}
	sum := sha256.New()
	var all []file
	for _, name := range strings.Split(strings.TrimRight(string(said), "\x00"), "\x00") {
		source := filepath.Join(p.Dir, filepath.FromSlash(name))
		info, err := os.Stat(source)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, but not committed yet
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file", name)
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 || runtime.GOOS == "windows" && (path.Ext(name) == ".sh" || name == "scripts/lab") {
			mode = 0o755
		}
		f := file{name: labFolder + "/" + name, source: source, mode: mode}
		content, err := f.hash()
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, name, content)
		all = append(all, f)
	}
	for _, image := range images {
		id, err := p.Ask(ctx, "image", "inspect", "--format", "{{.Id}}", image)
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, image, id)
	}
	tag := "kit-" + hex.EncodeToString(sum.Sum(nil))[:10]
	for i := range all {
		if all[i].name == labFolder+"/.env" {
			text, err := os.ReadFile(all[i].source)
			if err != nil {
				return err
			}
			all[i].source, all[i].text = "", []byte(p.settings(string(text), tag))
		}
	}
	p.files = append(p.files, all...)
	var names []string
	for _, image := range images {
		names = append(names, image[:strings.LastIndexByte(image, ':')+1]+tag)
	}
	p.addText(imagesFile, strings.Join(names, "\n")+"\n")
	return nil
}

// settings returns the .env of a kit, with the kit's tag and the versions from which the images were built.
func (p *packer) settings(text, tag string) string {
	text = strings.TrimRight(text, "\n") + "\n"
	for _, name := range engine.Settings {
		value := p.Setting(name)
		if name == "LAB_TAG" {
			value = tag
		}
		line := regexp.MustCompile(`(?m)^[ \t]*(export[ \t]+)?` + name + `[ \t]*[=:].*$`)
		text = line.ReplaceAllLiteralString(text, name+"="+value)
		if !line.MatchString(text) {
			text += name + "=" + value + "\n"
		}
	}
	return text
}

// addCompose adds a Compose for Linux on the engine's architecture.
func (p *packer) addCompose(ctx context.Context) error {
	program := p.OwnCompose()
	if _, err := os.Stat(program); err != nil || runtime.GOOS != "linux" || runtime.GOARCH != p.Arch {
		if _, err := exec.LookPath("go"); err != nil {
			return &engine.Problem{What: "the kit needs a Compose for Linux, and there is no Go to build it with", Remedy: "pack the kit on a machine with Go"}
		}
		program = filepath.Join(p.work, "docker-compose")
		if err := p.CompileCompose(ctx, "linux", p.Arch, program); err != nil {
			return fmt.Errorf("docker compose could not be built: %w", err)
		}
	}
	compressed := filepath.Join(p.work, composeFile)
	if err := compress(program, compressed); err != nil {
		return err
	}
	p.files = append(p.files, file{name: composeFile, source: compressed, mode: 0o644})
	return nil
}

// compress writes a file that gzip -d can read.
func compress(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(target)
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(out)
	_, err = io.Copy(zip, in)
	return errors.Join(err, zip.Close(), out.Close())
}

// addPrograms adds the programs lab and console for a machine. They are compiled as in scripts/lab: by this machine's Go, or in the
// Go image.
func (p *packer) addPrograms(ctx context.Context, machine string) error {
	p.Screen.Say("the programs for %s", machine)
	folder := filepath.Join(p.work, programsFolder, machine)
	if err := p.compile(ctx, machine, folder); err != nil {
		return fmt.Errorf("the program lab cannot be compiled for %s: %w", machine, err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		p.files = append(p.files, file{name: path.Join(programsFolder, machine, entry.Name()), source: filepath.Join(folder, entry.Name()), mode: 0o755})
	}
	return nil
}

func (p *packer) compile(ctx context.Context, machine, folder string) error {
	system, arch, _ := strings.Cut(machine, "-")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	run := func(cmd *exec.Cmd) error {
		out, err := cmd.CombinedOutput()
		if err != nil {
			return errors.New(engine.LastLine(string(out)))
		}
		return nil
	}
	if _, err := exec.LookPath("go"); err == nil {
		return p.Screen.While("compiling for "+machine, func() error {
			return run(p.Command(ctx, []string{"GOWORK=off", "GOFLAGS=-mod=readonly", "GOOS=", "GOARCH="}, "go", "run", "./services/lab/build", "-os", system, "-arch", arch, "-o", folder))
		})
	}
	recipe := filepath.Join(p.Dir, "services", "lab", "compose.yaml")
	return p.Screen.While("compiling for "+machine, func() error {
		if err := run(p.Compose(ctx, []string{"HOST_OS=" + system, "HOST_ARCH=" + arch}, "--file", recipe, "build")); err != nil {
			return err
		}
		id, err := p.Ask(ctx, "create", "spiffe-lab/lab:"+machine, "lab")
		if err != nil {
			return err
		}
		id = strings.TrimSpace(id)
		copied := run(p.Docker(ctx, "cp", id+":/programs/.", folder))
		_, err = p.Ask(context.WithoutCancel(ctx), "rm", id)
		return errors.Join(copied, err)
	})
}

// addImages saves the images under the kit's tag, and returns the size of the file.
func (p *packer) addImages(ctx context.Context, images []string) (int64, error) {
	var names []string
	for _, f := range p.files {
		if f.name == imagesFile {
			names = strings.Fields(string(f.text))
		}
	}
	defer func() {
		for _, name := range names { // removes the names with the kit's tag; the images stay
			_, _ = p.Ask(context.WithoutCancel(ctx), "image", "rm", name)
		}
	}()
	for i, image := range images {
		if _, err := p.Ask(ctx, "tag", image, names[i]); err != nil {
			return 0, err
		}
	}
	p.Screen.Say("%d images for linux/%s", len(names), p.Arch)
	target := filepath.Join(p.work, savedImages)
	if err := p.Screen.While("still saving the images", func() error { return p.save(ctx, names, target) }); err != nil {
		return 0, err
	}
	info, err := os.Stat(target)
	if err != nil {
		return 0, err
	}
	p.files = append(p.files, file{name: savedImages, source: target, mode: 0o644})
	return info.Size(), nil
}

// save runs docker save and checks its output, because a different engine must be able to load it.
func (p *packer) save(ctx context.Context, names []string, target string) error {
	out, err := os.Create(target)
	if err != nil {
		return err
	}
	defer out.Close()
	zip := gzip.NewWriter(out)
	cmd := p.Docker(ctx, append([]string{"save"}, names...)...)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	both := io.TeeReader(pipe, zip)
	small, readErr := smallFiles(tar.NewReader(both))
	_, copyErr := io.Copy(io.Discard, both) // reads what follows the last file
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("docker save: %s", engine.LastLine(errOut.String()))
	}
	if err := errors.Join(readErr, copyErr, zip.Close(), out.Close()); err != nil {
		return fmt.Errorf("docker save: %w", err)
	}
	return p.checkSaved(small, len(names))
}

// smallFiles returns the contents of the small files in an archive, by their names. The JSON files are small.
func smallFiles(archive *tar.Reader) (map[string][]byte, error) {
	all := map[string][]byte{}
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeReg && header.Size < 1<<20 {
			if all[header.Name], err = io.ReadAll(archive); err != nil {
				return nil, err
			}
		}
	}
}

// checkSaved checks that docker save has written all images, and that each is for the engine's architecture.
func (p *packer) checkSaved(small map[string][]byte, want int) error {
	var manifest []struct{ Config string }
	if err := json.Unmarshal(small["manifest.json"], &manifest); err != nil || len(manifest) != want {
		return &engine.Problem{What: fmt.Sprintf("docker save has written %d images, and not %d", len(manifest), want), Remedy: "is the engine's disk full?"}
	}
	for _, image := range manifest {
		var config struct{ Architecture string }
		if err := json.Unmarshal(small[image.Config], &config); err != nil || config.Architecture != p.Arch {
			if config.Architecture == "" {
				config.Architecture = "no architecture"
			}
			return &engine.Problem{What: fmt.Sprintf("docker save has written an image for %s, and not for %s", config.Architecture, p.Arch), Remedy: "pack the kit on an engine of that architecture"}
		}
	}
	return nil
}

// order returns the place, from 1, of a file that is at the beginning of the kit, and 0 for any other file. The files at the beginning can
// report that the rest of a kit is missing.
func order(name string) int {
	return 1 + slices.Index([]string{"start", "start.cmd", "START.txt", sumsFile, architectureFile, imagesFile}, name)
}

func (p *packer) write(ctx context.Context, name, target string) (int64, error) {
	slices.SortFunc(p.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	var sums strings.Builder
	for i := range p.files {
		var err error
		if p.files[i].sum, err = p.files[i].hash(); err != nil {
			return 0, err
		}
		fmt.Fprintf(&sums, "%s  ./%s\n", p.files[i].sum, p.files[i].name)
	}
	p.addText(sumsFile, sums.String())
	slices.SortStableFunc(p.files, func(a, b file) int {
		first := func(f file) int {
			switch n := order(f.name); {
			case n > 0:
				return n
			case f.name == savedImages:
				return 1000 // the largest file comes last
			}
			return 100
		}
		return first(a) - first(b)
	})
	part := target + ".part"
	out, err := os.Create(part)
	if err != nil {
		return 0, err
	}
	defer os.Remove(part)
	defer out.Close()
	zip := gzip.NewWriter(out)
	archive := tar.NewWriter(zip)
	err = p.Screen.While("still writing the kit", func() error {
		for _, f := range p.files {
			if err := errors.Join(ctx.Err(), f.into(archive, name)); err != nil {
				return err
			}
		}
		return errors.Join(archive.Close(), zip.Close())
	})
	if err != nil {
		return 0, err
	}
	info, err := out.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), errors.Join(out.Close(), os.Rename(part, target))
}

func (f file) open() (io.ReadCloser, int64, error) {
	if f.source == "" {
		return io.NopCloser(strings.NewReader(string(f.text))), int64(len(f.text)), nil
	}
	in, err := os.Open(f.source)
	if err != nil {
		return nil, 0, err
	}
	info, err := in.Stat()
	if err != nil {
		return nil, 0, err
	}
	return in, info.Size(), nil
}

func (f file) hash() (string, error) {
	in, _, err := f.open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, in)
	return hex.EncodeToString(sum.Sum(nil)), err
}

func (f file) into(archive *tar.Writer, folder string) error {
	in, size, err := f.open()
	if err != nil {
		return err
	}
	defer in.Close()
	header := &tar.Header{Typeflag: tar.TypeReg, Name: folder + "/" + f.name, Mode: int64(f.mode), Size: size, ModTime: time.Now()}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, in)
	return err
}
