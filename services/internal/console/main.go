// Package console shows the lab to a room, in a browser: who spoke to whom, as whom, and who refused.
//
//	console serve        serves the page; what it shows is fed to it
//	console feed KIND    feeds it from standard input: log, screen, lesson or trace
//	console facts        feeds it facts, one JSON object a line, each time that it writes "facts"
//	console handshake    explains, for a terminal, what `openssl s_client -trace` wrote
//
// The page is served on a network address; what feeds it comes by a socket within its container. So
// whoever can open the page cannot change what it shows.
package console

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// Main is the command line of the console. It returns the exit status.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, args, in, out)
	var usage *cli.UsageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return cli.OK
	case errors.As(err, &usage):
		fmt.Fprintln(errOut, "error:", err)
		return cli.Usage
	}
	fmt.Fprintln(errOut, "error:", err)
	return cli.Failed
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return cli.Usagef("no command; want serve, feed, facts or handshake")
	}
	flags := flag.NewFlagSet("console "+args[0], flag.ContinueOnError)
	socket := flags.String("socket", "/run/console/feed.sock", "`path` of the socket by which the page is fed")
	switch args[0] {
	case "serve":
		listen := flags.String("listen", ":8080", "`address` to serve the page on")
		project := flags.String("project", "spiffe-lab", "the lab's `name`, as Compose knows it")
		port := flags.Int("port", 8080, "`port` under which browsers on this machine find the page")
		if err := cli.Parse(flags, args[1:], out); err != nil {
			return err
		}
		return serve(ctx, *listen, *socket, *project, *port, out)
	case "feed":
		if len(args) < 2 {
			return cli.Usagef("feed what? log, screen, lesson or trace")
		}
		as := flags.String("as", "", "`user` whose handshake it is")
		if err := cli.Parse(flags, args[2:], out); err != nil {
			return err
		}
		return feed(ctx, *socket, args[1], *as, in)
	case "facts":
		if err := cli.Parse(flags, args[1:], out); err != nil {
			return err
		}
		return facts(ctx, *socket, in, out)
	case "handshake":
		as := flags.String("as", "client-workload", "`user` whose handshake it is")
		if err := cli.Parse(flags, args[1:], out); err != nil {
			return err
		}
		trace, err := ParseTrace(*as, in)
		if err != nil {
			return err
		}
		trace.Print(out)
		return nil
	}
	return cli.Usagef("unknown command %q; want serve, feed, facts or handshake", args[0])
}

func serve(ctx context.Context, listen, socket, project string, port int, out io.Writer) error {
	hub := NewHub(project)
	page, err := NewPage(hub, port)
	if err != nil {
		return err
	}
	_ = os.Remove(socket)
	inside, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	outside, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving on %s\n", outside.Addr())
	failed := make(chan error, 2)
	for listener, handler := range map[net.Listener]http.Handler{inside: feeder(hub, page.asked), outside: page} {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return ctx }}
		defer server.Close()
		go func() { failed <- server.Serve(listener) }()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// feeder takes what is fed, and says what is wanted.
func feeder(hub *Hub, handshakes <-chan string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /feed/{kind}", func(w http.ResponseWriter, r *http.Request) {
		kind := r.PathValue("kind")
		var err error
		switch kind {
		case "trace":
			var trace *Trace
			if trace, err = ParseTrace(r.URL.Query().Get("as"), r.Body); err == nil {
				hub.Trace(trace)
			}
		case "lesson":
			err = lines(r.Body, func(line string) {
				name, encoded, _ := strings.Cut(line, " ")
				if text, err := base64.StdEncoding.DecodeString(encoded); err == nil {
					hub.Lesson(name, string(text))
				}
			})
		case "log", "screen", "facts":
			err = lines(r.Body, func(line string) { hub.Feed(kind, line, time.Now()) })
		default:
			err = cli.Usagef("unknown kind %q; want log, screen, facts, lesson or trace", kind)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /wants", func(w http.ResponseWriter, r *http.Request) {
		asked := time.Time{}
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		say := func(what string) bool {
			_, err := fmt.Fprintln(w, what)
			return err == nil && http.NewResponseController(w).Flush() == nil
		}
		for {
			select {
			case <-r.Context().Done():
				return
			case as := <-handshakes:
				if !say("handshake " + as) {
					return
				}
			case now := <-tick.C:
				if hub.Wants(asked, now) {
					asked = now
					if !say("facts") {
						return
					}
				}
			}
		}
	})
	return mux
}

// lines calls do for each line, however long. A line of over a megabyte is an error.
func lines(in io.Reader, do func(string)) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		do(scan.Text())
	}
	return scan.Err()
}

func client(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
}

func feed(ctx context.Context, socket, kind, as string, in io.Reader) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://console/feed/"+kind+"?as="+as, io.NopCloser(in))
	if err != nil {
		return err
	}
	response, err := client(socket).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return errors.New(strings.TrimSpace(string(said)))
	}
	return nil
}

func facts(ctx context.Context, socket string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel() // whoever answers has gone
		_ = feed(ctx, socket, "facts", "", in)
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://console/wants", nil)
	if err != nil {
		return err
	}
	response, err := client(socket).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return lines(response.Body, func(line string) { fmt.Fprintln(out, line) })
}
