// Command console serves the page that shows a running lab, and performs single handshakes. The command lab starts it. It is a
// separate program, because an HTTP server makes a program larger by half, and most commands of lab need no server.
//
//	console [-dir FOLDER] [-port PORT] [-no-open] [-record FILE | -replay FILE] serve
//	console [-dir FOLDER] -as CLIENT handshake
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spiffe-lab/spiffe-lab/services/internal/console"
	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		var problem *engine.Problem
		if errors.As(err, &problem) && problem.Remedy != "" {
			fmt.Fprintln(os.Stderr, "hint:", problem.Remedy)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir := flag.String("dir", ".", "the lab's `folder`")
	port := flag.String("port", console.DefaultPort, "`port` on 127.0.0.1 for the page")
	quiet := flag.Bool("no-open", false, "open no browser")
	record := flag.String("record", "", "`file` for a recording")
	replay := flag.String("replay", "", "`file` of a recording to show instead of a lab")
	as := flag.String("as", "", "`client` of the handshake")
	flag.Parse()
	e, err := engine.New(*dir)
	if err != nil {
		return err
	}
	l := &launch.Launcher{Engine: e, Screen: screen.New(os.Stdout)}
	switch flag.Arg(0) {
	case "serve":
		return console.Serve(ctx, l, console.Options{Port: *port, Open: !*quiet, Record: *record, Replay: *replay})
	case "handshake":
		return console.Handshake(ctx, l, *as)
	}
	return fmt.Errorf("unknown command %q: want serve or handshake", flag.Arg(0))
}
