package fault

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

const (
	serverCLI     = lab.SPIREServerCLI
	partnerServer = "partner-server" // a service of scripts/scenarios/extras.yaml
)

// helper is a helper function of the faults: its usage, and the Go function that implements it. The arguments are checked against the usage
// before the function is called.
type helper struct {
	usage string
	do    func(s *session, ctx context.Context, hc interp.HandlerContext, args []string) error
}

// helpers has every helper function by its name. scripts/faults/WRITING.md lists them for authors.
var helpers = map[string]*helper{}

func init() {
	for _, h := range []*helper{
		// Functions that change the lab.
		does("need_tools", func(s *session, ctx context.Context, _ []string) error { return s.lab.NeedTools(ctx, io.Discard) }),
		does("others", (*session).others),
		does("others_go", (*session).othersGo),
		does("restarted SERVICE ...", (*session).restarted),
		{"remake SERVICE", (*session).remakeScript},
		does("wrong_server OLD NEW", (*session).wrongServer),
		does("any_client", func(s *session, ctx context.Context, _ []string) error {
			return s.wrongServer(ctx, []string{"tlsconfig.AuthorizeID(cfg.clientID)", "tlsconfig.AuthorizeAny()"})
		}),
		{"other_image SERVICE PATH ...", (*session).otherImage},
		{"override ...", (*session).overrideScript},
		{"override_adds ...", (*session).overrideAddsScript},
		does("no_override ...", (*session).noOverride),
		does("client_as USER", func(s *session, ctx context.Context, args []string) error {
			return s.remake(ctx, lab.Client, fmt.Sprintf("services: {client: {user: %q}}\n", args[0]))
		}),
		does("client_asks URL", (*session).clientAsks),
		does("run_beside NAME USER COMMAND ...", (*session).runBeside),
		does("lab COMMAND ...", func(s *session, ctx context.Context, args []string) error {
			_, err := s.compose(ctx, args...)
			return err
		}),
		does("provision", func(s *session, ctx context.Context, _ []string) error { _, err := s.provision(ctx); return err }),
		does("own_entries", func(s *session, ctx context.Context, _ []string) error { return s.ownEntries(ctx) }),
		{"docker COMMAND ...", (*session).dockerScript},
		{"cli COMMAND ...", commandLine(lab.SPIREServer)},
		{"partner_cli COMMAND ...", commandLine(partnerServer)},

		// Conditions.
		{"wait_until SECONDS WHAT COMMAND ...", (*session).waitUntil},
		{"__found STATUS SAID", (*session).found},
		does("has_identity USER ID", (*session).hasIdentity),
		does("nobody USER", (*session).nobody),
		does("entry_has REGEX", (*session).entryHas),
		does("container_running SERVICE", (*session).containerRunning),
		does("lives_longer USER SECONDS", (*session).livesLonger),
		does("override_has REGEX", (*session).overrideHas),
		does("was_restarted SERVICE", (*session).wasRestarted),

		// Functions that print a value for another command.
		prints("container_of SERVICE", (*session).containerOf),
		prints("image_of NAME", (*session).imageOf),
		prints("last_image", (*session).lastImage),
		{"file_of SERVICE PATH", (*session).fileOf},
		{"edited FILE REGEX TEXT ...", (*session).edited},

		// Filters.
		{"cat", func(_ *session, _ context.Context, hc interp.HandlerContext, args []string) error {
			return cat(hc, args)
		}},
		{"same TEXT", (*session).same},
		{"distinct REGEX", (*session).distinct},
	} {
		name, _, _ := strings.Cut(h.usage, " ")
		helpers[name] = h
	}
}

// does turns a Go function into a helper function. The exit status of the helper function is 0 if it succeeded, or if its condition holds.
// Otherwise the helper function prints the reason.
func does(usage string, do func(s *session, ctx context.Context, args []string) error) *helper {
	return &helper{usage, func(s *session, ctx context.Context, hc interp.HandlerContext, args []string) error {
		return scenario.Answer(hc, do(s, ctx, args))
	}}
}

