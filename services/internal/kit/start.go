package kit

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

const again = "copy the kit's file and unpack it again; nothing was loaded"

// Folder returns the folder of the lab in a kit.
func Folder(kit string) string { return filepath.Join(kit, labFolder) }

// Check checks that a kit is as it was packed. It checks the lab's files only before the first start, because the learner may edit them
// later.
func Check(kit string) error {
	text, err := os.ReadFile(filepath.Join(kit, sumsFile))
	if err != nil || len(text) == 0 {
		return &engine.Problem{What: sumsFile + " is missing, because the kit was not unpacked completely", Remedy: again}
	}
	_, err = os.Stat(started(kit))
	first := err != nil
	for line := range strings.Lines(string(text)) {
		want, name, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "  ./")
		if !first && strings.HasPrefix(name, labFolder+"/") {
			continue
		}
		if sum, err := hashOf(filepath.Join(kit, filepath.FromSlash(name))); !ok || err != nil || sum != want {
			return &engine.Problem{What: name + " is damaged or missing", Remedy: again}
		}
	}
	return nil
}

// started is a file that exists once the kit has been checked.
func started(kit string) string { return filepath.Join(Folder(kit), ".cache", "kit-checked") }

func hashOf(name string) (string, error) { return file{source: name}.hash() }

// Start loads the images of a kit, and starts the lab l, which is the kit's lab.
func Start(ctx context.Context, l *launch.Launcher, kit string) error {
	if err := l.Connect(ctx); err != nil {
		return err
	}
	arch, images, err := contents(kit)
	if err != nil {
		return err
	}
	if arch != l.Arch {
		return &engine.Problem{What: fmt.Sprintf("this kit is for linux/%s, and the engine runs on linux/%s", arch, l.Arch), Remedy: "use the kit spiffe-lab-kit-linux-" + l.Arch}
	}
	if err := load(ctx, l, kit, images); err != nil {
		return err
	}
	if err := install(l, kit, arch); err != nil {
		return fmt.Errorf("the kit cannot be set up: %w", err)
	}
	if err := l.Need(ctx); err != nil {
		return err
	}
	if err := l.Adopt(ctx); err != nil {
		return err
	}
	return l.Up(ctx)
}

func contents(kit string) (arch string, images []string, err error) {
	text, err := os.ReadFile(filepath.Join(kit, architectureFile))
	if err != nil {
		return "", nil, err
	}
	names, err := os.ReadFile(filepath.Join(kit, imagesFile))
	return strings.TrimSpace(string(text)), strings.Fields(string(names)), err
}

// load loads the images, unless the engine has all of them.
func load(ctx context.Context, l *launch.Launcher, kit string, images []string) error {
	missing := false
	for _, image := range images {
		missing = missing || !l.HasImage(ctx, image)
	}
	if !missing {
		return nil
	}
	l.Screen.Say("loading %d images ...", len(images))
	return l.Screen.While("still loading the images", func() error {
		out, err := l.Docker(ctx, "load", "--input", filepath.Join(kit, savedImages)).CombinedOutput()
		if err != nil {
			return &engine.Problem{What: "the images cannot be loaded: " + engine.LastLine(string(out)), Remedy: "\"docker system df\" shows how full the engine's disk is"}
		}
		return nil
	})
}

// install puts the programs for this machine where scripts/lab and the program lab look for them. On Linux this includes Compose.
func install(l *launch.Launcher, kit, arch string) error {
	if err := os.MkdirAll(l.Cache("bin"), 0o755); err != nil {
		return err
	}
	machine := filepath.Join(kit, programsFolder, runtime.GOOS+"-"+runtime.GOARCH)
	entries, err := os.ReadDir(machine)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		source := filepath.Join(machine, entry.Name())
		if err := put(l.Cache("bin", entry.Name()), func() (io.ReadCloser, error) { return os.Open(source) }); err != nil {
			return err
		}
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == arch {
		if err := put(l.OwnCompose(), func() (io.ReadCloser, error) { return decompressed(filepath.Join(kit, composeFile)) }); err != nil {
			return err
		}
	}
	return os.WriteFile(started(kit), nil, 0o644)
}

// put writes a program, unless it exists. An existing program may be newer than the kit, because somebody has built it on this machine.
func put(target string, open func() (io.ReadCloser, error)) error {
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	part := target + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(part, target)
}

type unzipped struct {
	*gzip.Reader
	io.Closer
}

func (u unzipped) Close() error { return errors.Join(u.Reader.Close(), u.Closer.Close()) }

func decompressed(name string) (io.ReadCloser, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	zip, err := gzip.NewReader(in)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return unzipped{zip, in}, nil
}
