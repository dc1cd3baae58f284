//go:build unix

// Command extras has the small programs that only scenarios run. It is only in the image tools.
//
//	extras prefix     serves every client whose SPIFFE ID is at or below one SPIFFE ID
//	extras paths      serves each client of the trust domain only the paths that this client may read
//	extras pick       sends a request with the SVID that has a certain hint
//	extras exec       starts a child that inherits a connection, and then becomes a different program
//	extras mint       mints an SVID over the network, with the SVID of an admin
//	extras relay      forwards TCP connections
//	extras terminate  terminates TLS connections, and forwards their requests over new connections
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// commands has each command by its name. A command parses its flags, and writes its log to logger.
var commands = map[string]func(ctx context.Context, args []string, stdout io.Writer, logger *log.Logger) error{
	"exec":      execGenuine,
	"mint":      mint,
	"paths":     paths,
	"pick":      pick,
	"prefix":    prefix,
	"relay":     relay,
	"terminate": terminate,
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprintf(stderr, "extras: want one of %s\n", strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
		return cli.Usage
	}
	err := commands[args[0]](ctx, args[1:], stdout, log.New(stderr, "", log.LstdFlags))
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return cli.OK
	}
	fmt.Fprintf(stderr, "%s: %v\n", args[0], err)
	var usage *cli.UsageError
	switch {
	case errors.As(err, &usage):
		return cli.Usage
	case errors.Is(err, identity.ErrNone):
		return cli.NoIdentity
	}
	return cli.Failed
}

// newSource gets the program's X.509-SVID and the trust bundle from the Workload API. It waits a minute at most.
func newSource(ctx context.Context, logger *log.Logger, options ...workloadapi.X509SourceOption) (*workloadapi.X509Source, error) {
	endpoint, err := identity.FindEndpoint("", os.Getenv)
	if err != nil {
		return nil, err
	}
	wait := endpoint.Wait(ctx, time.Minute, logger)
	source, err := workloadapi.NewX509Source(wait, append(wait.Options(), options...)...)
	return source, wait.End(err)
}

func serve(ctx context.Context, server *http.Server, address string, logger *log.Logger) error {
	server.ReadTimeout, server.WriteTimeout, server.ErrorLog = 10*time.Second, 10*time.Second, logger
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	logger.Printf("serving on %s", listener.Addr())
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
