package kit

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/engine/enginetest"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// TestMain: the test program plays docker and git if it runs under their names.
func TestMain(m *testing.M) { enginetest.Main(m) }

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// saved writes a file like the output of docker save. The file has one image of the given architecture.
func saved(t *testing.T, architecture string) string {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, f := range [][2]string{{"a.json", `{"architecture":"` + architecture + `"}`}, {"layer.tar", "layer"}, {"manifest.json", `[{"Config":"a.json"}]`}} {
		if err := archive.WriteHeader(&tar.Header{Name: f[0], Size: int64(len(f[1])), Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), "saved"), out.String())
}

// start returns a lab in the folder dir. Its docker and git answer by the rules.
func start(t *testing.T, dir, rules string) (*launch.Launcher, func() string) {
	t.Helper()
	enginetest.Start(t, rules+enginetest.Version+enginetest.Info, "git")
	if _, err := os.Stat(filepath.Join(dir, ".env")); err != nil {
		write(t, filepath.Join(dir, ".env"), enginetest.Env)
	}
	e, err := engine.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	return &launch.Launcher{Engine: e, Screen: screen.Plain(&bytes.Buffer{})}, func() string { return enginetest.Log(t) }
}

// pack packs a kit of a small lab, and unpacks it. The kit has one image of this architecture.
func pack(t *testing.T, architecture string) (folder string, names []string, log func() string, err error) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a file"), "with a blank in its name")
	write(t, filepath.Join(dir, "not in git"), "x")
	for _, name := range []string{"start", "start.cmd", "START.txt"} {
		write(t, filepath.Join(dir, "scripts", "kit", name), name)
	}
	listed := write(t, filepath.Join(t.TempDir(), "listed"), ".env\x00a file\x00deleted\x00scripts/kit/start\x00")
	l, log := start(t, dir, "git ls-files -z => 0 <"+listed+"\ndocker save => 0 <"+saved(t, architecture)+"\ndocker image inspect => 0 sha256:1\ndocker tag => 0\ndocker image rm => 0\n")
	p := &packer{Launcher: l, work: t.TempDir()}
	if err := p.addLab(context.Background(), []string{"spiffe-lab/workload:local"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.addImages(context.Background(), []string{"spiffe-lab/workload:local"}); err != nil {
		return "", nil, log, err
	}
	p.addText(architectureFile, p.Arch+"\n")
	for _, name := range []string{"START.txt", "start", "start.cmd"} {
		p.files = append(p.files, file{name: name, source: filepath.Join(dir, "scripts", "kit", name), mode: 0o755})
	}
	p.files = append(p.files, file{name: "programs/" + runtime.GOOS + "-" + runtime.GOARCH + "/lab", text: []byte("the program"), mode: 0o755})
	zip := filepath.Join(p.work, "zip")
	if err := compress(write(t, filepath.Join(p.work, "compose"), "compose"), zip); err != nil {
		t.Fatal(err)
	}
	p.files = append(p.files, file{name: composeFile, source: zip, mode: 0o644})
	target := filepath.Join(p.work, "kit.tar.gz")
	if _, err := p.write(context.Background(), "kit", target); err != nil {
		t.Fatal(err)
	}
	folder, names = unpack(t, target)
	return folder, names, log, nil
}

func unpack(t *testing.T, name string) (string, []string) {
	t.Helper()
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	zip, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var names []string
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, "kit"), names
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, header.Name), string(text))
		names = append(names, strings.TrimPrefix(header.Name, "kit/"))
	}
}

// TestPack: a kit must have the right files in the right order, and the right tag of the images.
func TestPack(t *testing.T) {
	folder, names, log, err := pack(t, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"start", "start.cmd", "START.txt", "SHA256SUMS", "architecture.txt", "images.txt", "docker-compose.gz", "lab/.env", "lab/a file", "lab/scripts/kit/start",
		"programs/" + runtime.GOOS + "-" + runtime.GOARCH + "/lab", "images.tar.gz"}
	if !slices.Equal(names, want) {
		t.Errorf("the kit has %q\nwant        %q", names, want)
	}
	_, images, err := contents(folder)
	if err != nil || len(images) != 1 || !strings.HasPrefix(images[0], "spiffe-lab/workload:kit-") {
		t.Fatalf("images are %q, %v", images, err)
	}
	env, err := os.ReadFile(filepath.Join(folder, "lab", ".env"))
	if err != nil || !strings.Contains(string(env), "LAB_TAG="+strings.TrimPrefix(images[0], "spiffe-lab/workload:")+"\n") {
		t.Errorf(".env is %s, %v", env, err)
	}
	for _, want := range []string{"docker tag spiffe-lab/workload:local " + images[0], "docker save " + images[0], "docker image rm " + images[0]} {
		if !strings.Contains(log(), want) {
			t.Errorf("it does not run %s:\n%s", want, log())
		}
	}
}

