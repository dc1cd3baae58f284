package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
)

// config holds the settings from the command line.
type config struct {
	endpoint        identity.Endpoint
	wait            time.Duration
	listen          string
	health          string
	clientID        spiffeid.ID
	readTimeout     time.Duration
	writeTimeout    time.Duration
	idleTimeout     time.Duration
	shutdownTimeout time.Duration
	maxAge          time.Duration
	maxBody         int64
}

func parse(args []string, getenv func(string) string, stdout io.Writer) (config, error) {
	cfg := config{
		wait:            time.Minute,
		listen:          ":8443",
		clientID:        spiffeid.RequireFromString("spiffe://example.org/client"),
		readTimeout:     10 * time.Second,
		writeTimeout:    10 * time.Second,
		idleTimeout:     30 * time.Second,
		shutdownTimeout: 4 * time.Second,
		maxBody:         64 << 10,
	}
	var socket string
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.StringVar(&socket, "socket", "", "`URI` of the Workload API (default: the variable SPIFFE_ENDPOINT_SOCKET)")
	flags.Var(cli.Duration{Value: &cfg.wait}, "wait", "give up if no identity arrives within this `duration`")
	flags.Var(cli.Address{Value: &cfg.listen}, "listen", "`address` to serve HTTPS on")
	flags.Var(cli.Address{Value: &cfg.health}, "health", "`address` to serve plain http /healthz on (default: none)")
	flags.Var(cli.ID{Value: &cfg.clientID}, "client-id", "`SPIFFE ID` of the one client that is served")
	flags.Var(cli.Duration{Value: &cfg.readTimeout}, "read-timeout", "maximum `duration` of reading a request, and of the handshake before it")
	flags.Var(cli.Duration{Value: &cfg.writeTimeout}, "write-timeout", "maximum `duration` to write a response")
	flags.Var(cli.Duration{Value: &cfg.idleTimeout}, "idle-timeout", "`duration` after which an idle connection is closed")
	flags.Var(cli.Duration{Value: &cfg.shutdownTimeout}, "shutdown-timeout", "`duration` (at most 5s) after SIGTERM in which open requests may still be answered")
	flags.Var(cli.Duration{Value: &cfg.maxAge, Zero: true}, "max-connection-age", "maximum age of a connection, as a `duration`; an open request is still answered; 0 sets no limit")
	flags.Var(cli.Bytes{Value: &cfg.maxBody}, "max-body", "maximum size of a request body in `bytes`")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `server answers HTTP over mTLS to exactly one client, identified by its SPIFFE ID.

usage: server [flags]

`)
		flags.PrintDefaults()
		fmt.Fprint(flags.Output(), `
exit status: 0 stopped by a signal, 2 wrong usage, 3 no identity, 1 any other error
`)
	}
	if err := cli.Parse(flags, args, stdout); err != nil {
		return cfg, err
	}
	if cfg.listen == "" {
		return cfg, cli.Usagef("-listen is empty: want an address such as :8443")
	}
	if cfg.shutdownTimeout > 5*time.Second {
		return cfg, cli.Usagef("-shutdown-timeout is %s: want at most 5s", cfg.shutdownTimeout)
	}
	var err error
	cfg.endpoint, err = identity.FindEndpoint(socket, getenv)
	return cfg, err
}

func status(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return cli.OK
	}
	fmt.Fprintf(stderr, "server: %v\n", err)
	var usage *cli.UsageError
	switch {
	case errors.As(err, &usage):
		return cli.Usage
	case errors.Is(err, identity.ErrNone):
		return cli.NoIdentity
	default:
		return cli.Failed
	}
}
