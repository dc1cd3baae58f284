// Package console shows a running lab in a browser: which program spoke to which, with which SPIFFE ID, and which side refused.
//
// The parts: follow.go and gather.go read the logs and ask the lab. read.go, screen.go and facts.go turn the answers into rows and a state.
// picture.go makes the diagram. hub.go sends all data to every browser, and page.go and web/ show it. record.go and replay.go record the
// data, and show it without a lab. trace.go and handshake.go are for a single handshake.
package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// DefaultPort is the page's port if no other port is given.
const DefaultPort = "8089"

// Options are the options of the learner.
type Options struct {
	Port string
	Open bool // open the page in a browser, if there is a terminal

	Record string // the file for a recording, or nothing
	Replay string // the recording to show instead of a lab, or nothing
}

// Serve shows the lab, or a recording, until ctx ends.
func Serve(ctx context.Context, l *launch.Launcher, options Options) error {
	if options.Replay != "" {
		return replay(ctx, l, options)
	}
	port, err := portOf(options)
	if err != nil {
		return err
	}
	if err := l.Need(ctx); err != nil {
		return err
	}
	if all, err := l.Containers(ctx); err != nil {
		return err
	} else if len(all) == 0 {
		return &engine.Problem{What: "the lab " + l.Project + " is not running", Remedy: "make up"}
	}
	if err := os.MkdirAll(l.Cache(), 0o755); err != nil {
		return err
	}
	unlock, err := scenario.Lock(lockFile(l.Engine), "a console of the lab "+l.Project+" is running already")
	if err != nil {
		return alreadyRuns(err)
	}
	defer unlock()
	listener, err := listenOn(port)
	if err != nil {
		return err
	}
	defer listener.Close()
	access, err := ReadAccess(accessFile(l.Engine))
	if err != nil {
		return err
	}
	access.Address = listener.Addr().String()
	if err := access.Write(accessFile(l.Engine)); err != nil {
		return err
	}
	defer func() {
		access.Address = ""
		_ = access.Write(accessFile(l.Engine))
	}()
	hub := NewHub(l.Project)
	page, err := NewPage(hub, access.Token, os.DirFS(filepath.Join(l.Dir, "scripts", "scenarios")))
	if err != nil {
		return err
	}
	var record *os.File
	if options.Record != "" {
		if record, err = createRecording(options.Record); err != nil {
			return err
		}
		defer record.Close()
	}
	return show(ctx, l, listener, page, record, options.Open)
}

func portOf(options Options) (int, error) {
	port, err := strconv.Atoi(options.Port)
	if err != nil || port < 1024 || port > 65535 {
		return 0, &engine.Problem{What: fmt.Sprintf("the port %q is not a number from 1024 to 65535", options.Port), Remedy: "scripts/lab console --port " + DefaultPort}
	}
	return port, nil
}

func lockFile(e *engine.Engine) string   { return e.Cache("lock-console-" + e.Project) }
func accessFile(e *engine.Engine) string { return e.Cache("console-" + e.Project + ".json") }

// alreadyRuns gives the remedy for a lock that another console holds.
func alreadyRuns(err error) error {
	var problem *engine.Problem
	if errors.As(err, &problem) && strings.Contains(problem.What, "running already") {
		return &engine.Problem{What: problem.What, Remedy: "end it with Ctrl-C where it runs; " + problem.Remedy}
	}
	return err
}

func listenOn(port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		return listener, nil
	}
	other := port + 1
	if other > 65535 {
		other = port - 1
	}
	remedy := fmt.Sprintf("scripts/lab console --port %d", other)
	if errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "Only one usage of each socket address") { // Windows
		return nil, &engine.Problem{What: fmt.Sprintf("the port %d is in use on this machine", port), Remedy: remedy}
	}
	return nil, &engine.Problem{What: err.Error(), Remedy: remedy}
}

