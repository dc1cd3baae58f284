//go:build unix

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/status"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// A report must not wait long for a part of the lab that does not answer, and must not have long texts.
const (
	defaultLimit = 1500 * time.Millisecond
	longestText  = 300 // bytes of a text from another program
)

// observer prints what one user of the host sees, as one JSON object: the SVIDs from the Workload API, the addresses of
// the server's name, the server's certificate and answer, and the health that a program reports. observer gathers these
// facts for `make report` and does not judge them.
//
// Its arguments are the command line of the program that it observes, for instance
//
//	observer client -url https://server:8443/
//
// observer uses the flags -socket, -url, -listen and -health of that command line. It holds the private keys of the
// SVIDs only while it runs, and does not print them.
func observer(args []string, stdout, _ io.Writer) error {
	limit := defaultLimit
	flags := flag.NewFlagSet("observer", flag.ContinueOnError)
	flags.Var(cli.Duration{Value: &limit}, "limit", "maximum `duration` of all questions together")
	if err := cli.Parse(flags, args, stdout, "[COMMAND...]"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return json.NewEncoder(stdout).Encode(observe(ctx, flags.Args(), os.Getenv))
}

func observe(ctx context.Context, args []string, getenv func(string) string) observation.Observation {
	t := observation.Observation{UID: os.Getuid(), GID: os.Getgid(), Time: time.Now().UTC(), Programs: map[string]string{}}
	if me, err := user.Current(); err == nil {
		t.User = me.Username
	}
	if len(args) > 0 {
		t.Program = filepath.Base(args[0])
	}

	var wg sync.WaitGroup
	wg.Go(func() { t.Programs = programs("/opt/spiffe-lab/bin") })
	wg.Go(func() {
		t.Processes, t.Listening = processes(os.DirFS("/proc")), listening(os.DirFS("/proc"))
	})
	if address := cli.FlagValue(args, "health"); address != "" {
		wg.Go(func() { t.Health = healthOf(ctx, address) })
	}

	var target string
	switch t.Program {
	case "client":
		target = cli.FlagValue(args, "url")
		if target == "" {
			target = "https://server:8443/"
		}
		wg.Go(func() { t.URL, t.Addresses, t.LookupError = lookUp(ctx, target) })
	case "server":
		// The request goes to the server on this host, even if another program answers under the server's DNS name.
		port := "8443"
		if _, given, err := net.SplitHostPort(cli.FlagValue(args, "listen")); err == nil {
			port = given
		}
		target = "https://127.0.0.1:" + port + "/"
	}

	var svids *workloadapi.X509Context
	t.Endpoint, svids = workloadAPI(ctx, cli.FlagValue(args, "socket"), getenv)
	if svids != nil {
		describe(&t, svids)
	}
	if target != "" {
		if svids != nil {
			t.Requests = append(t.Requests, request(ctx, target, svids, true))
		}
		if t.Program == "server" {
			t.Requests = append(t.Requests, request(ctx, target, svids, false))
		}
	}
	wg.Wait()
	return t
}

func workloadAPI(ctx context.Context, flag string, getenv func(string) string) (observation.Endpoint, *workloadapi.X509Context) {
	endpoint, err := identity.FindEndpoint(flag, getenv)
	seen := observation.Endpoint{Address: endpoint.Address, From: endpoint.From}
	if err != nil {
		seen.Error = short(err)
		return seen, nil
	}
	if parsed, err := url.Parse(endpoint.Address); err == nil && parsed.Scheme == "unix" {
		if _, err := os.Stat(parsed.Path); errors.Is(err, os.ErrNotExist) {
			seen.Error, seen.NoSocket = "the socket does not exist", true
			return seen, nil
		}
	}
	svids, err := workloadapi.FetchX509Context(ctx, workloadapi.WithAddr(endpoint.Address))
	if err != nil {
		seen.Error, seen.Code = short(err), status.Code(err).String()
		return seen, nil
	}
	return seen, svids
}

func describe(t *observation.Observation, svids *workloadapi.X509Context) {
	for _, svid := range svids.SVIDs {
		t.SVIDs = append(t.SVIDs, certificate(svid.Certificates[0]))
	}
	for _, bundle := range svids.Bundles.Bundles() {
		seen := observation.Bundle{TrustDomain: bundle.TrustDomain().Name()}
		for _, authority := range bundle.X509Authorities() {
			seen.Authorities = append(seen.Authorities, certificate(authority))
		}
		t.Bundles = append(t.Bundles, seen)
	}
	slices.SortFunc(t.Bundles, func(a, b observation.Bundle) int { return strings.Compare(a.TrustDomain, b.TrustDomain) })
}

func certificate(c *x509.Certificate) observation.Certificate {
	seen := observation.Certificate{
		Serial:    fmt.Sprintf("%X", c.SerialNumber.Bytes()),
		NotBefore: c.NotBefore.UTC(),
		NotAfter:  c.NotAfter.UTC(),
		Key:       fmt.Sprintf("%x", c.SubjectKeyId),
		SignedBy:  fmt.Sprintf("%x", c.AuthorityKeyId),
	}
	if id, err := x509svid.IDFromCert(c); err == nil {
		seen.ID = id.String()
	} else if len(c.URIs) > 0 {
		seen.ID = c.URIs[0].String() // a CA certificate names only its trust domain
	}
	return seen
}

// request sends GET over mTLS, or over TLS without a client certificate. It accepts any SPIFFE ID of the server and
// reports it, because the doctor judges this SPIFFE ID. It sends nothing to a server whose certificate it cannot
// verify.
func request(ctx context.Context, target string, svids *workloadapi.X509Context, withSVID bool) (seen observation.Request) {
	seen.URL, seen.WithSVID = target, withSVID
	sessions := &countingCache{}
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, ClientSessionCache: sessions}
	verify := func([][]byte, [][]*x509.Certificate) error { return nil }
	if svids != nil {
		svid := svids.DefaultSVID()
		verify = tlsconfig.VerifyPeerCertificate(svids.Bundles, tlsconfig.AuthorizeAny())
		if withSVID {
			config.GetClientCertificate = tlsconfig.GetClientCertificate(svid)
		}
	}
	config.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		if leaf, err := x509.ParseCertificate(raw[0]); err == nil {
			peer := certificate(leaf)
			seen.Peer = &peer
		}
		err := verify(raw, chains)
		if err != nil {
			seen.Refused = short(err)
		}
		return err
	}
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig:   config,
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				seen.Address = connection.RemoteAddr().String()
			}
			return connection, err
		},
	}}
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		seen.Error = short(err)
		return seen
	}
	response, err := client.Do(get)
	if err != nil {
		seen.Error = short(err)
		return seen
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, longestText))
	if err != nil {
		seen.Error = short(err)
	}
	seen.Status, seen.Body, seen.Tickets = response.StatusCode, string(body), sessions.count()
	return seen
}