// TestPackOtherArchitecture: the architecture in the output of docker save must count, even if the engine reports a
// different architecture.
func TestPackOtherArchitecture(t *testing.T) {
	_, _, log, err := pack(t, "amd64")
	if err == nil || err.Error() != "docker save has written an image for amd64, and not for arm64" {
		t.Errorf("%v", err)
	}
	if !strings.Contains(log(), "docker image rm spiffe-lab/workload:kit-") {
		t.Errorf("the kit's tag stays:\n%s", log())
	}
}

func TestSettings(t *testing.T) {
	l, _ := start(t, t.TempDir(), "")
	p := &packer{Launcher: l}
	for _, text := range []string{
		enginetest.Env, strings.TrimSuffix(enginetest.Env, "\n"), strings.Replace(enginetest.Env, "LAB_TAG", "  export LAB_TAG", 1),
		strings.Replace(enginetest.Env, "LAB_TAG=local\n", "", 1), strings.Replace(enginetest.Env, "LAB_TAG=", "LAB_TAG: ", 1),
		strings.Replace(enginetest.Env, "1.15.3", "1.14.0", 1),
	} {
		if got, want := p.settings(text, "kit-1"), strings.Replace(enginetest.Env, "local", "kit-1", 1); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestCheck: a kit that has changed since it was packed must be refused in one line.
func TestCheck(t *testing.T) {
	folder, _, _, err := pack(t, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(folder); err != nil {
		t.Fatal(err)
	}
	refused := func(want string) {
		t.Helper()
		var problem *engine.Problem
		if err := Check(folder); !errors.As(err, &problem) || problem.What != want || problem.Remedy != again {
			t.Errorf("%v, want %s", err, want)
		}
	}
	whole := func(name, text string, do func(name string)) {
		t.Helper()
		file := filepath.Join(folder, filepath.FromSlash(name))
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		do(file)
		refused(text)
		write(t, file, string(before))
	}
	edit := func(name string) { write(t, name, "x") }
	remove := func(name string) { _ = os.Remove(name) }
	for _, name := range []string{"images.tar.gz", "lab/a file", "architecture.txt"} {
		whole(name, name+" is damaged or missing", edit)
		whole(name, name+" is damaged or missing", remove)
	}
	whole(sumsFile, "SHA256SUMS is missing, because the kit was not unpacked completely", remove)
	whole(sumsFile, " is damaged or missing", edit)
	// After the first start, a learner may edit the lab's files.
	write(t, started(folder), "")
	write(t, filepath.Join(folder, "lab", "a file"), "edited")
	if err := Check(folder); err != nil {
		t.Errorf("an edit of the lab is refused: %v", err)
	}
	whole("images.tar.gz", "images.tar.gz is damaged or missing", edit)
}

// TestStart: the images must be loaded only once, and only into an engine of their architecture.
func TestStart(t *testing.T) {
	folder, _, _, err := pack(t, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	run := func(rules string) (string, error) {
		l, log := start(t, Folder(folder), rules)
		err := Start(context.Background(), l, folder)
		return log(), err
	}
	write(t, filepath.Join(folder, architectureFile), "s390x\n")
	if log, err := run(""); err == nil || err.Error() != "this kit is for linux/s390x, and the engine runs on linux/arm64" || strings.Contains(log, "load") {
		t.Errorf("%v\n%s", err, log)
	}
	write(t, filepath.Join(folder, architectureFile), "arm64\n")
	if log, err := run("docker image inspect => 1 no\ndocker load => 1 no space left on device\n"); err == nil || err.Error() != "the images cannot be loaded: no space left on device" {
		t.Errorf("%v\n%s", err, log)
	}
	if _, err := os.Stat(started(folder)); err == nil {
		t.Error("a kit whose images were not loaded counts as started")
	}
	// If the images exist, Start goes on with Adopt. Adopt fails here, because it needs the lab's sources.
	if log, err := run("docker image inspect => 0 sha256:1\n"); err == nil || strings.Contains(log, "docker load") {
		t.Errorf("%v\n%s", err, log)
	}
	program, err := os.ReadFile(filepath.Join(folder, "lab", ".cache", "bin", "lab"))
	if err != nil || string(program) != "the program" {
		t.Errorf("the program is %q, %v", program, err)
	}
}
