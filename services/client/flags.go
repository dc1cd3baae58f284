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
	endpoint identity.Endpoint
	wait     time.Duration
	url      string
	serverID spiffeid.ID
	timeout  time.Duration
	interval time.Duration
	keep     bool
	maxBody  int64
	health   string
}

func parse(args []string, getenv func(string) string, stdout io.Writer) (config, error) {
	cfg := config{
		wait:     time.Minute,
		url:      "https://server:8443/",
		serverID: spiffeid.RequireFromString("spiffe://example.org/server"),
		timeout:  10 * time.Second,
		maxBody:  64 << 10,
	}
	var socket string
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.StringVar(&socket, "socket", "", "`URI` of the Workload API (default: the variable SPIFFE_ENDPOINT_SOCKET)")
	flags.Var(cli.Duration{Value: &cfg.wait}, "wait", "give up if no identity arrives within this `duration`")
	flags.Var(cli.HTTPSURL{Value: &cfg.url}, "url", "`URL` to get")
	flags.Var(cli.ID{Value: &cfg.serverID}, "server-id", "`SPIFFE ID` that the server must have")
	flags.Var(cli.Duration{Value: &cfg.timeout}, "timeout", "maximum `duration` of a request, including the connection")
	flags.Var(cli.Duration{Value: &cfg.interval, Zero: true}, "interval", "send a request every `duration`; 0 sends one request and exits")
	flags.BoolVar(&cfg.keep, "keep-alive", false, "with -interval: keep the connection open for the next request")
	flags.Var(cli.Bytes{Value: &cfg.maxBody}, "max-body", "maximum size of a response in `bytes`")
	flags.Var(cli.Address{Value: &cfg.health}, "health", "with -interval: `address` to serve plain http /healthz on (default: none)")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `client sends an HTTP request over mTLS to exactly one server, identified by its SPIFFE ID.

usage: client [flags]

`)
		flags.PrintDefaults()
		fmt.Fprint(flags.Output(), `
exit status: 0 success, 2 wrong usage, 3 no identity,
4 one side refused the other, 1 any other error
`)
	}
	if err := cli.Parse(flags, args, stdout); err != nil {
		return cfg, err
	}
	if cfg.health != "" && cfg.interval == 0 {
		return cfg, cli.Usagef("-health needs -interval: a client that sends one request has no health to show")
	}
	if cfg.keep && cfg.interval == 0 {
		return cfg, cli.Usagef("-keep-alive needs -interval: a client that sends one request needs no connection afterwards")
	}
	var err error
	cfg.endpoint, err = identity.FindEndpoint(socket, getenv)
	return cfg, err
}

func status(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return cli.OK
	}
	var usage *cli.UsageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "client: %v\n", err)
		return cli.Usage
	case errors.Is(err, identity.ErrNone):
		fmt.Fprintf(stderr, "client: %v\n", err)
		return cli.NoIdentity
	}
	// The error text of the go-spiffe example, without a prefix.
	fmt.Fprintln(stderr, err)
	if refused(err) {
		return cli.Refused
	}
	return cli.Failed
}