// countingCache counts the session tickets that a server sends, and does not resume a session.
type countingCache struct {
	mu sync.Mutex
	n  int
}

func (c *countingCache) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c *countingCache) Put(_ string, state *tls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state != nil {
		c.n++
	}
}

func (c *countingCache) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func lookUp(ctx context.Context, target string) (string, []string, string) {
	parsed, err := url.Parse(target)
	if err != nil {
		return target, nil, short(err)
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, parsed.Hostname())
	if err != nil {
		return target, nil, short(err)
	}
	slices.Sort(addresses)
	return target, addresses, ""
}

func healthOf(ctx context.Context, address string) *observation.Health {
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return &observation.Health{Error: short(err)}
	}
	response, err := http.DefaultClient.Do(get)
	if err != nil {
		return &observation.Health{Error: short(err)}
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, longestText))
	return &observation.Health{Status: response.StatusCode, Body: strings.TrimSpace(string(body))}
}

// programs returns the SHA-256 hashes of the programs server and client, by path. The selector unix:sha256 compares
// the same hash.
func programs(directory string) map[string]string {
	sums := map[string]string{}
	for _, name := range []string{"server", "client"} {
		file, err := os.Open(filepath.Join(directory, name))
		if err != nil {
			continue
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, file); err == nil {
			sums[file.Name()] = fmt.Sprintf("%x", sum.Sum(nil))
		}
		_ = file.Close()
	}
	return sums
}

func short(err error) string {
	text := err.Error()
	if len(text) > longestText {
		text = text[:longestText] + "..."
	}
	return text
}
