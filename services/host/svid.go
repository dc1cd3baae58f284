//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
	"github.com/spiffe-lab/spiffe-lab/services/internal/identity"
)

// svid prints the X.509-SVIDs that the Workload API issues to the user that runs the command.
func svid(args []string, stdout, _ io.Writer) error {
	if err := cli.Parse(flag.NewFlagSet("svid", flag.ContinueOnError), args, stdout); err != nil {
		return err
	}
	endpoint, err := identity.FindEndpoint("", os.Getenv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	svids, err := workloadapi.FetchX509SVIDs(ctx, workloadapi.WithAddr(endpoint.Address))
	if err != nil {
		return fmt.Errorf("uid %d: %w", os.Getuid(), err)
	}
	for _, svid := range svids {
		leaf := svid.Certificates[0]
		fmt.Fprintf(stdout, "SPIFFE ID   %s\nserial      %s\nvalid from  %s\nvalid until %s\n",
			svid.ID, identity.Serial(svid), leaf.NotBefore.UTC().Format(time.RFC3339), identity.Expiry(svid))
		for i, certificate := range svid.Certificates {
			fmt.Fprintf(stdout, "chain %d     subject %q, issued by %q\n", i, certificate.Subject, certificate.Issuer)
		}
	}
	return nil
}
