package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// ImageWithFile builds a copy of an image in which a file is replaced. It does nothing if the new image exists.
func (l *Launcher) ImageWithFile(ctx context.Context, image, base, path string, mode os.FileMode, content []byte) error {
	if l.HasImage(ctx, image) {
		return nil
	}
	return l.inFolder(func(folder string) error {
		if err := os.WriteFile(filepath.Join(folder, "file"), content, mode); err != nil {
			return err
		}
		return l.buildIn(ctx, folder, image, fmt.Sprintf("FROM %s\nCOPY file %s\n", base, path))
	})
}

// ServerVariant replaces a text in a copy of services/server/main.go, compiles the server from this copy, and builds an image with
// this server. It does nothing if the image exists.
func (l *Launcher) ServerVariant(ctx context.Context, image, old, replacement string) error {
	if l.HasImage(ctx, image) {
		return nil
	}
	return l.inFolder(func(folder string) error {
		src := filepath.Join(folder, "src")
		for _, name := range []string{"go.mod", "go.sum"} {
			if err := copyFile(filepath.Join(l.Dir, name), filepath.Join(src, name)); err != nil {
				return err
			}
		}
		if err := os.CopyFS(filepath.Join(src, "services"), os.DirFS(filepath.Join(l.Dir, "services"))); err != nil {
			return err
		}
		main := filepath.Join(src, "services", "server", "main.go")
		text, err := os.ReadFile(main)
		if err != nil {
			return err
		}
		// Git may have given the file Windows line endings.
		before := strings.ReplaceAll(string(text), "\r\n", "\n")
		if !strings.Contains(before, old) {
			return fmt.Errorf("services/server/main.go does not have: %s", old)
		}
		if err := os.WriteFile(main, []byte(strings.Replace(before, old, replacement, 1)), 0o644); err != nil {
			return err
		}
		workload := l.Image(lab.Images[0])
		if _, err := os.Stat(l.Cache("prebuilt")); err == nil {
			if err := l.compileServer(ctx, src, filepath.Join(folder, "server")); err != nil {
				return err
			}
			if err := os.RemoveAll(src); err != nil {
				return err
			}
			return l.buildIn(ctx, folder, image, "FROM "+workload+"\nCOPY server /opt/spiffe-lab/bin/server\n")
		}
		return l.buildIn(ctx, folder, image, "FROM "+l.Setting("GO_IMAGE")+` AS compiler
ENV CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off
WORKDIR /src
COPY src /src
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build go build -o /server ./services/server
FROM `+workload+`
COPY --from=compiler /server /opt/spiffe-lab/bin/server
`)
	})
}

// compileServer compiles the server with this machine's Go, which has also compiled the lab's images.
func (l *Launcher) compileServer(ctx context.Context, src, program string) error {
	cmd := l.Command(ctx, []string{"GOOS=linux", "GOARCH=" + l.Arch, "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly"},
		"go", "build", "-trimpath", "-o", program, "./services/server")
	cmd.Dir = src
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(errors.New(strings.TrimSpace(string(out))), err)
	}
	return nil
}

func (l *Launcher) inFolder(do func(folder string) error) error {
	folder, err := os.MkdirTemp("", "spiffe-lab-")
	if err != nil {
		return err
	}
	return errors.Join(do(folder), os.RemoveAll(folder))
}

// buildIn builds an image from a folder. It uses Compose, which includes BuildKit on every machine.
func (l *Launcher) buildIn(ctx context.Context, folder, image, dockerfile string) error {
	if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		return err
	}
	cmd := l.Compose(ctx, nil, "--project-directory", folder, "--file", "-", "build", "--quiet")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("name: fault\nservices: {fault: {image: %q, build: .}}\n", image))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the image %s cannot be built: %s", image, engine.LastLine(string(out)))
	}
	return nil
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}