// prints turns a Go function into a helper function that prints one line.
func prints(usage string, do func(s *session, ctx context.Context, args []string) (string, error)) *helper {
	return &helper{usage, func(s *session, ctx context.Context, hc interp.HandlerContext, args []string) error {
		line, err := do(s, ctx, args)
		if err == nil {
			fmt.Fprintln(hc.Stdout, line)
		}
		return scenario.Answer(hc, err)
	}}
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// commandLine makes a helper function that runs the CLI of a SPIRE server.
func commandLine(service string) func(*session, context.Context, interp.HandlerContext, []string) error {
	return func(s *session, ctx context.Context, hc interp.HandlerContext, args []string) error {
		return scenario.Exited(hc, s.lab.Exec(ctx, hc.Stdout, hc.Stderr, service, "", append([]string{serverCLI}, args...)...))
	}
}

// teams are the names of other teams that have entries in the lab's SPIRE server. The parent of these entries is a host that does not exist.
var teams = []string{"backup", "billing"}

func (s *session) others(ctx context.Context, _ []string) error {
	for _, team := range teams {
		if _, err := s.spire(ctx, lab.SPIREServer, "entry", "create", "-entryID", team, "-parentID", "spiffe://"+lab.TrustDomain+"/host-2",
			"-spiffeID", "spiffe://"+lab.TrustDomain+"/"+team, "-selector", "unix:user:"+team+"-workload"); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) othersGo(ctx context.Context, _ []string) error {
	var all error
	for _, team := range teams {
		_, err := s.spire(ctx, lab.SPIREServer, "entry", "delete", "-entryID", team)
		all = errors.Join(all, err)
	}
	return all
}

// restarted uses `docker restart`, which restarts the containers of these services and no other container.
func (s *session) restarted(ctx context.Context, services []string) error {
	for _, service := range services {
		container, err := s.container(ctx, service)
		if err != nil {
			return err
		}
		if _, err := s.docker(ctx, nil, "restart", "--time", "6", container.ID); err != nil {
			return err
		}
	}
	return nil
}

// remakeScript is remake for a script: the Compose file is on its standard input.
func (s *session) remakeScript(ctx context.Context, hc interp.HandlerContext, args []string) error {
	text, err := read(hc)
	if err == nil && strings.TrimSpace(string(text)) == "" {
		return scenario.Failf("remake wants a Compose file on its standard input")
	}
	if err == nil {
		err = s.remake(ctx, args[0], string(text))
	}
	return scenario.Answer(hc, err)
}

// remake recreates the container of a service with one more Compose file. The file is added to compose.yaml and, if there is one, to the
// override. Later, `docker compose up` recreates the container without this file.
func (s *session) remake(ctx context.Context, service, yaml string) error {
	words := []string{"compose", "--file", s.ComposeFile("compose.yaml")}
	if name := engine.OverrideIn(filepath.Dir(s.ComposeFile("compose.yaml"))); name != "" {
		words = append(words, "--file", s.ComposeFile(name))
	}
	_, err := s.docker(ctx, strings.NewReader(yaml), append(words, "--file", "-", "up", "--detach", "--no-deps", "--force-recreate", service)...)
	return err
}

// clientAsks recreates the client with its command in compose.yaml, but with a different URL.
func (s *session) clientAsks(ctx context.Context, args []string) error {
	return s.remake(ctx, lab.Client, fmt.Sprintf(`services: {client: {command: ["client", "-interval", "5s", "-health", "127.0.0.1:8080", "-url", %q]}}`+"\n", args[0]))
}

// runBeside runs one of the lab's programs in a separate container on the lab's host. The container is called PROJECT-NAME. On the
// network its name is NAME.
func (s *session) runBeside(ctx context.Context, args []string) error {
	name, user, command := args[0], args[1], args[2:]
	node, err := s.container(ctx, lab.Node)
	if err != nil {
		return err
	}
	_, err = s.docker(ctx, nil, append([]string{"run", "--detach", "--name", s.Project + "-" + name, "--network", s.Project + "_default", "--network-alias", name,
		"--pid", "container:" + node.ID, "--user", user, "--volume", s.Project + "_workload-api:/tmp/spire-agent/public:ro",
		"--env", "SPIFFE_ENDPOINT_SOCKET=unix:///tmp/spire-agent/public/api.sock", s.lab.Image(lab.Images[0])}, command...)...)
	return err
}

// wrongServer recreates the server with a new image. The image is built from the server's source code, in which one text is replaced.
func (s *session) wrongServer(ctx context.Context, args []string) error {
	image := s.variant(s.lab.Image(lab.Images[0]), args[0], args[1])
	if err := s.addImage(image); err != nil {
		return err
	}
	if err := s.lab.ServerVariant(ctx, image, args[0], args[1]); err != nil {
		return err
	}
	return s.remake(ctx, lab.Server, fmt.Sprintf("services: {server: {image: %q}}\n", image))
}

// otherImage recreates a service with an image in which one file is replaced. The new file is on the standard input. Its mode is the third
// argument, or 644.
func (s *session) otherImage(ctx context.Context, hc interp.HandlerContext, args []string) error {
	mode := uint64(0o644)
	if len(args) > 2 {
		var err error
		if mode, err = strconv.ParseUint(args[2], 8, 9); err != nil || len(args) > 3 {
			return scenario.Failf("want: other_image SERVICE PATH [MODE], with a MODE such as 755")
		}
	}
	content, err := read(hc)
	if err != nil {
		return err
	}
	if len(content) == 0 {
		return scenario.Failf("other_image wants the file on its standard input")
	}
	return scenario.Answer(hc, s.withFile(ctx, args[0], args[1], os.FileMode(mode), content))
}

func (s *session) withFile(ctx context.Context, service, path string, mode os.FileMode, content []byte) error {
	container, err := s.container(ctx, service)
	if err != nil {
		return err
	}
	said, err := s.docker(ctx, nil, "inspect", "--format", "{{.Config.Image}}", container.ID)
	if err != nil {
		return err
	}
	base := strings.TrimSpace(said)
	image := s.variant(base, service, path, string(content))
	if err := s.addImage(image); err != nil {
		return err
	}
	if err := s.lab.ImageWithFile(ctx, image, base, path, mode, content); err != nil {
		return err
	}
	return s.remake(ctx, service, fmt.Sprintf("services: {%s: {image: %q}}\n", service, image))
}

// variant names an image that is built from another image. The name differs between labs, because each lab removes its images after a fault.
func (s *session) variant(image string, parts ...string) string {
	repository, tag, _ := strings.Cut(image, ":")
	tag, _, _ = strings.Cut(tag, ".fault-")
	sum := crc32.ChecksumIEEE([]byte(s.Project + "\x00" + image + "\x00" + strings.Join(parts, "\x00")))
	return fmt.Sprintf("%s:%s.fault-%08x", repository, tag, sum)
}

// addImage keeps the name of an image that is removed after the fault.
func (s *session) addImage(image string) error {
	return s.kept.Keep("images", []byte(strings.Join(append(s.images(), image), "\n")+"\n"))
}

// images are the images that the fault or a fix has built. The latest is last.
func (s *session) images() []string {
	text, err := os.ReadFile(s.kept.OpenFile("images"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

// lastImage prints the image that wrong_server or other_image has built last.
func (s *session) lastImage(context.Context, []string) (string, error) {
	all := s.images()
	if len(all) == 0 {
		return "", errors.New("no image was built yet: call wrong_server or other_image first")
	}
	return all[len(all)-1], nil
}

// provision runs bootstrap, which mints a new credential for the host, and creates the entries of the lab that are missing.
func (s *session) provision(ctx context.Context) (string, error) {
	return s.compose(ctx, "run", "--rm", "--no-deps", "bootstrap")
}

// update matches a command that bootstrap prints to restore an entry of the lab.
var update = regexp.MustCompile(`(?m)^ *docker compose exec spire-server ` + regexp.QuoteMeta(serverCLI) + ` (.*)$`)

// ownEntries restores the entries of the lab that a learner has changed. For a changed entry, bootstrap only
// prints the command that restores it. ownEntries runs these commands.
func (s *session) ownEntries(ctx context.Context) error {
	said, err := s.provision(ctx)
	if err != nil {
		return err
	}
	for _, found := range update.FindAllStringSubmatch(strings.ReplaceAll(said, "\r\n", "\n"), -1) {
		if _, err := s.spire(ctx, lab.SPIREServer, strings.Fields(found[1])...); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) dockerScript(ctx context.Context, hc interp.HandlerContext, args []string) error {
	status, err := s.lab.Run(ctx, nil, append([]string{"docker"}, args...), hc.Stdin, hc.Stdout, hc.Stderr)
	if err == nil && status != 0 {
		return interp.ExitStatus(status)
	}
	return scenario.Answer(hc, err)
}

func (s *session) svid(ctx context.Context, user string) (string, error) {
	var out bytes.Buffer
	err := s.lab.Exec(ctx, &out, &out, lab.Client, user, "svid")
	return out.String(), err
}

var firstID = regexp.MustCompile(`^SPIFFE ID +(\S+)`)

// idIn returns the first SPIFFE ID that the command svid printed.
func idIn(said string) string {
	if found := firstID.FindStringSubmatch(said); found != nil {
		return found[1]
	}
	return ""
}

// hasIdentity checks whether a new process of a user gets this SPIFFE ID first.
func (s *session) hasIdentity(ctx context.Context, args []string) error {
	said, err := s.svid(ctx, args[0])
	if err != nil {
		return fmt.Errorf("%w: %s", err, engine.LastLine(said))
	}
	if first := idIn(said); first != args[1] {
		return fmt.Errorf("the first SPIFFE ID that %s gets is %q, not %s", args[0], first, args[1])
	}
	return nil
}

// nobody is a condition: a new process of a user gets no SVID.
func (s *session) nobody(ctx context.Context, args []string) error {
	if said, err := s.svid(ctx, args[0]); err == nil {
		return fmt.Errorf("%s gets an identity: %s", args[0], idIn(said))
	}
	return nil
}

// entryHas checks whether a line of `entry show` matches a regular expression.
func (s *session) entryHas(ctx context.Context, args []string) error {
	said, err := s.spire(ctx, lab.SPIREServer, "entry", "show")
	if err != nil {
		return err
	}
	if !regexp.MustCompile(`(?m)` + args[0]).MatchString(strings.ReplaceAll(said, "\r\n", "\n")) {
		return fmt.Errorf("no line of entry show matches %s", args[0])
	}
	return nil
}

func (s *session) containerRunning(ctx context.Context, args []string) error {
	running, err := s.runs(ctx, args[0])
	if err == nil && !running {
		err = fmt.Errorf("%s is not running", args[0])
	}
	return err
}

// wasRestarted checks whether the container of a service was restarted or recreated since the fault was injected.
func (s *session) wasRestarted(ctx context.Context, args []string) error {
	broken, err := s.readSnapshot(brokenFile)
	if err != nil {
		return err
	}
	was := broken.Service(args[0])
	container, err := s.container(ctx, args[0])
	if err != nil {
		return err
	}
	said, err := s.docker(ctx, nil, "inspect", "--format", "{{.State.StartedAt}}", container.ID)
	if err != nil {
		return err
	}
	started, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(said))
	if err == nil && was != nil && was.StartedAt.Equal(started) {
		err = fmt.Errorf("%s has been running since before the fault", args[0])
	}
	return err
}

var validity = regexp.MustCompile(`(?m)^valid (?:from|until) +(\S+)`)

// livesLonger checks whether a new SVID of a user is valid for more than a number of seconds.
func (s *session) livesLonger(ctx context.Context, args []string) error {
	least, err := strconv.Atoi(args[1])
	if err != nil {
		return scenario.Failf("lives_longer: SECONDS is %q", args[1])
	}
	said, err := s.svid(ctx, args[0])
	if err != nil {
		return fmt.Errorf("%w: %s", err, engine.LastLine(said))
	}
	var times []time.Time
	for _, found := range validity.FindAllStringSubmatch(said, 2) {
		at, err := time.Parse(time.RFC3339, found[1])
		if err != nil {
			return err
		}
		times = append(times, at)
	}
	if len(times) < 2 {
		return fmt.Errorf("the SVID of %s has no validity: %q", args[0], said)
	}
	if valid := times[1].Sub(times[0]); valid <= time.Duration(least)*time.Second {
		return fmt.Errorf("the SVID of %s is valid for %s", args[0], valid)
	}
	return nil
}

// containerOf prints the ID of a service's container, running or not.
func (s *session) containerOf(ctx context.Context, args []string) (string, error) {
	container, err := s.container(ctx, args[0])
	return container.ID, err
}

func (s *session) imageOf(_ context.Context, args []string) (string, error) {
	for _, name := range lab.Images {
		if name == args[0] {
			return s.lab.Image(name), nil
		}
	}
	return "", fmt.Errorf("the lab has no image %q: want one of %s", args[0], strings.Join(lab.Images, ", "))
}

// fileOf prints a file of a service's container, even if the container does not run.
func (s *session) fileOf(ctx context.Context, hc interp.HandlerContext, args []string) error {
	container, err := s.container(ctx, args[0])
	if err != nil {
		return scenario.Answer(hc, err)
	}
	var archive, errOut bytes.Buffer
	status, err := s.lab.Run(ctx, nil, []string{"docker", "cp", container.ID + ":" + args[1], "-"}, nil, &archive, &errOut)
	if err == nil && status != 0 {
		err = fmt.Errorf("%s has no file %s: %s", args[0], args[1], strings.TrimSpace(errOut.String()))
	}
	if err != nil {
		return scenario.Answer(hc, err)
	}
	reader := tar.NewReader(&archive)
	header, err := reader.Next()
	if err == nil && header.Typeflag != tar.TypeReg {
		err = fmt.Errorf("%s of %s is not a file", args[1], args[0])
	}
	if err == nil {
		_, err = io.Copy(hc.Stdout, reader)
	}
	return scenario.Answer(hc, err)
}

// edited prints an edited copy of a file in the lab's folder. Its arguments after the file are pairs of a regular expression and a text
// that replaces each match. Each expression must match at least one line. A line that becomes empty is left out.
func (s *session) edited(_ context.Context, hc interp.HandlerContext, args []string) error {
	if len(args)%2 != 1 {
		return scenario.Failf("want: edited FILE REGEX TEXT, and more pairs of REGEX and TEXT")
	}
	file := filepath.Join(s.Dir, filepath.FromSlash(args[0]))
	if args[0] == overrideFile {
		file = s.ComposeFile(overrideFile)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return scenario.Answer(hc, err)
	}
	lines := strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
	for i := 1; i < len(args); i += 2 {
		expression, err := regexp.Compile(args[i])
		if err != nil {
			return scenario.Failf("edited: %v", err)
		}
		var kept []string
		matched := false
		for _, line := range lines {
			after := line
			if expression.MatchString(line) {
				matched, after = true, expression.ReplaceAllLiteralString(line, args[i+1])
			}
			if after != "" || line == "" {
				kept = append(kept, after)
			}
		}
		if !matched {
			return scenario.Answer(hc, fmt.Errorf("no line of %s matches %s", args[0], args[i]))
		}
		lines = kept
	}
	_, err = io.WriteString(hc.Stdout, strings.Join(lines, "\n"))
	return err
}

func cat(hc interp.HandlerContext, args []string) error {
	if len(args) > 0 {
		return scenario.Failf("cat takes no arguments: it prints its standard input")
	}
	text, err := read(hc)
	if err == nil {
		_, err = hc.Stdout.Write(text)
	}
	return err
}

// same is a condition: the standard input is this text, apart from line ends.
func (s *session) same(_ context.Context, hc interp.HandlerContext, args []string) error {
	text, err := read(hc)
	if err != nil {
		return err
	}
	plain := func(text string) string { return strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n") }
	if plain(string(text)) != plain(args[0]) {
		return interp.ExitStatus(1)
	}
	return nil
}

// distinct prints how many different texts on the standard input match a regular expression.
func (s *session) distinct(_ context.Context, hc interp.HandlerContext, args []string) error {
	text, err := read(hc)
	if err != nil {
		return err
	}
	found := map[string]bool{}
	for _, one := range regexp.MustCompile(args[0]).FindAllString(string(text), -1) {
		found[one] = true
	}
	_, err = fmt.Fprintln(hc.Stdout, len(found))
	return err
}

func read(hc interp.HandlerContext) ([]byte, error) {
	if hc.Stdin == nil {
		return nil, nil
	}
	return io.ReadAll(hc.Stdin)
}