// show serves the page, and feeds its hub, until ctx ends.
func show(ctx context.Context, l *launch.Launcher, listener net.Listener, page *Page, record *os.File, open bool) error {
	now, err := l.Now(ctx)
	if err != nil {
		return err
	}
	ahead := time.Until(now) // how far the engine's clock, which stamps the logs, is ahead
	clock := func() time.Time { return time.Now().Add(ahead) }
	page.clock = clock

	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	known, read := make(chan struct{}), make(chan struct{})
	parts.Go(func() { ask(ctx, l.Engine, page.hub, clock, func() { close(known) }) })
	parts.Go(func() {
		either(ctx, known) // the lines need the addresses and the entries
		followLogs(ctx, l.Engine, page.hub, clock, func() { close(read) })
	})
	parts.Go(func() { followScreen(ctx, l.Engine, page.hub) })
	parts.Go(func() { perform(ctx, l, page) })
	either(ctx, read) // the first rows come too fast for a browser
	if record != nil {
		page.hub.Record(record, clock())
	}
	return serve(ctx, l, listener, page, &parts, "the lab "+l.Project, open)
}

// serve serves the page until ctx ends. It prints the page's address, and opens it in a browser.
func serve(ctx context.Context, l *launch.Launcher, listener net.Listener, page *Page, parts *sync.WaitGroup, what string, open bool) error {
	server := &http.Server{Handler: page, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return ctx }}
	defer server.Close()
	failed := make(chan error, 1)
	parts.Go(func() { failed <- server.Serve(listener) })
	address := "http://" + listener.Addr().String() + "/?token=" + page.token
	l.Screen.Say("%s%s%s shows %s; Ctrl-C ends it", l.Screen.Bold, address, l.Screen.Plain, what)
	if open && l.Screen.Terminal {
		openBrowser(ctx, address)
	}
	select {
	case <-ctx.Done():
		l.Screen.Say("the console has ended")
		return nil
	case err := <-failed:
		return err
	}
}

// firstWithin limits two waits. The console waits for the first facts, and then follows the logs. It waits for the first log lines, and then
// serves the page.
const firstWithin = 5 * time.Second

// The function named either waits until done is closed, but at most for [firstWithin].
func either(ctx context.Context, done <-chan struct{}) {
	select {
	case <-done:
	case <-ctx.Done():
	case <-time.After(firstWithin):
	}
}

// ask gathers facts when the hub wants them, until ctx ends. It calls first() as soon as the hub has any facts.
func ask(ctx context.Context, e *engine.Engine, hub *Hub, clock func() time.Time, first func()) {
	var once sync.Once
	gatherer := newGatherer(e)
	for asked := (time.Time{}); ctx.Err() == nil; wait(ctx, 250*time.Millisecond) {
		now := clock()
		hub.Expire(now)
		if hub.Wants(asked, now) {
			asked = now
			if known := gatherer.gather(ctx); ctx.Err() == nil {
				hub.Know(known, clock())
				once.Do(first)
			}
		}
	}
}

// perform performs the handshakes for which the page's buttons ask, until ctx ends.
func perform(ctx context.Context, l *launch.Launcher, page *Page) {
	for {
		select {
		case <-ctx.Done():
			return
		case as := <-page.asked:
			trace, _, err := handshake(ctx, l, as)
			if err != nil {
				trace = &Trace{As: as, End: "no handshake: " + err.Error()}
			}
			page.hub.Trace(trace)
		}
	}
}

func openBrowser(ctx context.Context, address string) {
	var command []string
	switch {
	case runtime.GOOS == "darwin":
		command = []string{"open", address}
	case runtime.GOOS == "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler", address}
	case onPath("wslview"):
		command = []string{"wslview", address}
	case os.Getenv("DISPLAY")+os.Getenv("WAYLAND_DISPLAY") != "" && onPath("xdg-open"):
		command = []string{"xdg-open", address}
	default:
		return
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}

func onPath(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
