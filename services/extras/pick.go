//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
)

// pick sends one request to the lab's server. It uses the SVID that has a certain hint, at any place in the list of SVIDs.
func pick(ctx context.Context, args []string, stdout io.Writer, logger *log.Logger) error {
	url := "https://server:8443/"
	flags := flag.NewFlagSet("pick", flag.ContinueOnError)
	hint := flags.String("hint", "", "`hint` of the SVID to use")
	flags.Var(cli.HTTPSURL{Value: &url}, "url", "`URL` to get")
	if err := cli.Parse(flags, args, stdout); err != nil {
		return err
	}
	source, err := newSource(ctx, logger, workloadapi.WithDefaultX509SVIDPicker(withHint(*hint)))
	if err != nil {
		return err
	}
	defer source.Close()

	config := tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/server")))
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\n", body)
	return err
}

// withHint picks the SVID that has the hint. If no SVID has it, the source reports an error, and no request is sent.
func withHint(hint string) func([]*x509svid.SVID) *x509svid.SVID {
	return func(svids []*x509svid.SVID) *x509svid.SVID {
		for _, svid := range svids {
			if svid.Hint == hint {
				return svid
			}
		}
		return nil
	}
}
